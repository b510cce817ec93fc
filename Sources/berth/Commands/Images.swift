import ArgumentParser
import ControlAPI

struct Images: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "images", abstract: "List the images that are there, and how much of the disk they take.",
        discussion: "OWN is what goes with an image alone; the rest it shares with others. What no recipe in force and no run needs is removed by itself.")
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let images: [ImageInfo] = try await ControlClient.use(connection) { try await $0.get(ControlPaths.images) }
            if connection.json {
                try Terminal.print(json: images)
                return
            }
            var table = Table("IMAGE", "DIGEST", "BROUGHT IN", "SIZE", "OWN")
            for image in images {
                table.add([
                    .init(text: image.names.isEmpty ? "-" : image.names.joined(separator: " ")), .init(text: String(image.digest.prefix(12))),
                    .init(text: Show.local(image.broughtIn)), .init(text: Show.bytes(image.bytes)), .init(text: Show.bytes(image.ownBytes)),
                ])
            }
            if table.isEmpty { Terminal.say("there are no images") } else { table.print() }
        }
    }
}
