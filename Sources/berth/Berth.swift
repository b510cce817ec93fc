import ArgumentParser
import ControlAPI
import RecipeFile

/// The command line. Every verb is in a file of its own.
@main
struct Berth: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "berth", abstract: "Keeps services on and runs jobs at their time, from one recipe.",
        discussion: """
            Talks to berthd over a Unix socket: --socket, $BERTH_SOCKET, or \(ControlPaths.defaultSocket). Names are NAME, or PROJECT/NAME \
            where two projects have the same one. 'validate', 'plan --offline', 'next -f' and 'explain' need no daemon.

            Shell completions: berth --generate-completion-script bash|zsh|fish
            """, version: BerthVersion.current,
        groupedSubcommands: [
            CommandGroup(name: "Recipes", subcommands: [Up.self, Plan.self, Validate.self, Config.self, Down.self, Import.self]),
            CommandGroup(name: "Looking", subcommands: [Ps.self, Runs.self, Logs.self, Next.self, Due.self, Events.self, Inspect.self, Explain.self]),
            CommandGroup(
                name: "Things that containers share",
                subcommands: [Images.self, Pull.self, RemoveImages.self, PruneImages.self, Login.self, Logout.self, Network.self, Volume.self]),
            CommandGroup(name: "Acting", subcommands: [RunJob.self, Wait.self, Stop.self, Start.self, Restart.self, Pause.self, Resume.self]),
            CommandGroup(name: "Berth itself", subcommands: [Audit.self, Backup.self, RestoreBackup.self, Doctor.self, Version.self]),
        ])

    static func main() async {
        var arguments = Array(CommandLine.arguments.dropFirst())
        do {
            arguments = try GlobalOptions.moved(arguments)
            var command = try await asyncParseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
        } catch let code as ExitCode { exit(withError: code) } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            var (short, long) = (message(for: error), fullMessage(for: error, columns: nil))
            if let verb = arguments.first, !verb.hasPrefix("-"), !verbs.contains(verb) {
                let hint = Suggestion.nearest(to: verb, among: verbs).map { "; did you mean '\($0)'?" } ?? ": 'berth --help' lists them"
                short = "there is no verb '\(Terminal.harmless(verb))'\(hint)"
                long = "berth: \(short)"
            }
            let isJSON = arguments.prefix { $0 != "--" }.contains("--json")
            if !isJSON || (try? Terminal.print(json: ErrorInfo(error: short))) == nil { Terminal.warn(long) }
            // As shells and most programs have it for a command that was not written right.
            exit(withError: ExitCode(2))
        }
    }

    /// Each verb says its name: to work it out from its type's takes Swift's runtime a third of the time of a whole command.
    private static var verbs: [String] {
        let all = configuration.groupedSubcommands.flatMap { $0.subcommands }.map { $0.configuration }
        return all.flatMap { [$0.commandName].compactMap { $0 } + $0.aliases } + ["help"]
    }
}

/// Options may stand before the verb, as with docker and docker compose.
enum GlobalOptions {
    private static let flags: Set<String> = ["--json"]
    private static let valued: Set<String> = ["--socket"]
    /// Those that say which recipe is meant.
    private static let recipe: Set<String> = ["-f", "--file", "-p", "--project-name", "--env-file", "--profile"]
    /// Those with ``RecipeOptions``.
    private static let recipeVerbs = ["up", "plan", "validate", "config", "down", "pull"]

    /// The arguments with such options behind the verb's own, and before a `--`.
    ///
    /// - Throws: `ValidationError` of one that the verb does not have
    static func moved(_ arguments: [String]) throws -> [String] {
        var rest = arguments[...]
        var moved: [String] = []
        var ofRecipe: String?
        while let first = rest.first {
            let name = first.firstIndex(of: "=").map { String(first[..<$0]) } ?? first
            let isValued = valued.contains(name) || recipe.contains(name)
            let count = isValued && name == first ? 2 : 1
            guard isValued || flags.contains(first), rest.count >= count else { break }
            if recipe.contains(name) { ofRecipe = name }
            moved += rest.prefix(count)
            rest = rest.dropFirst(count)
        }
        guard !moved.isEmpty, let verb = rest.first else { return arguments }
        // Another option of this name would be taken for it, as in `logs -f`.
        if let ofRecipe, !recipeVerbs.contains(verb), !(verb == "next" && ["-f", "--file"].contains(ofRecipe)) {
            throw ValidationError(
                "'\(ofRecipe)' before the verb says which recipe is meant, and '\(Terminal.harmless(verb))' takes none: "
                    + "it goes with \(recipeVerbs.dropLast().joined(separator: ", ")) and \(recipeVerbs.last!)")
        }
        let end = rest.firstIndex(of: "--") ?? rest.endIndex
        return rest[..<end] + moved + rest[end...]
    }
}
