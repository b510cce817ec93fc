import NIOHTTP1
import ArgumentParser
import ControlAPI
import FoundationEssentials
import Schedules

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "up", abstract: "Make a recipe true: start its services, schedule its jobs.")
    @OptionGroup var recipe: RecipeArguments
    @OptionGroup var pulls: PullOptions
    @Flag(help: "Return once all services run, are healthy where they have a health check, or have ended well.") var wait = false
    @Option(help: ArgumentHelp("How long --wait waits at most, such as 90s.", valueName: "time"), transform: { try DurationText.parse($0) })
    var waitTimeout: Duration?
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let (source, _) = try recipe.read()
            try await ControlClient.use(connection) { client in
                let last = try await client.progress(of: RecipeUpload(source: source, pull: pulls.pull), at: ControlPaths.recipes)
                guard let plan = last?.plan else { throw CommandFailure(description: "the daemon broke off before the recipe was applied") }
                if connection.json { try Terminal.print(json: plan) } else { PlanView.print(plan, done: true) }
                if wait || waitTimeout != nil { try await Readiness.wait(for: plan.project, limit: waitTimeout, client) }
            }
        }
    }
}

extension ControlClient {
    /// Sends a recipe and tells what is done with it.
    ///
    /// - Returns: the last line of the answer
    func progress(of upload: RecipeUpload, at path: String) async throws -> ProgressLine? {
        var lines = LineSplitter()
        var last: ProgressLine?
        try await stream(.POST, path, body: upload) { bytes in
            for line in lines.take(bytes) {
                let answer = try JSONDecoder().decode(ProgressLine.self, from: Data(line))
                if let error = answer.error { throw CommandFailure(description: error.error, diagnostics: error.diagnostics, problems: error.problems) }
                if let progress = answer.progress { Terminal.warn(Terminal.paint(progress, .grey)) } else { last = answer }
            }
        }
        return last
    }
}

/// When images are brought in, whatever the recipe says.
struct PullOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("When images of registries are brought in: always, missing or never; by default as the recipe says.", valueName: "when"),
        completion: .list(PullChoice.allCases.map(\.rawValue)), transform: PullOptions.choice)
    var pull: PullChoice?

    private static func choice(_ text: String) throws -> PullChoice {
        guard let choice = PullChoice(rawValue: text) else { throw ValidationError("use always, missing or never") }
        return choice
    }
}

/// Tells a failure as it should be told, and ends with 1.
func report(_ connection: ConnectionOptions?, _ body: () async throws -> Void) async throws {
    try await report(json: connection?.json == true, body)
}

func report(json: Bool, _ body: () async throws -> Void) async throws {
    do { try await body() } catch let failure as CommandFailure {
        if json {
            try Terminal.print(json: ErrorInfo(error: failure.description, diagnostics: failure.diagnostics, problems: failure.problems))
        } else {
            if let diagnostics = failure.diagnostics { Terminal.warn(diagnostics) }
            Terminal.warn("berth: \(failure.description)")
        }
        throw ExitCode(1)
    }
}
