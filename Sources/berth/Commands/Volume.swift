import ArgumentParser
import ControlAPI
import Glibc
import NIOHTTP1

struct Volume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volume", abstract: "Show, save and remove volumes.",
        discussion: "A volume stays when its project is taken down, with all that is in it. What a service or job has is not removed.",
        subcommands: [List.self, Backup.self, Restore.self, Remove.self, Prune.self], defaultSubcommand: List.self, aliases: ["volumes"])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "ls", abstract: "List volumes, what they take of the disk, and whose they are.")
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) {
                let volumes: [VolumeInfo] = try await ControlClient.use(connection) { try await $0.get(ControlPaths.volumes) }
                if connection.json {
                    try Terminal.print(json: volumes)
                    return
                }
                var table = Table("NAME", "SIZE", "USED BY")
                for volume in volumes {
                    table.add([
                        .init(text: volume.name), .init(text: volume.bytes.map { Show.bytes($0) } ?? "many files"),
                        .init(text: volume.users.isEmpty ? "-" : volume.users.joined(separator: " ")),
                    ])
                }
                if table.isEmpty { Terminal.say("there are no volumes") } else { table.print() }
            }
        }
    }

    struct Backup: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "backup", abstract: "Write what a volume holds as a tar archive.",
            discussion: "Files that change meanwhile are caught as they are just then: a database is better dumped by a job.")
        @Argument(help: "The volume, as 'berth volume ls' names it.") var name: String
        @Option(name: .shortAndLong, help: "The archive's file, which is complete or not there; by default, or as -, the standard output.", completion: .file())
        var output: String?
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) {
                let file = try ArchiveFile.output(output)
                try await ControlClient.use(connection) { client in
                    try await client.stream(.GET, "\(ControlPaths.volumes)/\(ControlClient.percentEncoded(name))/tar") { try file.write($0) }
                }
                try file.finish()
            }
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "restore", abstract: "Replace what a volume holds by a tar archive's content.",
            discussion: """
                All that the volume held is gone then; until the archive is unpacked whole it stays as it is. No run may have the volume. One that is \
                not there is made: write it as PROJECT/NAME.
                """)
        @Argument(help: "The volume, as 'berth volume ls' names it.") var name: String
        @Argument(help: "The archive's file; by default, or as -, the standard input.", completion: .file()) var file: String?
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) {
                var descriptor = STDIN_FILENO
                if let file, file != "-" {
                    descriptor = open(file, O_RDONLY | O_CLOEXEC)
                    guard descriptor >= 0 else { throw CommandFailure(description: "cannot read \(file): \(String(cString: strerror(errno)))") }
                }
                let path = "\(ControlPaths.volumes)/\(ControlClient.percentEncoded(name))/tar"
                let info: VolumeInfo = try await ControlClient.use(connection) { [descriptor] in try await $0.upload(path, from: descriptor) }
                if connection.json { try Terminal.print(json: info) } else { Terminal.say("the volume \(Terminal.harmless(info.name)) is restored") }
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove volumes with all that is in them.")
        @Argument(help: "Volumes, as 'berth volume ls' names them.") var names: [String]
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) { try await Removals.each(names, below: ControlPaths.volumes, connection) }
        }
    }

    struct Prune: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "prune", abstract: "Remove the volumes without a name that no service or job has any more.")
        @Flag(help: "Those with names as well: what a project that was taken down had kept is gone then.") var all = false
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) { try await Removals.prune("\(ControlPaths.volumes)/prune\(all ? "?all=1" : "")", connection) }
        }
    }
}
