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
            let parts = name?.split(separator: "/").map(String.init) ?? []
            let whose: [(String, String?)] = [("name", parts.last), ("project", project ?? (parts.count == 2 ? parts[0] : nil))]
            try await ControlClient.use(connection) { client in
                guard follow else { return try show(try await past(client, whose)) }
                // What happens between the two questions is in the answer and in the feed.
                var shown: [EventInfo]?
                try await client.changes(whose) { change in
                    guard let event = change.event, shown?.contains(event) != true else { return }
                    try show([event])
                } beginning: {
                    let found = try await past(client, whose)
                    try show(found.filter { shown?.contains($0) != true })
                    shown = found
                }
                throw CommandFailure(description: "the daemon has ended")
            }
        }
    }

    private func past(_ client: ControlClient, _ whose: [(String, String?)]) async throws -> [EventInfo] {
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
