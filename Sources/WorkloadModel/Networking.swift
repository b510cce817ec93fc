/// The network that a container sees; the raw value is Compose's `network_mode`, and `networks` where the recipe has none.
public enum NetworkMode: Hashable, Sendable, Codable, RawRepresentable {
    /// An own network with a loopback interface only.
    case none
    /// The host's.
    case host
    /// Those of ``ContainerSpec/attachments``, by a place of its own.
    case networks
    /// The place of another service of the project, for as long as that is in the recipe.
    case service(WorkloadName)
    /// The place of a service of any project, found by its `container_name` when a run begins.
    case container(String)

    private static let servicePrefix = "service:"
    private static let containerPrefix = "container:"

    /// `nil` for another text.
    public init?(rawValue: String) {
        switch rawValue {
        case "none": self = .none
        case "host": self = .host
        case "networks": self = .networks
        default:
            if rawValue.hasPrefix(NetworkMode.containerPrefix) {
                self = .container(String(rawValue.dropFirst(NetworkMode.containerPrefix.count)))
                return
            }
            guard rawValue.hasPrefix(NetworkMode.servicePrefix), let name = try? WorkloadName(String(rawValue.dropFirst(NetworkMode.servicePrefix.count)))
            else { return nil }
            self = .service(name)
        }
    }

    /// `none`, `host`, `networks`, `service:NAME` or `container:NAME`.
    public var rawValue: String {
        switch self {
        case .none: "none"
        case .host: "host"
        case .networks: "networks"
        case .service(let name): NetworkMode.servicePrefix + name.description
        case .container(let name): NetworkMode.containerPrefix + name
        }
    }
}

/// A network of a recipe, as the Compose Specification's page "Networks" has it.
public struct NetworkSpec: Hashable, Sendable, Codable {
    /// How the interfaces of its containers reach each other; the raw value is Compose's.
    public enum Driver: String, Sendable, Codable, CaseIterable {
        /// A bridge of the host's, which routes to the outside.
        case bridge
        /// Interfaces of their own on one of the host's, which the host itself does not reach.
        case macvlan
        /// The same with the host's hardware address.
        case ipvlan
    }

    /// The key in the recipe; `default` is the one that a service without `networks` has.
    public let key: String
    /// What it is called on the host; `nil` is the project's name and the key.
    public var name: String?
    /// How it is made.
    public var driver = Driver.bridge
    /// Whether it has no way out, and none in.
    public var isInternal = false
    /// Whether it is of another project, and only joined here.
    public var isExternal = false
    /// Whether it has addresses of version 6 as well.
    public var hasIPv6 = false
    /// As `10.5.0.0/16`; a free one of the host's pools is taken for a version that none is given of.
    public var subnets: [Subnet] = []
    /// Of the driver.
    public var options: [String: String] = [:]
    /// For people.
    public var labels: [String: String] = [:]

    /// A range of addresses of a network.
    public struct Subnet: Hashable, Sendable, Codable {
        /// As `10.5.0.0/16`.
        public var range: AddressRange
        /// The host's address in it; `nil` is the first.
        public var gateway: Address?
        /// Where addresses are taken from that no service names; `nil` is all of the range.
        public var pool: AddressRange?

        /// Memberwise; nothing is checked.
        public init(range: AddressRange, gateway: Address? = nil, pool: AddressRange? = nil) {
            self.range = range
            self.gateway = gateway
            self.pool = pool
        }
    }

    /// The interface of the host that a network of the drivers macvlan and ipvlan is on, as `eth0`, or `eth0.50` for a VLAN of it. Without
    /// one, such a network leads nowhere, and is made as an internal bridge.
    public var parent: String? { driver == .bridge ? nil : options["parent"] }

    /// Takes the way out from a network of macvlan or ipvlan that has no parent, as Docker does.
    public mutating func closeWithoutParent() { if driver != .bridge, parent == nil, !isExternal { isInternal = true } }

    /// Whether packets are routed by the network's containers alone, and not by a gateway (ipvlan's modes l3 and l3s).
    public var isRouted: Bool { driver == .ipvlan && (options["ipvlan_mode"] ?? "l2") != "l2" }

    /// What networks on one interface have in common, since the kernel takes one of it there: the driver and, of ipvlan, its mode.
    public var kindOnParent: [String] {
        [driver.rawValue] + (driver == .ipvlan ? [options["ipvlan_mode"] ?? "l2", options["ipvlan_flag"] ?? "bridge"] : [])
    }

    /// Whether its containers do not reach each other.
    public var isolatesContainers: Bool {
        options["com.docker.network.bridge.enable_icc"] == "false" || options["macvlan_mode"] == "private" || options["ipvlan_flag"] == "private"
    }

    /// The options that a driver has, with the values that an option may have, where they are few.
    public static func options(of driver: Driver) -> [String: [String]] {
        let all: [String: [String]] = ["com.docker.network.driver.mtu": [], "mtu": []]
        let own: [String: [String]] =
            switch driver {
            case .bridge: ["com.docker.network.bridge.enable_icc": [], "com.docker.network.bridge.enable_ip_masquerade": []]
            case .macvlan: ["parent": [], "macvlan_mode": ["bridge", "vepa", "private", "passthru"]]
            case .ipvlan: ["parent": [], "ipvlan_mode": ["l2", "l3", "l3s"], "ipvlan_flag": ["bridge", "private", "vepa"]]
            }
        return all.merging(own) { first, _ in first }
    }

