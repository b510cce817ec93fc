public import WorkloadModel

/// What gives containers their networks. A place is made when a recipe is applied and kept from run to run, so that a launch only joins it.
public protocol PlaceProvider: Sendable {
    /// Looks for what stands in the way of a recipe's networks and ports, and changes nothing.
    ///
    /// - Throws: ``EngineError``
    func check(_ recipe: Recipe) async throws(EngineError)

    /// A recipe is in force since before this daemon: what it needs is made when a run needs it, or soon.
    func know(_ recipe: Recipe) async

    /// Makes the networks of a recipe, and the places of its services. Places of the project that the recipe no longer needs go once no
    /// run is in them.
    ///
    /// - Throws: ``EngineError``; then what the project had stays as it was
    func prepare(_ recipe: Recipe) async throws(EngineError)

    /// Nothing of a project is wanted any more: its places and networks go once no run is in them.
    func release(_ project: ProjectName) async

    /// Gives a run its place until it is left.
    ///
    /// - Throws: ``EngineError``
    func take(_ run: RunRequest) async throws(EngineError) -> NetworkPlace

    /// A run that an earlier daemon started has this place.
    func adopt(_ run: RunID, place: String) async

    /// A run has ended; that it has no place is no failure.
    func leave(_ run: RunID) async

    /// Returns once all changes that were begun are made, or have failed.
    func settled() async

    /// The networks, ascending by name.
    func list() async -> [NetworkStatus]

    /// Makes a network that belongs to no recipe.
    ///
    /// - Throws: ``EngineError`` when there is one of this name, or it cannot be made
    func create(_ spec: NetworkSpec) async throws(EngineError)

    /// Removes networks that belong to no recipe.
    ///
    /// - Parameter name: `nil` is all that nobody uses
    /// - Returns: the names of those that were removed
    /// - Throws: ``EngineError`` when it is not there, belongs to a project, or is used
    func remove(_ name: String?) async throws(EngineError) -> [String]

    /// What people are to know, such as a name server that cannot be started; empty when all is well.
    var notices: [String] { get }
}

/// What a run has of networks.
public enum NetworkPlace: Hashable, Sendable {
    /// A loopback interface and nothing else.
    case none
    /// The host's network.
    case host
    /// A place that was made for it.
    case place(Joined)

    /// A place, as a run joins it.
    public struct Joined: Hashable, Sendable {
        /// Which place it is.
        public let id: String
        /// Where its namespace is: a path to be opened and joined.
        public let namespace: String
        /// The text of /etc/hosts.
        public let hosts: String
        /// The text of /etc/resolv.conf.
        public let resolver: String

        /// Memberwise.
        public init(id: String, namespace: String, hosts: String, resolver: String) {
            self.id = id
            self.namespace = namespace
            self.hosts = hosts
            self.resolver = resolver
        }
    }
}

/// A network, as people ask for it.
public struct NetworkStatus: Hashable, Sendable {
    /// What it is called on the host.
    public let name: String
    /// The project that it belongs to; `nil` when somebody made it by hand.
    public let project: ProjectName?
    /// As in the recipe.
    public let spec: NetworkSpec
    /// The host's interface.
    public let interface: String
    /// Its subnets, with the host's address in each.
    public let subnets: [NetworkSpec.Subnet]
    /// Who is on it.
    public let members: [Member]

    /// A place on a network.
    public struct Member: Hashable, Sendable {
        /// The service or job whose place it is, as `shop/web`; of a place that jobs share, the project.
        public let owner: String
        /// Its addresses there.
        public let addresses: [Address]
        /// Names beside the owner's that lead to it.
        public let aliases: [String]
        /// The host's ports that lead to it.
        public let ports: [PublishedPort]

        /// Memberwise.
        public init(owner: String, addresses: [Address], aliases: [String], ports: [PublishedPort]) {
            self.owner = owner
            self.addresses = addresses
            self.aliases = aliases
            self.ports = ports
        }
    }

    /// Memberwise.
    public init(
        name: String, project: ProjectName?, spec: NetworkSpec, interface: String, subnets: [NetworkSpec.Subnet], members: [Member]
    ) {
        self.name = name
        self.project = project
        self.spec = spec
        self.interface = interface
        self.subnets = subnets
        self.members = members
    }
}
