import ArgumentParser
import ControlAPI

struct Volume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volume", abstract: "Show and remove volumes.",
        discussion: "A volume stays when its project is taken down, with all that is in it. What a service or job has is not removed.",
        subcommands: [List.self, Remove.self, Prune.self])

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
