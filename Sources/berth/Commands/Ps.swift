import ArgumentParser
import ControlAPI
import Synchronization

struct Ps: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ps", abstract: "Show every service and job, and how it stands.")
    @Argument(help: "Only this project.") var project: String?
    @Flag(name: [.short, .long], help: "Go on showing, until interrupted.") var watch = false
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            try await ControlClient.use(connection) { client in
                guard watch else { return try show(try await client.get(ControlPaths.status)) }
                try await follow(client)
            }
        }
    }

    /// Asks anew after changes, five times a second at most; ages are counted on without asking.
    private func follow(_ client: ControlClient) async throws {
        let hasNews = Mutex(true)
        let (wakes, sink) = AsyncThrowingStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let feed = Task {
            do {
                let tell = {
                    hasNews.withLock { $0 = true }
                    sink.yield()
                }
                try await client.changes([("project", project)]) { _ in
                    tell()
                } beginning: {
                    tell()
                }
            } catch { sink.finish(throwing: error) }
        }
        let clock = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1))
                sink.yield()
            }
        }
        defer {
            feed.cancel()
            clock.cancel()
        }
        var status: StatusInfo?
        for try await _ in wakes {
            let isNew = hasNews.withLock { flag in
                defer { flag = false }
                return flag
            }
            if isNew { status = try await client.get(ControlPaths.status) }
            guard let status, isNew || !connection.json else { continue }
            if Terminal.isTerminal { Terminal.write("\u{1B}[H\u{1B}[2J") }
            try show(status)
            if isNew { try await Task.sleep(for: .milliseconds(200)) }
        }
    }

    private func show(_ status: StatusInfo) throws {
        let shown = status.workloads.filter { project == nil || $0.project == project }
        if connection.json {
            try Terminal.print(json: shown)
            return
        }
        if let degraded = status.degraded { Terminal.warn(Terminal.paint("nothing can be launched: \(degraded)", .red)) }
        for notice in status.notices ?? [] { Terminal.warn(Terminal.paint(notice, .red)) }
        if shown.isEmpty {
            Terminal.say(project.map { "the project \($0) has no services or jobs" } ?? "no recipe is in force: apply one with 'berth up'")
            return
        }
        var table = Table("PROJECT", "NAME", "KIND", "STATE", "SINCE", "LAST", "NEXT", "WHEN")
        for workload in shown {
            let isJob = workload.kind == "job"
            let streak = workload.streak > 1 ? " x\(workload.streak)" : ""
            let last = isJob ? (workload.lastOutcome.map { $0 + streak } ?? "-") : workload.restarts > 0 ? "\(workload.restarts) restarts" : "-"
            table.add([
                .init(text: workload.project), .init(text: workload.name, colour: .bold), .init(text: workload.kind),
                .init(text: Show.state(workload), colour: Show.colour(state: workload)), .init(text: Show.ago(workload.since)),
                .init(text: last, colour: isJob ? Show.colour(outcome: workload.lastOutcome) : nil),
                .init(text: workload.nextAt == nil ? "-" : Show.until(workload.nextAt)), .init(text: workload.policy, colour: .grey),
            ])
        }
        table.print()
    }
}
