internal import EngineAPI
internal import Foundation
internal import WorkloadModel

/// What an image says of how it is run (OCI image specification, "Image Configuration"). Its texts may be anything, so each is
/// checked here, once.
struct ImageConfiguration: Hashable, Sendable {
    let entrypoint: [String]
    let command: [String]
    /// `NAME=value` each.
    let environment: [String]
    /// Absolute.
    let workingDirectory: String?
    let user: String?
    let stopSignal: Int32?

    private struct Document: Decodable {
        struct Config: Decodable {
            var Entrypoint: [String]?
            var Cmd: [String]?
            var Env: [String]?
            var WorkingDir: String?
            var User: String?
            var StopSignal: String?
        }
        let config: Config?
    }

    /// - Throws: ``EngineError/image(_:)``
    init(json bytes: [UInt8]) throws(EngineError) {
        let config: Document.Config?
        do { config = try JSONDecoder().decode(Document.self, from: Data(bytes)).config } catch {
            throw .image("its configuration cannot be read: \(error)")
        }
        entrypoint = try ImageConfiguration.words(config?.Entrypoint, "Entrypoint")
        command = try ImageConfiguration.words(config?.Cmd, "Cmd")
        environment = try ImageConfiguration.words(config?.Env, "Env")
        for entry in environment {
            guard let equals = entry.firstIndex(of: "="), equals != entry.startIndex else {
                throw .image("its Env has an entry that is not NAME=value: '\(entry.prefix(60))'")
            }
        }
        // Relative to the root, as Docker takes it.
        let directory = try ImageConfiguration.words([config?.WorkingDir ?? ""], "WorkingDir")[0]
        workingDirectory = directory.isEmpty ? nil : directory.hasPrefix("/") ? directory : "/" + directory
        let user = try ImageConfiguration.words([config?.User ?? ""], "User")[0]
        self.user = user.isEmpty ? nil : user
        let signal = config?.StopSignal ?? ""
        stopSignal = signal.isEmpty ? nil : SignalName.number(signal)
        guard signal.isEmpty || stopSignal != nil else { throw .image("its StopSignal '\(signal.prefix(60))' is not a signal") }
    }

    private static func words(_ list: [String]?, _ what: String) throws(EngineError) -> [String] {
        let words = list ?? []
        guard !words.contains(where: { $0.utf8.contains(0) }) else { throw .image("its \(what) holds a NUL character: refused") }
        return words
    }
}
