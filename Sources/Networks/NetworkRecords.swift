internal import WorkloadModel

/// What was made, and what is about to be: written down before it is made, so that a daemon that comes back finds and removes it.
struct NetworkRecords: Codable {
    var networks: [NetworkRecord] = []
    var places: [PlaceRecord] = []
    /// Interfaces are numbered; a number is not used again while it could still be there.
    var lastNumber = 0

    mutating func nextNumber() -> Int {
        // Names of interfaces have 15 characters.
        let taken = Set(networks.map(\.number) + places.flatMap { $0.connections.map(\.number) })
        repeat { lastNumber = lastNumber % 99_999 + 1 } while taken.contains(lastNumber)
        return lastNumber
    }
}

/// A network that is there, or is to be.
struct NetworkRecord: Codable {
    let name: String
    /// `nil` when somebody made it by hand.
    var project: ProjectName?
    var spec: NetworkSpec
    let number: Int
    /// Of each version that it has; the gateway is set.
    let subnets: [NetworkSpec.Subnet]
    /// The VLAN that was made for it, because the host had no such interface then; `nil` when the parent is the host's own, and waited for
    /// where it goes away.
    var vlan: VLAN?

    struct VLAN: Codable, Equatable {
        let parent: String
        let tag: Int
    }

    var gateways: [Address] { subnets.compactMap(\.gateway) }

    /// Whether it is a bridge of the host's, and not interfaces on one that the host has.
    var isBridge: Bool { spec.parent == nil }
}

/// A place: a network namespace with an interface on each of its networks.
struct PlaceRecord: Codable {
    let id: String
    let project: ProjectName
    /// Who has it: a service or job, or the jobs of a project that are on the same networks.
    var owner: PlaceOwner
    /// What it was made for. A container that asks for something else has another place.
    let needs: PlaceNeeds
    var connections: [Connection]
    var ports: [PublishedPort]

    struct Connection: Codable {
        let number: Int
        let network: String
        let interface: String
        let addresses: [Address]
        let hardwareAddress: String
        let names: [String]
        /// Whether the way out leads there.
        let isWayOut: Bool
    }
}

extension PlaceRecord {
    /// The job whose own place it is; a service's too.
    var jobOwner: WorkloadID? { if case .instance(let id) = owner { id.workload } else { nil } }
}

enum PlaceOwner: Codable, Hashable {
    case instance(InstanceID)
    /// One of the places that the jobs of a project share.
    case shared(ProjectName)
    /// It was this one's, who has another one now. Others are still in it.
    case retired(InstanceID)

    var description: String {
        switch self {
        case .instance(let id), .retired(let id): id.description
        case .shared(let project): project.description
        }
    }
}

/// What of a container decides on its place.
struct PlaceNeeds: Codable, Hashable {
    var attachments: [NetworkAttachment]
    var ports: [PublishedPort]
    /// Who is asked for names that the networks do not know.
    var servers: [Address]
    /// Whether it was for a container that can change interfaces and routes.
    var isAdministered: Bool

    init(_ container: ContainerSpec) {
        attachments = container.attachments
        ports = container.ports
        servers = container.resolver.servers
        isAdministered = container.privileged || container.capabilities.contains(.netAdmin)
    }

    /// Whether any run that asks for the same may have it.
    var canBeShared: Bool { ports.isEmpty && attachments.allSatisfy { $0.addresses.isEmpty && $0.aliases.isEmpty && $0.hardwareAddress == nil } }
}
