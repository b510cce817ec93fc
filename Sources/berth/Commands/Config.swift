import ArgumentParser
import RecipeFile

struct Config: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Show the recipe as it is in force: variables replaced, files merged, short forms written long.",
        discussion: "What it shows is a compose file itself, and is what 'docker compose config' shows. Values of variables are in it.")
    @OptionGroup var recipe: RecipeArguments
    @Flag(name: .shortAndLong, help: "Show nothing; only say what is wrong.") var quiet = false
    @Flag(help: "Show only the names of the services.") var services = false
    @Flag(help: "Answer in JSON, for programs.") var json = false

    func run() async throws {
        try await report(json: json) {
            let value = try recipe.config()
            if quiet { return }
            if services {
                guard case .map(let all) = value, case .map(let services)? = all["services"] else { return }
                for name in services.keys.sorted() { Terminal.say(name) }
                return
            }
            Terminal.write(Array((json ? value.json + "\n" : value.yaml).utf8))
        }
    }
}
