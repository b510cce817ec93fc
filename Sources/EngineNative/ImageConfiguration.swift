internal import EngineAPI
internal import FoundationEssentials
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
    /// Absolute paths, ascending, whose content is to outlive a container.
    let volumes: [String]
    let healthCheck: HealthCheckSpec?
    /// What is odd about it and does not keep it from being run, in words, for whoever brings it in.
    let oddities: [String]

    private struct Document: Decodable {
        struct Config: Decodable {
            var Entrypoint: [String]?
            var Cmd: [String]?
            var Env: [String]?
            var WorkingDir: String?
            var User: String?
            var StopSignal: String?
            var Volumes: [String: Empty]?
            var Healthcheck: Healthcheck?
            var Shell: [String]?
        }
        let config: Config?

        /// Of Docker's own images; times are nanoseconds, and 0 says nothing.
        struct Healthcheck: Decodable {
            var Test: [String]?
            var Interval: Int64?
            var Timeout: Int64?
            var StartPeriod: Int64?
            var StartInterval: Int64?
            var Retries: Int?
        }

        /// Some write an empty object, some nothing.
        struct Empty: Decodable { init(from decoder: any Decoder) {} }
    }

    /// - Throws: ``EngineError/image(_:)``
    init(json bytes: [UInt8]) throws(EngineError) {
        let config: Document.Config?
        do { config = try JSONDecoder().decode(Document.self, from: Data(bytes)).config } catch {
            throw .image("its configuration cannot be read: \(error)")
        }
        entrypoint = try ImageConfiguration.words(config?.Entrypoint, "Entrypoint")
        command = try ImageConfiguration.words(config?.Cmd, "Cmd")
        var oddities: [String] = []
        var environment: [String] = []
        for entry in try ImageConfiguration.words(config?.Env, "Env") {
            switch entry.firstIndex(of: "=") {
            case entry.startIndex: oddities.append("its Env has an entry without a name ('\(entry.prefix(60))'): left out")
            case nil where entry.isEmpty: oddities.append("its Env has an empty entry: left out")
            case nil:
                oddities.append("its Env has '\(entry.prefix(60))' without a value: an empty one is taken")
                environment.append(entry + "=")
            default: environment.append(entry)
            }
        }
        self.environment = environment
        // Relative to the root, as Docker takes it.
        let directory = try ImageConfiguration.words([config?.WorkingDir ?? ""], "WorkingDir")[0]
        workingDirectory = directory.isEmpty ? nil : directory.hasPrefix("/") ? directory : "/" + directory
        let user = try ImageConfiguration.words([config?.User ?? ""], "User")[0]
        self.user = user.isEmpty ? nil : user
        let signal = try ImageConfiguration.words([config?.StopSignal ?? ""], "StopSignal")[0]
        stopSignal = signal.isEmpty ? nil : SignalName.number(signal)
        // As Docker takes it.
        if !signal.isEmpty, stopSignal == nil { oddities.append("its StopSignal '\(signal.prefix(60))' is not a signal: SIGTERM is taken") }
        var volumes: Set<String> = []
        for text in try ImageConfiguration.words(config?.Volumes.map { Array($0.keys) }, "Volumes") {
            let parts = text.split(separator: "/")
            guard text.hasPrefix("/"), !parts.isEmpty, !parts.contains("."), !parts.contains("..") else {
                oddities.append("its Volumes has '\(text.prefix(60))', which is no place for one: left out")
                continue
            }
            volumes.insert("/" + parts.joined(separator: "/"))
        }
        self.volumes = volumes.sorted()
        healthCheck = try ImageConfiguration.healthCheck(config, &oddities)
        self.oddities = oddities
    }

    private static func healthCheck(_ config: Document.Config?, _ oddities: inout [String]) throws(EngineError) -> HealthCheckSpec? {
        guard let found = config?.Healthcheck else { return nil }
        let test = try words(found.Test, "Healthcheck")
        var check = HealthCheckSpec()
        switch (test.first, test.dropFirst()) {
        case (nil, _): break
        case ("NONE", _): check.test = .disabled
        case ("CMD", let words) where !words.isEmpty: check.test = .command(Array(words))
        case ("CMD-SHELL", let words) where words.count == 1:
            let shell = try ImageConfiguration.words(config?.Shell, "Shell")
            check.test = .shell(words[words.startIndex], shell: shell.isEmpty ? nil : shell)
        default:
            oddities.append("its Healthcheck '\(test.joined(separator: " ").prefix(60))' is none: left out")
            return nil
        }
        func time(_ nanoseconds: Int64?) -> Duration? { nanoseconds.flatMap { $0 > 0 ? .nanoseconds($0) : nil } }
        check.interval = time(found.Interval)
        check.timeout = time(found.Timeout)
        check.startPeriod = time(found.StartPeriod)
        check.startInterval = time(found.StartInterval)
        check.retries = found.Retries.flatMap { $0 > 0 ? $0 : nil }
        return check
    }

    private static func words(_ list: [String]?, _ what: String) throws(EngineError) -> [String] {
        let words = list ?? []
        guard !words.contains(where: { $0.utf8.contains(0) }) else { throw .image("its \(what) holds a NUL character: refused") }
        return words
    }
}
