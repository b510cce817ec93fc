import ArgumentParser
import ControlAPI
import WorkloadModel

struct Down: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Stop a project's containers and forget its recipe; history and volumes stay.")
    @Argument(help: "The project; by default that of the recipe here.") var project: String?
    @OptionGroup var recipe: RecipeOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let name = try project ?? recipe.read(quiet: true).1.project.description
            try await ControlClient.use(connection) { client in
                let info: ActionInfo = try await client.delete("\(ControlPaths.projects)/\(name)")
                if connection.json { try Terminal.print(json: info) } else { Terminal.say("\(name) is down") }
            }
        }
    }
}
