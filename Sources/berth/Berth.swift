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
            CommandGroup(name: "Things that containers share", subcommands: [Images.self, Login.self, Logout.self, Network.self, Volume.self]),
            CommandGroup(name: "Acting", subcommands: [RunJob.self, Wait.self, Stop.self, Start.self, Restart.self, Pause.self, Resume.self]),
            CommandGroup(name: "Berth itself", subcommands: [Doctor.self, Version.self]),
        ])

    static func main() async {
        let arguments = GlobalOptions.moved(Array(CommandLine.arguments.dropFirst()))
        do {
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

/// Options that most verbs have may stand before the verb, as with docker.
enum GlobalOptions {
    /// The arguments with such options behind the verb's own, and before a `--`.
    static func moved(_ arguments: [String]) -> [String] {
        var rest = arguments[...]
        var moved: [String] = []
        while let first = rest.first {
            if first == "--json" || first.hasPrefix("--socket=") {
                moved.append(String(rest.removeFirst()))
            } else if first == "--socket", rest.count > 1 {
                moved += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else {
                break
            }
        }
        guard !moved.isEmpty, !rest.isEmpty else { return arguments }
        let end = rest.firstIndex(of: "--") ?? rest.endIndex
        return rest[..<end] + moved + rest[end...]
    }
}
