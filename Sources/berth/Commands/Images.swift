import ArgumentParser
import ControlAPI

struct Images: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "images", abstract: "List the images that are there, and how much of the disk they take.",
        discussion: """
            OWN is what goes with an image alone; the rest it shares with others. What no recipe in force and no run needs is removed after a week \
            (berthd's --keep-images), or sooner where the disk is short.
            """)
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let images: [ImageInfo] = try await ControlClient.use(connection) { try await $0.get(ControlPaths.images) }
            if connection.json {
                try Terminal.print(json: images)
                return
            }
            var table = Table("IMAGE", "DIGEST", "BROUGHT IN", "SIZE", "OWN", "USED BY")
            for image in images {
                table.add([
                    .init(text: image.names.isEmpty ? "-" : image.names.joined(separator: " ")), .init(text: String(image.digest.prefix(12))),
                    .init(text: Show.local(image.broughtIn)), .init(text: Show.bytes(image.bytes)), .init(text: Show.bytes(image.ownBytes)),
                    .init(text: image.users.isEmpty ? "-" : image.users.joined(separator: " ")),
                ])
            }
            if table.isEmpty { Terminal.say("there are no images") } else { table.print() }
        }
    }
}

struct Pull: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Bring the images of a recipe in, and change nothing else.",
        discussion: "What a registry has now is asked for, unless --pull or the recipe's 'pull_policy: never' says otherwise. 'berth up' starts from it.")
    @OptionGroup var recipe: RecipeArguments
    @OptionGroup var pulls: PullOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let (source, _) = try recipe.read()
            try await ControlClient.use(connection) { client in
                let last = try await client.progress(of: RecipeUpload(source: source, pull: pulls.pull), at: "\(ControlPaths.images)/pull")
                guard let images = last?.images else { throw CommandFailure(description: "the daemon broke off before all images were there") }
                if connection.json {
                    try Terminal.print(json: images)
                } else if images.isEmpty {
                    Terminal.say("the recipe has no images to bring in")
                } else {
                    for image in images { Terminal.say("\(Terminal.harmless(image)) is there") }
                }
            }
        }
    }
}

struct RemoveImages: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rmi", abstract: "Remove images that no recipe and no run needs.",
        discussion: "A name is what 'berth images' shows, or the beginning of a digest. An image that has several names goes with all of them.")
    @Argument(help: "Images.") var names: [String]
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) { try await Removals.each(names, below: ControlPaths.images, connection) }
    }
}

struct PruneImages: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove all images that no recipe and no run needs.",
        discussion: "Volumes and networks are not touched: 'berth volume prune' and 'berth network prune' are for those.")
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) { try await Removals.prune("\(ControlPaths.images)/prune", connection) }
    }
}
