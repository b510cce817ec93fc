import Ledger
import ArgumentParser
import ControlAPI
import FoundationEssentials
import Schedules

struct Runs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "runs", abstract: "Show the history of runs, newest first.")
    @Argument(help: "Only this service or job.") var name: String?
    @Option(help: "Only this project.") var project: String?
    @Option(help: "Only these outcomes: succeeded, failed, timed-out, oom-killed, stopped, start-error, lost.") var outcome: [String] = []
    @Flag(help: "Only runs that did not succeed.") var failed = false
    @Option(help: "Only runs since then: a time (RFC 3339), or a span back such as 2h.") var since: String?
    @Option(name: [.long, .customShort("n")], help: "How many.") var limit = 20
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            var query: [(String, String?)] = [("limit", String(limit)), ("since", try Clock.since(since))]
            query += try NameFilter.query(name, project: project)
            let outcomes = failed ? ["failed", "timed-out", "oom-killed", "start-error", "lost"] : outcome
            for outcome in outcomes { query.append(("outcome", outcome)) }
            let runs: [RunInfo] = try await ControlClient.use(connection) { try await $0.get(ControlPaths.runs, query) }
            if connection.json { try Terminal.print(json: runs) } else { RunsView.print(runs) }
        }
    }
}

enum RunsView {
    static func print(_ runs: [RunInfo]) {
        if runs.isEmpty {
            Terminal.say("no such runs")
            return
        }
        var table = Table("RUN", "NAME", "TRIGGER", "STARTED", "TOOK", "OUTCOME", "PEAK", "CPU", "WHY")
        for run in runs {
            let trigger = run.attempt > 1 ? "\(run.trigger) \(run.attempt)" : run.trigger
            let outcome = run.outcome ?? run.state
            table.add([
                .init(text: run.run_id, colour: .grey), .init(text: "\(run.project)/\(run.name)", colour: .bold), .init(text: trigger),
                .init(text: Show.local(run.started_at)), .init(text: Show.milliseconds(run.duration_ms)),
                .init(text: outcome, colour: Show.colour(outcome: run.outcome) ?? .blue), .init(text: Show.bytes(run.memory_peak_bytes)),
                .init(text: Show.milliseconds(run.cpu_ms)), .init(text: why(run), colour: .grey),
            ])
        }
        table.print()
    }

    private static func why(_ run: RunInfo) -> String {
        let words = [run.reason, run.caused_by.map { "after run \($0)" }, run.retry_of.map { "tries run \($0) again" }, run.changes.map { "changed: \($0)" }]
            .compactMap { $0 }
        return Terminal.harmless(words.joined(separator: "; "))
    }
}

enum Clock {
    static func now() -> Timestamp { Timestamp(milliseconds: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down))) }

    /// A time, or a span back from now, as RFC 3339.
    static func since(_ text: String?) throws -> String? {
        guard let text else { return nil }
        if let time = Timestamp(rfc3339: text) { return time.description }
        if let date = CivilDate(text) { return Timestamp(seconds: date.daysSinceEpoch * 86400).description }
        do { return (now() - (try DurationText.parse(text))).description } catch {
            throw CommandFailure(description: "'\(text)' is neither a time (2026-11-24T08:00:00Z), a date, nor a span (2h)")
        }
    }
}
