import ArgumentParser
import ControlAPI
import Ledger

struct Audit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Show who asked for which change, and what came of it, newest first.",
        discussion: """
            All that was asked of the daemon to change something is in it, also what was refused. What the daemon did by itself is told by 'berth events'.
            """
    )
    @Option(help: "Only since then: a time (RFC 3339), or a span back such as 2h.") var since: String?
    @Option(name: [.long, .customShort("n")], help: "How many.") var limit = 20
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let query = [("limit", String(limit)), ("since", try Clock.since(since))]
            let entries: [AuditInfo] = try await ControlClient.use(connection) { try await $0.get(ControlPaths.audit, query) }
            if connection.json {
                try Terminal.print(json: entries)
                return
            }
            if entries.isEmpty {
                Terminal.say("nobody asked for a change")
                return
            }
            var table = Table("AT", "WHO", "ROLE", "WHAT", "ANSWER", "WHY")
            for entry in entries {
                let isGood = entry.status < 400
                table.add([
                    .init(text: Show.local(entry.at)), .init(text: entry.who, colour: .bold), .init(text: entry.role),
                    .init(text: Terminal.harmless(Audit.words(entry))), .init(text: isGood ? "done" : "refused", colour: isGood ? .green : .red),
                    .init(text: Terminal.harmless(entry.note ?? ""), colour: .grey),
                ])
            }
            table.print()
        }
    }

    /// `POST /v1/workloads/shop/backup/run` as `run shop/backup`.
    private static func words(_ entry: AuditInfo) -> String {
        let parts = entry.path.split(separator: "/")
        switch (entry.method, parts.dropFirst().first ?? "", parts.count) {
        case ("POST", "workloads", 5): return "\(parts[4]) \(parts[2])/\(parts[3])"
        case ("POST", "recipes", _): return "apply a recipe"
        case ("DELETE", "projects", 3): return "take down \(parts[2])"
        case ("DELETE", let kind, 3): return "remove \(kind.dropLast()) \(parts[2])"
        case ("PUT", "volumes", 4): return "restore volume \(parts[2])"
        case ("POST", let kind, 3): return "\(parts[2]) \(kind)"
        case ("POST", "networks", 2): return "make a network"
        case ("POST", "registries", 2): return "sign in at a registry"
        case ("POST", "backup", 2): return "back up"
        default: return "\(entry.method) \(entry.path)"
        }
    }
}
