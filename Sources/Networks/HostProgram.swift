internal import EngineAPI
internal import Subprocess

/// A program of the host that does one part of networks.
struct HostProgram {
    let name: String
    /// The package that it comes from, for who lacks it.
    let package: String

    static let ip = HostProgram(name: "ip", package: "iproute2")
    static let nft = HostProgram(name: "nft", package: "nftables")
    static let setsid = HostProgram(name: "setsid", package: "util-linux")
    static let nsenter = HostProgram(name: "nsenter", package: "util-linux")

    private struct Stuck: Error {}

    /// How long it may take: what is asked of it takes milliseconds, and while it runs no other change of networks is made.
    private static let longest = Duration.seconds(30)

    /// Runs it to its end.
    ///
    /// - Returns: its output
    /// - Throws: ``EngineError/host(_:)`` when it is missing, or with its own words
    @discardableResult
    func run(_ arguments: [String], input: String = "") async throws(EngineError) -> String {
        let (status, output, error): (TerminationStatus, String, String)
        do {
            (status, output, error) = try await withThrowingTaskGroup { group in
                group.addTask { [name] in
                    let result = try await Subprocess.run(
                        .name(name), arguments: Arguments(arguments), input: .string(input), output: .string(limit: 8 << 20), error: .string(limit: 65536))
                    return (result.terminationStatus, result.standardOutput, result.standardError)
                }
                group.addTask { () -> (TerminationStatus, String, String) in
                    try await Task.sleep(for: HostProgram.longest)
                    throw Stuck()
                }
                // The other one is ended: a program by being killed.
                defer { group.cancelAll() }
                return try await group.next()!
            }
        } catch is Stuck {
            throw .host("\(name) did not end within \(HostProgram.longest)")
        } catch {
            throw .host("networks need '\(name)', which cannot be run: install it with 'apt-get install \(package)', or write 'network_mode: none'")
        }
        guard status.isSuccess else {
            let words = error.split(separator: "\n").first { !$0.isEmpty }.map(String.init) ?? "it ended with \(status)"
            throw .host("\(name): \(words)")
        }
        return output
    }
}
