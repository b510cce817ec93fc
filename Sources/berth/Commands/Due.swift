import Ledger
import ArgumentParser
import ControlAPI

struct Due: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "due", abstract: "Show what became of due times: ran, skipped or missed, and why.")
    @Argument(help: "Only this job.") var job: String?
    @Flag(help: "Only those that were missed.") var missed = false
    @Flag(help: "Only those that were skipped.") var skipped = false
    @Option(help: "Only since then: a time (RFC 3339), or a span back such as 2h.") var since: String?
    @Option(name: [.long, .customShort("n")], help: "How many.") var limit = 20
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            var query = try NameFilter.query(job) + [("since", try Clock.since(since)), ("limit", String(limit))]
            if missed { query.append(("result", "missed")) }
            if skipped { query.append(("result", "skipped")) }
            let rows: [DueInfo] = try await ControlClient.use(connection) { try await $0.get(ControlPaths.due, query) }
            if connection.json {
                try Terminal.print(json: rows)
                return
            }
            if rows.isEmpty {
                Terminal.say("no such due times")
                return
            }
            var table = Table("DUE", "JOB", "RESULT", "WHY", "COUNT", "RUN", "NOTE")
            for row in rows {
                let colour: Terminal.Colour = row.result == "ran" ? .green : row.result == "missed" ? .red : .yellow
                let due = row.first_due_at == row.due_at ? Show.local(row.due_at) : "\(Show.local(row.first_due_at)) to \(Show.local(row.due_at))"
                table.add([
                    .init(text: due), .init(text: "\(row.project)/\(row.name)", colour: .bold), .init(text: row.result, colour: colour),
                    .init(text: row.reason ?? ""), .init(text: "\(row.count)"), .init(text: row.run_id ?? "-", colour: .grey), .init(text: row.note ?? ""),
                ])
            }
            table.print()
        }
    }
}
