import NIOHTTP1
import Ledger
import ArgumentParser
import ControlAPI
import FoundationEssentials
import Schedules

struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "logs", abstract: "Show what a run wrote; by default the last run of a service or job.")
    @Argument(help: "The service or job.") var name: String?
    @Option(help: "The run, by its id or the beginning or end of it.") var run: String?
    @Flag(name: .shortAndLong, help: "Go on as more is written, until the run ends.") var follow = false
    @Flag(name: .shortAndLong, help: "Show the time of each line.") var timestamps = false
    @Option(help: "Only lines since then: a time (RFC 3339), or a span back such as 10m.") var since: String?
    @Flag(help: "Show control characters as they are.") var raw = false
    @OptionGroup var connection: ConnectionOptions

    struct Line: Encodable {
        let time: String
        let stream: String
        let text: String
    }

    func run() async throws {
        try await report(connection) {
            let bound = try Clock.since(since).flatMap { Timestamp(rfc3339: $0) }
            try await ControlClient.use(connection) { client in
                let id: String
                if let run {
                    id = run
                } else {
                    guard let name else { throw CommandFailure(description: "name a service or job, or a run with --run") }
                    let runs: [RunInfo] = try await client.get(
                        ControlPaths.runs, try NameFilter.query(name) + [("limit", "1")])
                    guard let last = runs.first else {
                        _ = try await client.find(name)
                        throw CommandFailure(description: "'\(name)' has not run yet")
                    }
                    id = last.run_id
                }
                var lines = LineSplitter()
                var joiner = LogJoiner()
                try await client.stream(.GET, "\(ControlPaths.runs)/\(id)/log", [("follow", follow ? "1" : nil)]) { bytes in
                    for line in lines.take(bytes) {
                        if let record = LogRecord(line), let whole = joiner.take(record) { try show(whole, since: bound) }
                    }
                }
                for rest in joiner.finish() { try show(rest, since: bound) }
            }
        }
    }

    private func show(_ record: LogRecord, since: Timestamp?) throws {
        // To the millisecond, as times are shown and given.
        if let since, record.stream != .berth, let time = Timestamp(rfc3339: record.time), time < since { return }
        if connection.json {
            try Terminal.print(json: Line(time: record.time, stream: record.stream.rawValue, text: String(decoding: record.text, as: UTF8.self)))
        } else if record.stream == .berth {
            Terminal.warn(Terminal.paint("... \(String(decoding: record.text, as: UTF8.self))", .yellow))
        } else {
            if timestamps { Terminal.put(Terminal.paint(String(record.time.prefix(23)) + "Z ", .grey)) }
            let end = record.isPartial ? "" : "\n"
            if raw || !Terminal.isTerminal {
                Terminal.write(record.text + end.utf8)
            } else {
                Terminal.put(Terminal.paint(String(decoding: record.text, as: UTF8.self), record.stream == .stderr ? .red : nil) + end)
            }
        }
    }
}
