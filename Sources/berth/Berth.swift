import ArgumentParser
import ControlAPI

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
            CommandGroup(name: "Recipes", subcommands: [Up.self, Plan.self, Validate.self, Down.self, Import.self]),
            CommandGroup(name: "Looking", subcommands: [Ps.self, Runs.self, Logs.self, Next.self, Due.self, Inspect.self, Explain.self]),
            CommandGroup(name: "Acting", subcommands: [RunJob.self, Stop.self, Start.self, Restart.self, Pause.self, Resume.self]),
            CommandGroup(name: "Berth itself", subcommands: [Doctor.self, Version.self]),
        ])
}
