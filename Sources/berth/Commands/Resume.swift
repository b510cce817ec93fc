import ArgumentParser
import ControlAPI

struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "Let a paused job run at its due times again.")
    @OptionGroup var action: ActionArguments

    func run() async throws { try await action.perform(.resume, past: "is resumed") }
}