    /// What is wrong with an option; `nil` when nothing is.
    public static func problem(ofOption name: String, _ value: String, driver: Driver) -> String? {
        let known = options(of: driver)
        guard let values = known[name] else {
            return "the network option '\(name)' is not supported: use \(known.keys.filter { $0 != "mtu" }.sorted().joined(separator: ", "))"
        }
        if !values.isEmpty, !values.contains(value) { return "'\(value)' is not a value of '\(name)': use \(values.joined(separator: ", "))" }
        if name.hasSuffix("mtu"), !(Int(value).map { (576...65535).contains($0) } ?? false) { return "'\(value)' is not an MTU: use 576 to 65535" }
        if name == "parent", value == "lo" || !isInterface(value) { return "'\(value)' cannot be a parent: name an interface of the host, as eth0" }
        return nil
    }

    /// Whether a text can be the name of an interface.
    private static func isInterface(_ text: String) -> Bool {
        (1...15).contains(text.utf8.count) && text != "." && text != ".." && !text.hasPrefix("-")
            && text.utf8.allSatisfy { (33...126).contains($0) && $0 != 47 && $0 != 58 }
    }

    /// The key that a service without `networks` is on.
    public static let defaultKey = "default"

    /// A bridge with what nobody said.
    public init(key: String) { self.key = key }

    /// Whether a text can be the name of a network: 1 to 63 letters, digits, `-`, `_` and `.`, the first a letter or digit (compose-spec.json,
    /// `^[a-zA-Z0-9._-]+$`, and what Docker's engine asks of the first).
    public static func isName(_ text: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool { (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) }
        let others = "-_.".utf8
        return (text.utf8.first.map(isAlphanumeric) ?? false) && text.utf8.count <= 63 && text.utf8.allSatisfy { isAlphanumeric($0) || others.contains($0) }
    }

    /// What it is called on the host, as Compose names it.
    public func realName(in project: ProjectName) -> String { name ?? "\(project)_\(key)" }
}

/// One of the networks that a container is on, and how.
public struct NetworkAttachment: Hashable, Sendable, Codable {
    /// The network's key in the recipe.
    public let network: String
    /// Names beside the service's own that lead to it there.
    public var aliases: [String] = []
    /// Fixed addresses; one of each version at most.
    public var addresses: [Address] = []
    /// As `02:42:ac:11:00:02`; `nil` follows from the address.
    public var hardwareAddress: String?
    /// What the interface is called in the container; `nil` is `eth0`, `eth1` and so on.
    public var interfaceName: String?
    /// The network with the highest is the way out; of equals, the first by name.
    public var gatewayPriority = 0
    /// The one with the highest is `eth0`; of equals, the first by name.
    public var priority = 0

    /// On a network, with what nobody said.
    public init(network: String) { self.network = network }
}

/// A port of a container that is reached by one of the host's.
public struct PublishedPort: Hashable, Sendable, Codable, CustomStringConvertible {
    /// What is carried; the raw value is Compose's.
    public enum Transport: String, Sendable, Codable, CaseIterable { case tcp, udp, sctp }

    /// The host's address that it is reached by; `nil` is every one.
    public var hostAddress: Address?
    /// `nil` is one that is free.
    public var hostPort: UInt16?
    /// In the container.
    public var containerPort: UInt16
    /// What is carried.
    public var transport: Transport

    /// Memberwise.
    public init(hostAddress: Address? = nil, hostPort: UInt16? = nil, containerPort: UInt16, transport: Transport = .tcp) {
        self.hostAddress = hostAddress
        self.hostPort = hostPort
        self.containerPort = containerPort
        self.transport = transport
    }

    /// As Compose's short form has it: `127.0.0.1:8080:80/tcp`; without a port of the host `80/tcp`.
    public var description: String {
        let host = hostAddress.map { $0.isIPv6 ? "[\($0)]:" : "\($0):" } ?? ""
        return host + (hostPort.map { "\($0):" } ?? (host.isEmpty ? "" : ":")) + "\(containerPort)/\(transport.rawValue)"
    }
}

/// A line of a container's /etc/hosts.
public struct HostEntry: Hashable, Sendable, Codable {
    /// The name that is looked up.
    public let name: String
    /// An address, or `host-gateway`: the host's own on the container's network.
    public let address: String

    /// Memberwise; nothing is checked.
    public init(name: String, address: String) {
        self.name = name
        self.address = address
    }

    /// The address that stands for the host.
    public static let gateway = "host-gateway"
}

/// A name that a container knows another service by, beside the service's own.
public struct ServiceLink: Hashable, Sendable, Codable {
    /// The service.
    public let service: WorkloadName
    /// The name that is looked up.
    public let alias: String

    /// Memberwise; nothing is checked.
    public init(service: WorkloadName, alias: String) {
        self.service = service
        self.alias = alias
    }
}

/// How a container looks names up that its networks do not know; `nil` is as the host does.
public struct ResolverSettings: Hashable, Sendable, Codable {
    /// Addresses of servers, asked in this order.
    public var servers: [Address] = []
    /// Domains that are tried behind a name.
    public var search: [String]?
    /// As resolv.conf(5) has them.
    public var options: [String]?

    /// As the host does.
    public init() {}
}
