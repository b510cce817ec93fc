import ControlAPI
import ArgumentParser
import FoundationEssentials
import Glibc
import RecipeFile
import Schedules
import HostOS
import WorkloadModel

/// Which recipe a verb is about, where nothing else is named without a flag.
struct RecipeArguments: ParsableArguments {
    @Argument(help: "The recipe, as with -f.", completion: .file(extensions: ["yaml", "yml"])) var recipe: String?
    @OptionGroup var options: RecipeOptions

    private func named() throws -> RecipeOptions {
        guard let recipe else { return options }
        guard options.file == nil else { throw CommandFailure(description: "two recipes are named, '\(recipe)' and '\(options.file ?? "")': one is read") }
        var options = options
        options.file = recipe
        return options
    }

    func path() throws -> String { try named().path() }
    func read() throws -> (RecipeSource, Recipe) { try named().read() }
}

/// Which recipe a verb is about.
struct RecipeOptions: ParsableArguments {
    @Option(
        name: [.short, .long], help: "The recipe, - for the standard input; by default berth.yaml, compose.yaml or docker-compose.yml here.",
        completion: .file(extensions: ["yaml", "yml"]))
    var file: String?
    @Option(help: "A profile whose services are wanted too; may be given more than once. By default those of COMPOSE_PROFILES.") var profile: [String] = []
    @Option(help: "The most bytes that a recipe may have.") var maxRecipeBytes = 1 << 20

    /// The recipe's path.
    func path() throws -> String {
        if let file { return file }
        for name in ["berth.yaml", "berth.yml", "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"]
        where FileManager.default.fileExists(atPath: name) { return name }
        throw CommandFailure(description: "there is no berth.yaml here: name a recipe with -f")
    }

    /// - Throws: ``CommandFailure`` when a line is no variable
    private static func values(of content: EnvironmentFile.Content, _ file: String) throws -> [String: String] {
        guard content.problems.isEmpty else {
            throw CommandFailure(
                description: "\(Show.count(content.problems.count, "error")) in \(file)",
                diagnostics: content.problems.map { "\(file):\($0.line): error: \($0.message)" }.joined(separator: "\n"),
                problems: content.problems.map { ProblemInfo(file: file, line: $0.line, column: 1, severity: "error", message: $0.message) })
        }
        return content.values
    }

    /// Reads it; what is doubtful is told, what is wrong ends the command.
    func read(quiet: Bool = false) throws -> (RecipeSource, Recipe) {
        try RecipeFiles.read(path(), maxRecipeBytes: maxRecipeBytes, profiles: profile, quiet: quiet)
    }
}

/// Recipes of files, read with the variables of this process.
enum RecipeFiles {
    private static func isPipe(_ path: String) -> Bool {
        var info = stat()
        return path == "-" || path.hasPrefix("/dev/") || path.hasPrefix("/proc/") || stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFIFO
    }

    /// - Throws: ``CommandFailure`` when a line is no variable
    private static func variablesOf(_ content: EnvironmentFile.Content, _ file: String) throws -> [String: String] {
        guard content.problems.isEmpty else {
            throw CommandFailure(
                description: "\(Show.count(content.problems.count, "error")) in \(file)",
                diagnostics: content.problems.map { "\(file):\($0.line): error: \($0.message)" }.joined(separator: "\n"),
                problems: content.problems.map { ProblemInfo(file: file, line: $0.line, column: 1, severity: "error", message: $0.message) })
        }
        return content.values
    }

    /// Reads it; what is doubtful is told, what is wrong ends the command.
    ///
    /// - Parameter profiles: those that were asked for; none are those of COMPOSE_PROFILES
    static func read(_ path: String, maxRecipeBytes: Int, profiles: [String] = [], quiet: Bool = false) throws -> (RecipeSource, Recipe) {
        let data: [UInt8]
        do {
            data = path == "-" ? try HostFile.read(STDIN_FILENO, "standard input", limit: maxRecipeBytes) : try HostFile.content(path, limit: maxRecipeBytes)
        } catch {
            let remedy = error.code == EFBIG ? "; --max-recipe-bytes allows more" : ""
            throw CommandFailure(description: "the recipe cannot be read: \(error)\(remedy)")
        }
        // A recipe from a pipe has no folder: it stands for one here, as 'docker compose -f -' has it.
        let base =
            isPipe(path) ? FileManager.default.currentDirectoryPath : URL(fileURLWithPath: path).standardizedFileURL.deletingLastPathComponent().path
        var source = RecipeSource(file: path, baseDirectory: base, text: String(decoding: data, as: UTF8.self))
        var variables: [String: String] = [:]
        let file = base + "/.env"
        var beside: String?
        do throws(HostFile.Failure) { beside = try HostFile.contentText(file, limit: 1 << 20) } catch {
            guard error.isMissing else { throw CommandFailure(description: "the variables beside the recipe cannot be read: \(error)") }
        }
        if let beside {
            variables = try variablesOf(EnvironmentFile.parse(beside, environment: ProcessInfo.processInfo.environment), file)
        }
        variables.merge(ProcessInfo.processInfo.environment) { _, own in own }
        let active = profiles.isEmpty ? (variables["COMPOSE_PROFILES"] ?? "").split(separator: ",").map(String.init) : profiles
        if !active.isEmpty { source.profiles = active }
        let zones = SystemZones()
        var limits = RecipeLimits(bytes: maxRecipeBytes)
        limits.nodes = max(limits.nodes, maxRecipeBytes / 10)
        let inputs = RecipeInputs(
            variables: variables, readFile: { try HostFile.contentText($0, limit: RecipeInputs.mostFileBytes) }, zone: { try zones.zone($0) },
            hostZone: zones.local(), limits: limits)
        let result = RecipeReader.read(source, inputs)
        let text = Diagnostic.rendered(result.diagnostics, file: path, text: source.text)
        guard let recipe = result.recipe else {
            let errors = result.diagnostics.filter { $0.severity == .error }.count
            throw CommandFailure(
                description: "\(Show.count(errors, "error")) in \(path)", diagnostics: text,
                problems: result.diagnostics.map {
                    ProblemInfo(file: path, line: $0.place.line, column: $0.place.column, severity: $0.severity.rawValue, message: $0.message)
                })
        }
        if !quiet, !text.isEmpty { Terminal.warn(text) }
        return (result.captured, recipe)
    }
}
