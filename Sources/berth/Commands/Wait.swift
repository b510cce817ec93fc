import Ledger
import ArgumentParser
import ControlAPI

struct Wait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until runs have ended, and exit with the code of the last one.",
        discussion: "A run that has ended already is not waited for. Codes are those of 'berth run --wait'.")
    @Argument(help: "Runs, by their ids, or services and jobs: all of their runs that go on.") var names: [String]
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            try await ControlClient.use(connection) { client in
                var code: Int32 = 0
                // Which runs, before one of them is waited for: the others may end meanwhile.
                var all: [(name: String, runs: [String])] = []
                for name in names { all.append((name, try await runs(of: name, client))) }
                for (name, found) in all {
                    if found.isEmpty, !connection.json { Terminal.say("\(name): nothing runs") }
                    for id in found {
                        let run: RunInfo = try await client.get("\(ControlPaths.runs)/\(id)/wait")
                        if connection.json { try Terminal.print(json: run) } else { Terminal.say("\(run.name) (run \(run.run_id)): \(run.outcome ?? "?")") }
                        code = RunJob.exitCode(run)
                    }
                }
                if code != 0 { throw ExitCode(code) }
            }
        }
    }

    /// The runs that a word names.
    private func runs(of name: String, _ client: ControlClient) async throws -> [String] {
        let workload: WorkloadReference
        do { workload = try await client.find(name) } catch let failure as CommandFailure {
            // No service and no job: then it is a run, or nothing.
            guard let run: RunInfo = try? await client.get("\(ControlPaths.runs)/\(name)") else { throw failure }
            return [run.run_id]
        }
        let info: InspectInfo = try await client.get("\(ControlPaths.workloads)/\(workload.project)/\(workload.name)")
        return info.workload.runs
    }
}
