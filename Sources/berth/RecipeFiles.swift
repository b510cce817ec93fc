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
        guard options.file.isEmpty else {
            throw CommandFailure(description: "two recipes are named, '\(recipe)' and '\(options.file[0])': more files are merged by -f")
        }
        var options = options
        options.file = [recipe]
        return options
    }

    func path() throws -> String { try named().paths()[0] }
    func read() throws -> (RecipeSource, Recipe) { try named().read() }
    func config() throws -> ConfigValue {
        let options = try named()
        let paths = try options.paths()
        return try RecipeFiles.config(
            paths[0], overlays: Array(paths.dropFirst()), maxRecipeBytes: options.maxRecipeBytes, profiles: options.profile, variableFiles: options.envFile,
            project: options.projectName)
    }
}

/// Which recipe a verb is about.
struct RecipeOptions: ParsableArguments {
    @Option(
        name: [.short, .long],
        help:
            "The recipe, - for the standard input; further ones are merged over it. By default those of COMPOSE_FILE, else berth.yaml, compose.yaml or docker-compose.yml here, with its .override file.",
        completion: .file(extensions: ["yaml", "yml"]))
    var file: [String] = []
    @Option(help: "A profile whose services are wanted too; may be given more than once. By default those of COMPOSE_PROFILES.") var profile: [String] = []
    @Option(help: "A file of variables, in place of the .env beside the recipe; may be given more than once.", completion: .file()) var envFile: [String] = []
    @Option(name: [.short, .long], help: "The project's name; by default COMPOSE_PROJECT_NAME, else the recipe's 'name', else its folder's.") var projectName:
        String?
    @Option(help: "The most bytes that a recipe may have.") var maxRecipeBytes = 1 << 20

    /// The recipe's path, and those of the files that are merged over it.
    func paths() throws -> [String] {
        if !file.isEmpty { return file }
        let environment = ProcessInfo.processInfo.environment
        // As in Compose, it may be in the .env that is here.
        let beside = (try? HostFile.contentText(".env", limit: 1 << 20)).map { EnvironmentFile.parse($0, environment: environment).values } ?? [:]
        func variable(_ name: String) -> String? { environment[name] ?? beside[name] }
        if let named = variable("COMPOSE_FILE"), !named.isEmpty {
            return named.components(separatedBy: variable("COMPOSE_PATH_SEPARATOR") ?? ":").filter { !$0.isEmpty }
        }
        for name in ["berth", "compose", "docker-compose"] {
            for ending in ["yaml", "yml"] where FileManager.default.fileExists(atPath: "\(name).\(ending)") {
                let over = ["yaml", "yml"].map { "\(name).override.\($0)" }.first { FileManager.default.fileExists(atPath: $0) }
                return ["\(name).\(ending)"] + (over.map { [$0] } ?? [])
            }
        }
        throw CommandFailure(description: "there is no berth.yaml here: name a recipe with -f")
    }

    /// Reads it; what is doubtful is told, what is wrong ends the command.
    func read(quiet: Bool = false) throws -> (RecipeSource, Recipe) {
        let paths = try paths()
        return try RecipeFiles.read(
            paths[0], overlays: Array(paths.dropFirst()), maxRecipeBytes: maxRecipeBytes, profiles: profile, variableFiles: envFile, project: projectName,
            quiet: quiet)
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
    /// - Parameters:
    ///   - profiles: those that were asked for; none are those of COMPOSE_PROFILES
    ///   - overlays: files that are merged over it
    ///   - variableFiles: in place of the `.env` beside it
    ///   - project: its name, whatever the recipe says
    private static func prepared(
        _ path: String, overlays: [String] = [], maxRecipeBytes: Int, profiles: [String] = [], variableFiles: [String] = [], project: String? = nil
    ) throws -> (RecipeSource, RecipeInputs) {
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
        if overlays.contains("-") { throw CommandFailure(description: "the standard input can only be the first of several files") }
        if !overlays.isEmpty {
            source.overlays = overlays.map { URL(fileURLWithPath: $0).standardizedFileURL.path }
        }
        for file in variableFiles.isEmpty ? [base + "/.env"] : variableFiles {
            do {
                let text = try HostFile.contentText(file, limit: 1 << 20)
                let known = variables.merging(ProcessInfo.processInfo.environment) { _, own in own }
                variables.merge(try variablesOf(EnvironmentFile.parse(text, environment: known), file)) { _, later in later }
            } catch let failure as HostFile.Failure {
                guard failure.isMissing, variableFiles.isEmpty else {
                    throw CommandFailure(description: "the variables for the recipe cannot be read: \(failure)")
                }
            }
        }
        variables.merge(ProcessInfo.processInfo.environment) { _, own in own }
        if let project { variables["COMPOSE_PROJECT_NAME"] = project }
        let active = profiles.isEmpty ? (variables["COMPOSE_PROFILES"] ?? "").split(separator: ",").map(String.init) : profiles
        if !active.isEmpty { source.profiles = active }
        let zones = SystemZones()
        var limits = RecipeLimits(bytes: maxRecipeBytes)
        limits.nodes = max(limits.nodes, maxRecipeBytes / 10)
        let inputs = RecipeInputs(
            variables: variables, readFile: { try HostFile.contentText($0, limit: RecipeInputs.mostFileBytes) }, zone: { try zones.zone($0) },
            hostZone: zones.local(), limits: limits)
        return (source, inputs)
    }

    /// Reads it; what is doubtful is told, what is wrong ends the command.
    ///
    /// - Parameters:
    ///   - profiles: those that were asked for; none are those of COMPOSE_PROFILES
    ///   - overlays: files that are merged over it
    ///   - variableFiles: in place of the `.env` beside it
    ///   - project: its name, whatever the recipe says
    static func read(
        _ path: String, overlays: [String] = [], maxRecipeBytes: Int, profiles: [String] = [], variableFiles: [String] = [], project: String? = nil,
        quiet: Bool = false
    ) throws -> (RecipeSource, Recipe) {
        let (source, inputs) = try prepared(
            path, overlays: overlays, maxRecipeBytes: maxRecipeBytes, profiles: profiles, variableFiles: variableFiles, project: project)
        let result = RecipeReader.read(source, inputs)
        return (result.captured, try checked(result, path, quiet: quiet))
    }

    /// The recipe as it is in force.
    static func config(
        _ path: String, overlays: [String], maxRecipeBytes: Int, profiles: [String], variableFiles: [String], project: String?
    ) throws -> ConfigValue {
        let (source, inputs) = try prepared(
            path, overlays: overlays, maxRecipeBytes: maxRecipeBytes, profiles: profiles, variableFiles: variableFiles, project: project)
        let (result, value) = RecipeReader.config(source, inputs)
        _ = try checked(result, path, quiet: false)
        guard let value else { throw CommandFailure(description: "\(path) cannot be read") }
        return value
    }

    private static func checked(_ result: RecipeReader.Result, _ path: String, quiet: Bool) throws -> Recipe {
        let text = result.rendered(file: path)
        guard let recipe = result.recipe else {
            let errors = result.diagnostics.filter { $0.severity == .error }.count
            throw CommandFailure(
                description: "\(Show.count(errors, "error")) in \(path)", diagnostics: text,
                problems: result.diagnostics.map {
                    ProblemInfo(
                        file: $0.place.file == 0 ? path : result.file(of: $0), line: $0.place.line, column: $0.place.column, severity: $0.severity.rawValue,
                        message: $0.message)
                })
        }
        if !quiet, !text.isEmpty { Terminal.warn(text) }
        return recipe
    }
}
