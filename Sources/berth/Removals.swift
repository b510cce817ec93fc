import ControlAPI

/// Removes what people name, or what nothing needs, and says what went.
enum Removals {
    /// - Parameter path: below it are the things, each by its name
    static func each(_ names: [String], below path: String, _ connection: ConnectionOptions) async throws {
        try await ControlClient.use(connection) { client in
            var removed: [String] = []
            for name in names {
                let info: RemovedInfo = try await client.delete("\(path)/\(ControlClient.percentEncoded(name))")
                removed += info.removed
                if !connection.json { say(info) }
            }
            if connection.json { try Terminal.print(json: RemovedInfo(removed: removed)) }
        }
    }

    static func prune(_ path: String, _ connection: ConnectionOptions) async throws {
        let info: RemovedInfo = try await ControlClient.use(connection) { try await $0.post(path) }
        if connection.json { try Terminal.print(json: info) } else { say(info) }
    }

    private static func say(_ info: RemovedInfo) {
        if info.removed.isEmpty { Terminal.say("there is nothing to remove") }
        for name in info.removed { Terminal.say("removed \(Terminal.harmless(name))") }
    }
}
