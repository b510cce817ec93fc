import Ledger
import ArgumentParser
import ControlAPI

struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show a service or job in full: its container, its last runs, its events.")
    @Argument(help: "The service or job.") var name: String
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            try await ControlClient.use(connection) { client in
                let workload = try await client.find(name)
                let info: InspectInfo = try await client.get("\(ControlPaths.workloads)/\(workload.project)/\(workload.name)")
                if connection.json {
                    try Terminal.print(json: info)
                    return
                }
                Terminal.say(Terminal.paint("\(info.workload.kind) \(info.workload.project)/\(info.workload.name)", .bold))
                Terminal.say("  \("state".padded(18)) \(Terminal.paint(Show.state(info.workload), Show.colour(state: info.workload)))")
                Terminal.say("  \((info.workload.kind == "job" ? "schedule" : "restart").padded(18)) \(info.workload.policy)")
                for (key, value) in info.container.sorted(by: { $0.key < $1.key }) { Terminal.say("  \(key.padded(18)) \(Terminal.harmless(value))") }
                Terminal.say("")
                RunsView.print(info.runs)
                if let gone = info.forgotten?.sorted(by: { $0.key < $1.key }), !gone.isEmpty {
                    Terminal.say("older, and forgotten: " + gone.map { "\($0.value) \($0.key)" }.joined(separator: ", "))
                }
                if info.probes?.isEmpty == false { Terminal.say("") }
                for probe in info.probes ?? [] {
                    let end = probe.failure ?? "exit code \(probe.exit_code ?? 0)"
                    let words = probe.output.split(whereSeparator: \.isNewline).first.map { ": \($0)" } ?? ""
                    Terminal.say("\(Show.local(probe.at))  probe  \(probe.duration_ms) ms  \(Terminal.harmless(end + words))")
                }
                if !info.events.isEmpty { Terminal.say("") }
                for event in info.events { Terminal.say("\(Show.local(event.at))  \(event.actor)  \(Terminal.harmless(event.text))") }
            }
        }
    }
}

extension String {
    func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
