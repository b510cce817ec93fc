import ArgumentParser
import ControlAPI

struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "pause", abstract: "Let a job's due times pass; each is recorded as skipped.")
    @OptionGroup var action: ActionArguments

    func run() async throws { try await action.perform(.pause, past: "is paused") }
}
