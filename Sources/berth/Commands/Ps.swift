import ArgumentParser
import ControlAPI
import Foundation

struct Ps: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show every service and job, and how it stands.")
    @Argument(help: "Only this project.") var project: String?
    @Flag(name: [.short, .long], help: "Go on showing, until interrupted.") var watch = false
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            try await ControlClient.use(connection) { client in
                repeat {
                    let status: StatusInfo = try await client.get(ControlPaths.status)
                    if watch { Terminal.write("\u{1B}[H\u{1B}[2J") }
                    try show(status)
                    if watch { try await Task.sleep(for: .seconds(1)) }
                } while watch
            }
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
                .init(text: workload.state, colour: Show.colour(state: workload.state)), .init(text: Show.ago(workload.since)),
                .init(text: last, colour: isJob ? Show.colour(outcome: workload.lastOutcome) : nil),
                .init(text: workload.nextAt == nil ? "-" : Show.until(workload.nextAt)), .init(text: workload.policy, colour: .grey),
            ])
        }
        table.print()
    }
}
