public import WorkloadModel

/// A network of the host's containers.
public struct NetworkInfo: Codable, Sendable {
    /// What it is called on the host.
    public var name: String
    /// The project that it belongs to; `nil` when somebody made it by hand.
    public var project: String?
    /// As Compose calls it: `bridge`.
    public var driver: String
    /// The host's interface.
    public var interface: String
    /// Whether it has no way out.
    public var isInternal: Bool
    /// As `10.89.0.0/22`, one of each version that it has.
    public var subnets: [String]
    /// The host's addresses on it, in the subnets' order.
    public var gateways: [String]
    /// Who is on it, ascending by owner.
    public var members: [NetworkMemberInfo]

    private enum CodingKeys: String, CodingKey {
        case name, project, driver, interface, isInternal = "internal", subnets, gateways, members
    }

    /// All of its fields.
    public init(
        name: String, project: String?, driver: String, interface: String, isInternal: Bool, subnets: [String], gateways: [String],
        members: [NetworkMemberInfo]
    ) {
        self.name = name
        self.project = project
        self.driver = driver
        self.interface = interface
        self.isInternal = isInternal
        self.subnets = subnets
        self.gateways = gateways
        self.members = members
    }
}

/// Who is on a network.
public struct NetworkMemberInfo: Codable, Sendable {
    /// The service or job, as `shop/web`; the project where jobs share a place.
    public var owner: String
    /// Its addresses there.
    public var addresses: [String]
    /// The names that lead to it.
    public var names: [String]
    /// The host's ports that lead to it, as `127.0.0.1:8080:80/tcp`.
    public var ports: [String]

    /// All of its fields.
    public init(owner: String, addresses: [String], names: [String], ports: [String]) {
        self.owner = owner
        self.addresses = addresses
        self.names = names
        self.ports = ports
    }
}

/// A network that is to be made by hand.
public struct NetworkUpload: Codable, Sendable {
    /// As in a recipe; its key is the name.
    public var network: NetworkSpec

    /// All of its fields.
    public init(network: NetworkSpec) { self.network = network }
}

/// What was removed.
public struct RemovedInfo: Codable, Sendable {
    /// Names, ascending.
    public var removed: [String]

    /// All of its fields.
    public init(removed: [String]) { self.removed = removed }
}
