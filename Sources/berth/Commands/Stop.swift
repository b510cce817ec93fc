import ArgumentParser
import ControlAPI

struct Stop: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stop a service until it is started again, or the runs of a job.", aliases: ["cancel"])
    @OptionGroup var action: ActionArguments

    func run() async throws { try await action.perform(.stop, past: "is stopped") }
}
