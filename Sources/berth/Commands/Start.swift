import ArgumentParser
import ControlAPI

struct Start: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "start", abstract: "Start a service that was stopped.")
    @OptionGroup var action: ActionArguments

    func run() async throws { try await action.perform(.start, past: "is started") }
}
