import ArgumentParser
import ControlAPI

struct Version: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Show the release of berth, and of the daemon if there is one.")
    @OptionGroup var connection: ConnectionOptions

    struct Answer: Encodable {
        let berth: String
        let berthd: String?
    }

    func run() async throws {
        let daemon: VersionInfo? = try? await ControlClient.use(connection) { try await $0.get(ControlPaths.version) }
        if connection.json {
            try Terminal.print(json: Answer(berth: BerthVersion.current, berthd: daemon?.version))
        } else {
            Terminal.say("berth  \(BerthVersion.current)")
            Terminal.say(daemon.map { "berthd \($0.version) (pid \($0.pid), state in \($0.stateDirectory))" } ?? "berthd does not answer at \(connection.path)")
        }
    }
}
