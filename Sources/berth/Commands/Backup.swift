import ArgumentParser
import ControlAPI
import FoundationEssentials
import Glibc
import HostOS
import NIOHTTP1

struct Backup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Write the history, the recipes and volumes as one tar archive, while all runs on.",
        discussion: """
            In it are a copy of the history with the recipes in force, the files of /etc/berth/recipes, and the volumes that are named. What 'secrets:' \
            and 'env_file:' name of the host is not. 'berth restore' takes it. Files of a volume that change meanwhile are caught as they are just \
            then: a database is better dumped by a job first.
            """)
    @Argument(help: "The archive's file, which is complete or not there; - is the standard output.", completion: .file()) var file: String
    @Option(help: ArgumentHelp("A volume that goes with it, as 'berth volume ls' names it; may be given more than once.", valueName: "name"))
    var volume: [String] = []
    @Flag(help: "All volumes go with it.") var allVolumes = false
    @Option(
        help: ArgumentHelp("Secrets are encrypted with the passphrase in this file, without its last line end.", valueName: "file"), completion: .file())
    var passphraseFile: String?
    @Flag(help: "Secrets are in the archive as they are: who can read it can read them.") var plainSecrets = false
    @Flag(help: "Secrets are left out. On another host the recipes are to be applied again then.") var withoutSecrets = false
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let choices = [passphraseFile != nil, plainSecrets, withoutSecrets].count { $0 }
            guard choices == 1 else {
                throw CommandFailure(
                    description: """
                        say what becomes of secrets (the key of the recipes in the history, and of registries) by \
                        \(choices == 0 ? "one" : "only one") of --passphrase-file FILE, --plain-secrets and --without-secrets
                        """)
            }
            guard !allVolumes || volume.isEmpty else { throw CommandFailure(description: "--all-volumes and --volume are not for each other") }
            let upload = BackupUpload(
                secrets: passphraseFile != nil ? .encrypted : plainSecrets ? .plain : .none, passphrase: try passphraseFile.map { try Backup.passphrase($0) },
                volumes: allVolumes ? nil : volume)
            let archive = try ArchiveFile.output(file)
            try await ControlClient.use(connection) { client in
                try await client.stream(.POST, ControlPaths.backup, body: upload) { try archive.write($0) }
            }
            try archive.finish()
            if file != "-", !connection.json { Terminal.say("\(Terminal.harmless(file)) is written") }
        }
    }

    static func passphrase(_ path: String) throws -> String {
        var text: String
        do { text = try HostFile.contentText(path, limit: 4096) } catch { throw CommandFailure(description: "the passphrase cannot be read: \(error)") }
        if text.hasSuffix("\n") { text.removeLast() }
        guard !text.isEmpty else { throw CommandFailure(description: "the passphrase in \(path) is empty") }
        return text
    }
}

struct RestoreBackup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Put what 'berth backup' wrote in the place of what is there.",
        discussion: """
            For root, while no daemon runs: 'systemctl stop berth' before, 'systemctl start berth' after. What is replaced is put aside, into \
            STATE-DIR/quarantine. Due times since the backup are 'history lost', and none is made up for: it may have run.
            """)
    @Argument(help: "The archive's file.", completion: .file()) var file: String
    @Option(help: ArgumentHelp("The passphrase that the secrets were encrypted with, in a file.", valueName: "file"), completion: .file())
    var passphraseFile: String?
    @Flag(help: "A history, volumes and recipe files that are there are put aside.") var replace = false
    @Option(help: "The daemon's state directory.", completion: .directory) var stateDir = "/var/lib/berth"
    @Option(help: "The daemon's runtime directory.", completion: .directory) var runtimeDir = "/run/berth"
    @Option(help: "The daemon's directory of recipe files.", completion: .directory) var recipeDir = "/etc/berth/recipes"

    /// The daemon knows how it keeps things: it does the work.
    func run() async throws {
        var arguments = ["berthd", "--restore", file, "--state-dir", stateDir, "--runtime-dir", runtimeDir, "--recipe-dir", recipeDir]
        if let passphraseFile { arguments += ["--passphrase-file", passphraseFile] }
        if replace { arguments.append("--replace") }
        let own = (HostFile.link("/proc/self/exe") ?? "").split(separator: "/").dropLast().map { "/\($0)" }.joined()
        let places: [String] = ["\(own)/berthd", "/usr/sbin/berthd"]
        let program: String = places.first { HostFile.exists($0) } ?? "berthd"
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        words.append(nil)
        execvp(program, words)
        Terminal.warn("berth: \(program) cannot be run: \(String(cString: strerror(errno)))")
        throw ExitCode(1)
    }
}
