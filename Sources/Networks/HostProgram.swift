internal import EngineAPI
internal import Subprocess

/// A program of the host that does one part of networks.
struct HostProgram {
    let name: String
    /// The package that it comes from, for who lacks it.
    let package: String

    static let ip = HostProgram(name: "ip", package: "iproute2")
    static let nft = HostProgram(name: "nft", package: "nftables")
    static let nsenter = HostProgram(name: "nsenter", package: "util-linux")

    /// Runs it to its end.
    ///
    /// - Returns: its output
    /// - Throws: ``EngineError/host(_:)`` when it is missing, or with its own words
    @discardableResult
    func run(_ arguments: [String], input: String = "") async throws(EngineError) -> String {
        let status: TerminationStatus
        let (output, error): (String, String)
        do {
            let result = try await Subprocess.run(
                .name(name), arguments: Arguments(arguments), input: .string(input), output: .string(limit: 8 << 20), error: .string(limit: 65536))
            (status, output, error) = (result.terminationStatus, result.standardOutput, result.standardError)
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
