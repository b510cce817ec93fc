import ArgumentParser
import ControlAPI

/// Names that one thing is done to.
struct ActionArguments: ParsableArguments {
    @Argument(help: "Services or jobs, as NAME or PROJECT/NAME.") var names: [String]
    @OptionGroup var connection: ConnectionOptions

    func perform(_ action: WorkloadAction, past: String) async throws {
        try await report(connection) {
            try await ControlClient.use(connection) { client in
                for name in names {
                    let (workload, info) = try await client.act(action, name)
                    if connection.json { try Terminal.print(json: info) } else { Terminal.say("\(workload.name) \(past)") }
                }
            }
        }
    }
}
