import ArgumentParser
import ControlAPI

struct Restart: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "restart", abstract: "Stop a service and start it again.")
    @OptionGroup var action: ActionArguments

    func run() async throws { try await action.perform(.restart, past: "is restarted") }
}
