import ArgumentParser
import ControlAPI
import Ledger

struct Events: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "events", abstract: "Show what people and the daemon did, oldest first.")
    @Argument(help: "Only of this service or job.") var name: String?
    @Option(help: "Only of this project.") var project: String?
    @Flag(name: .shortAndLong, help: "Go on as more happens, until interrupted.") var follow = false
    @Option(name: [.long, .customShort("n")], help: "How many of the past.") var limit = 20
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let whose = try NameFilter.query(name, project: project)
            try await ControlClient.use(connection) { client in
                guard follow else {
                    let found = try await past(client, whose, limit)
                    if found.isEmpty, !connection.json { Terminal.say("no such events") }
                    return try show(found)
                }
                // What happens between the two questions is in the answer and in the feed.
                var shown: [EventInfo] = []
                func new(_ events: [EventInfo]) throws {
                    let new = events.filter { !shown.contains($0) }
                    try show(new)
                    shown = Array((shown + new).suffix(1000))
                }
                var hasBegun = false
                try await client.changes(whose) { change in
                    if let event = change.event { try new([event]) }
                } beginning: {
                    let found = try await past(client, whose, hasBegun ? 1000 : limit)
                    if hasBegun, let first = found.first, !shown.contains(first) { Terminal.warn("... events were passed over") }
                    try new(found)
                    hasBegun = true
                }
            }
        }
    }

    private func past(_ client: ControlClient, _ whose: [(String, String?)], _ limit: Int) async throws -> [EventInfo] {
        let found: [EventInfo] = try await client.get(ControlPaths.events, whose + [("limit", String(limit))])
        return found.reversed()
    }

    private func show(_ events: [EventInfo]) throws {
        for event in events {
            if connection.json {
                try Terminal.print(json: event)
                continue
            }
            let subject = [event.project, event.name].compactMap { $0 }.joined(separator: "/")
            let place = subject.isEmpty ? "" : Terminal.paint(subject, .bold) + "  "
            let text = event.text.isEmpty ? "" : ": \(Terminal.harmless(event.text))"
            Terminal.say("\(Terminal.paint(Show.local(event.at), .grey))  \(place)\(event.kind)\(text)  \(Terminal.paint("(\(event.actor))", .grey))")
        }
    }
}
