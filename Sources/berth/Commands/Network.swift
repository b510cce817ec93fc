import ArgumentParser
import ControlAPI
import WorkloadModel

struct Network: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "network", abstract: "Show, make and remove networks.",
        discussion: "Networks of recipes come and go with their projects. One that several projects join is made here, and is 'external' in their recipes.",
        subcommands: [List.self, Inspect.self, Create.self, Remove.self, Prune.self], defaultSubcommand: List.self, aliases: ["networks"])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "ls", abstract: "List networks.")
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) {
                let networks: [NetworkInfo] = try await ControlClient.use(connection) { try await $0.get(ControlPaths.networks) }
                if connection.json {
                    try Terminal.print(json: networks)
                    return
                }
                var table = Table("NAME", "PROJECT", "DRIVER", "INTERFACE", "SUBNETS", "MEMBERS")
                for network in networks {
                    let driver = network.isInternal ? "\(network.driver), internal" : network.driver
                    table.add([
                        .init(text: network.name), .init(text: network.project ?? "-"), .init(text: driver), .init(text: network.interface),
                        .init(text: network.subnets.joined(separator: " ")), .init(text: "\(network.members.count)"),
                    ])
                }
                if table.isEmpty { Terminal.say("there are no networks") } else { table.print() }
            }
        }
    }

    struct Inspect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "inspect", abstract: "Show a network and who is on it.")
        @Argument(help: "The network, as 'berth network ls' names it.") var name: String
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) {
                let networks: [NetworkInfo] = try await ControlClient.use(connection) { try await $0.get(ControlPaths.networks) }
                guard let network = networks.first(where: { $0.name == name }) else {
                    throw CommandFailure(description: "there is no network '\(Terminal.harmless(name))': 'berth network ls' lists them")
                }
                if connection.json {
                    try Terminal.print(json: network)
                    return
                }
                Terminal.say(Terminal.paint("network \(Terminal.harmless(network.name))", .bold))
                var facts = [("project", network.project ?? "-"), ("driver", network.driver), ("interface", network.interface)]
                if network.isInternal { facts.append(("internal", "true")) }
                facts += zip(network.subnets, network.gateways).map { ("subnet", "\($0), the host is \($1)") }
                for (key, value) in facts { Terminal.say("  \(key.padded(18)) \(Terminal.harmless(value))") }
                Terminal.say("")
                var table = Table("MEMBER", "ADDRESSES", "NAMES", "PORTS")
                for member in network.members {
                    table.add([
                        .init(text: member.owner), .init(text: member.addresses.joined(separator: " ")), .init(text: member.names.joined(separator: " ")),
                        .init(text: member.ports.joined(separator: " ")),
                    ])
                }
                if table.isEmpty { Terminal.say("nobody is on it") } else { table.print() }
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "create", abstract: "Make a network that several projects can join.")
        @Argument(help: "Its name.") var name: String
        @Option(help: ArgumentHelp("Its addresses, as 10.5.0.0/24; by default free ones.", valueName: "range")) var subnet: [String] = []
        @Option(help: ArgumentHelp("The host's address in the subnet; by default the first.", valueName: "address")) var gateway: String?
        @Option(help: "How containers are on it: bridge, macvlan or ipvlan.") var driver = NetworkSpec.Driver.bridge.rawValue
        @Option(name: [.customShort("o"), .customLong("opt")], help: ArgumentHelp("A setting of the driver, as parent=eth0.", valueName: "name=value"))
        var options: [String] = []
        @Flag(help: "Without a way out, and none in.") var `internal` = false
        @Flag(help: "With addresses of version 6 as well.") var ipv6 = false
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) {
                var spec = NetworkSpec(key: name)
                guard let driver = NetworkSpec.Driver(rawValue: driver) else {
                    let known = NetworkSpec.Driver.allCases.map(\.rawValue).joined(separator: ", ")
                    throw CommandFailure(description: "'\(Terminal.harmless(driver))' is not a driver: use \(known)")
                }
                spec.driver = driver
                for option in options {
                    let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                    guard parts.count == 2 else {
                        throw CommandFailure(description: "'\(Terminal.harmless(option))' is not a setting: write it as parent=eth0")
                    }
                    spec.options[parts[0]] = parts[1]
                }
                spec.isInternal = self.internal
                spec.closeWithoutParent()
                spec.subnets = try subnet.map { text in
                    guard let range = AddressRange(text), range.isSubnet else {
                        throw CommandFailure(description: "'\(Terminal.harmless(text))' is not a subnet: write it as 10.5.0.0/24")
                    }
                    return NetworkSpec.Subnet(range: range)
                }
                if let gateway {
                    guard let address = Address(gateway), let index = spec.subnets.firstIndex(where: { $0.range.contains(address) }) else {
                        throw CommandFailure(description: "'\(Terminal.harmless(gateway))' is not an address of a subnet given by --subnet")
                    }
                    spec.subnets[index].gateway = address
                }
                spec.hasIPv6 = ipv6 || spec.subnets.contains { $0.range.first.isIPv6 }
                let upload = NetworkUpload(network: spec)
                let info: RemovedInfo = try await ControlClient.use(connection) { try await $0.post(ControlPaths.networks, upload) }
                if connection.json { try Terminal.print(json: info) } else { Terminal.say("the network \(Terminal.harmless(name)) is made") }
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove networks that belong to no project.")
        @Argument(help: "Networks, as 'berth network ls' names them.") var names: [String]
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) { try await Removals.each(names, below: ControlPaths.networks, connection) }
        }
    }

    struct Prune: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "prune", abstract: "Remove the networks that belong to no project and that nobody uses.")
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await report(connection) { try await Removals.prune("\(ControlPaths.networks)/prune", connection) }
        }
    }
}
