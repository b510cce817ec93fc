internal import CLinux
internal import DequeModule
@preconcurrency internal import Dispatch
public import EngineAPI
internal import Glibc
internal import HostOS
public import Logging
internal import Schedules
internal import Synchronization
public import WorkloadModel

/// The networks of this host's containers: bridges, places, published ports, names.
///
/// What is to be there is written down (``NetworkRecords``), then made; ``settle()`` compares the two and mends what differs, whoever
/// broke it. So it is the same work at a start, after a crash, and when somebody flushes the firewall.
public actor NetworkHost: PlaceProvider {
    let file: String
    let links: Links
    let firewall: Firewall
    let others: OtherFirewalls
    let names: NameServer
    let pools: [AddressRange]
    let log: Logger
    var records: NetworkRecords
    var ports = HostPorts()
    /// The recipes whose places are wanted.
    var wanted: [ProjectName: Recipe] = [:]
    /// The place of each run that lives.
    var runs: [RunID: String] = [:]
    /// Places that a run left in a state that the next one must not find.
    var used: Set<String> = []
    /// Places that were found whole, or made so.
    var whole: Set<String> = []
    /// What the firewall listed when it was last written, and from what.
    var written: (text: String, listing: String?)?
    /// Whether rules of other programs may have changed since they were looked at.
    var haveOthersChanged = true
    var lastAddress: [String: Address] = [:]
    var sources: [any DispatchSourceProtocol] = []
    var isLooking = false
    var problem: String? {
        didSet {
            if problem != oldValue { (looksBetween, looksLeft) = (1, 1) }
            show()
        }
    }

    /// How many of the looks every two seconds are left out while the same is broken.
    var looksBetween = 1
    var looksLeft = 1
    static let mostLooksBetween = 16
    /// How often the server of names was found to have ended, in a row.
    var serverEnds = 0 { didSet { show() } }
    static let mostServerEnds = 3
    let shown = Mutex<[String]>([])

    private func show() {
        let server =
            serverEnds < NetworkHost.mostServerEnds
            ? nil : "networks: the server of names ends as soon as it is started, and containers do not find each other: has another program port 53?"
        shown.withLock { $0 = [problem.map { "networks: \($0)" }, server].compactMap { $0 } }
    }

    /// Why a place could not be made, or mended.
    var broken: [String: EngineError] = [:]
    /// The same of networks, by name.
    var brokenNetworks: [String: EngineError] = [:]
    /// Whether all was taken down: nothing is made any more.
    var isClosed = false
    /// Whether all recipes in force are known: before, what is not wanted may be wanted yet.
    var isComplete = false
    /// One change at a time: each asks programs of the host and waits for them.
    var isChanging = false
    /// Changes whose turn is still to come, in their order.
    var waiting: Deque<CheckedContinuation<Void, Never>> = []

    /// How many places that jobs share are kept ready for each kind of network that they are on.
    static let ready = 2

    /// Reads what an earlier daemon wrote down; nothing is made yet.
    ///
    /// - Parameters:
    ///   - state: the directory of what outlives a boot
    ///   - runtime: the directory of what does not
    ///   - name: what names of interfaces begin with, 1 to 8 characters; another daemon on the host has another
    ///   - pools: where subnets are taken from that no recipe names
    public init(state: String, runtime: String, name: String, pools: [AddressRange] = NetworkHost.usualPools, log: Logger) throws(EngineError) {
        file = "\(state)/networks.json"
        links = Links(prefix: name, directory: "\(runtime)/networks")
        firewall = Firewall(table: name)
        others = OtherFirewalls(prefix: name)
        names = NameServer(directory: "\(runtime)/names")
        self.pools = pools
        self.log = log
        if let records: NetworkRecords = HostFile.json(file, limit: 64 << 20) {
            self.records = records
        } else {
            records = NetworkRecords()
            if HostFile.exists(file) {
                // What it lists is still found by its name, and removed.
                rename(file, "\(state)/quarantine-networks-\(WallClock.now().milliseconds).json")
                log.error("what was written down of networks cannot be read; it was put aside, and they are made anew")
            }
        }
        do { try HostFile.makeDirectories(links.directory) } catch { throw .host("\(error)") }
    }

    /// Podman's next to its own default, which Docker does not use.
    public static let usualPools = [AddressRange("10.89.0.0/16"), AddressRange("10.90.0.0/15"), AddressRange("10.92.0.0/14")].compactMap { $0 }

    /// Looks whether external networks are there and ports are free; changes nothing.
    ///
    /// - Throws: ``EngineAPI/EngineError/host(_:)`` that names who has a port
    public func check(_ recipe: Recipe) async throws(EngineError) {
        for network in recipe.networks where network.isExternal {
            let name = network.realName(in: recipe.project)
            guard records.networks.contains(where: { $0.name == name }) else { throw .host(NetworkHost.missing(name)) }
        }
        for network in recipe.networks where !network.isExternal && !links.hasParent(network) {
            // Its own VLAN may be there no more, and is made again.
            if records.networks.contains(where: { $0.name == network.realName(in: recipe.project) && $0.vlan != nil }) { continue }
            throw .host("the network '\(network.realName(in: recipe.project))' cannot be made: \(Links.missingParent(network))")
        }
        let own = records.places.filter { $0.project == recipe.project }.flatMap(\.ports)
        for workload in recipe.workloads {
            if case .container(let name) = workload.container.network {
                do { _ = try service(ofContainer: name) } catch { throw .host("\(workload.id): \(error)") }
            }
            // As in Docker, a name of a container is one on its host.
            if let name = workload.container.containerName,
                let other = wanted.values.filter({ $0.project != recipe.project }).flatMap(\.workloads).first(where: { $0.container.containerName == name })
            {
                throw .host("\(workload.id): the container_name '\(name)' is that of \(other.id) already")
            }
            guard workload.container.attachments.contains(where: { isBridge($0.network, of: recipe) }) else { continue }
            for port in workload.container.ports where !own.contains(where: { NetworkHost.same($0, port) }) {
                if let other = records.places.first(where: { $0.project != recipe.project && $0.ports.contains { NetworkHost.same($0, port) } }) {
                    throw .host("\(workload.id): the host's port \(port.hostPort ?? 0)/\(port.transport.rawValue) is published by \(other.owner.description)")
                }
                do { try ports.check(port) } catch { throw .host("\(workload.id): \(error)") }
            }
        }
    }

    /// Whether a network of a recipe, by its key, is a bridge.
    private func isBridge(_ key: String, of recipe: Recipe) -> Bool {
        guard let spec = recipe.networks.first(where: { $0.key == key }) else { return true }
        return spec.isExternal ? records.networks.first { $0.name == spec.realName(in: recipe.project) }?.isBridge ?? true : spec.parent == nil
    }

    static func missing(_ name: String) -> String {
        "there is no network '\(name)': 'berth network create \(name)' makes it, or a recipe that has it is applied first"
    }

    /// Whether two cannot be published side by side.
    static func same(_ left: PublishedPort, _ right: PublishedPort) -> Bool {
        left.hostPort != nil && left.hostPort == right.hostPort && left.transport == right.transport
            && (left.hostAddress == nil || right.hostAddress == nil || left.hostAddress == right.hostAddress)
    }

    /// Removes places from the records, with all that is known of them. ``settle()`` removes what was made for them.
    func forget(_ isGone: (PlaceRecord) -> Bool) {
        let gone = records.places.filter(isGone)
        let ids = Set(gone.map(\.id))
        records.places.removeAll { ids.contains($0.id) }
        used.subtract(ids)
        whole.subtract(ids)
        for place in gone {
            broken[place.id] = nil
            release(place.ports)
        }
    }

    /// Lets go of ports that no other place has.
    func release(_ released: [PublishedPort]) {
        let left = records.places.flatMap(\.ports)
        for port in released where !left.contains(where: { NetworkHost.same($0, port) && $0.hostAddress == port.hostAddress }) { ports.release(port) }
    }

    /// What cannot be made is tried again with each run that needs it.
    public func know(_ recipe: Recipe) { wanted[recipe.project] = recipe }

    /// Makes the recipe's networks, and a place for each of its services and some for its jobs; names and ports are there when it returns.
    ///
    /// - Throws: ``EngineAPI/EngineError/host(_:)``; then what the project had before is there
    public func prepare(_ recipe: Recipe) async throws(EngineError) {
        try await inTurn { () throws(EngineError) in
            try await check(recipe)
            let (before, saved) = (wanted[recipe.project], records)
            wanted[recipe.project] = recipe
            do throws(EngineError) {
                // What the recipe no longer has, and nobody is in, makes room first.
                dropUnwanted()
                try makeRecords(of: recipe)
                try await settle()
                let own = records.places.filter { $0.project == recipe.project }
                if let error = own.compactMap({ broken[$0.id] }).first { throw error }
            } catch {
                wanted[recipe.project] = before
                // What was there is there again, with its addresses; nothing else changes records meanwhile.
                let kept = Set(saved.places.map(\.id))
                let made = records.places.filter { !kept.contains($0.id) }
                let number = records.lastNumber
                records = saved
                for place in made { release(place.ports) }
                records.lastNumber = number
                try? await settle()
                throw error
            }
        }
    }

    /// The places that services and jobs have before their first runs.
    func makeRecords(of recipe: Recipe) throws(EngineError) {
        for spec in recipe.networks { try makeRecord(of: spec, in: recipe.project) }
        var shared: [PlaceNeeds: Int] = [:]
        for workload in recipe.workloads where workload.container.network == .networks {
            let needs = PlaceNeeds(workload.container)
            if workload.jobPolicy != nil, needs.canBeShared {
                shared[needs, default: 0] += 1
            } else {
                // What runs now keeps its place until it ends; the next run has the new one.
                try makePlace(.instance(InstanceID(workload.id)), needs, recipe, names: [workload.id.name.description])
            }
        }
        for (needs, count) in shared {
            while sharedPlaces(recipe.project, needs).count < min(count, NetworkHost.ready) { try makePlace(.shared(recipe.project), needs, recipe, names: []) }
        }
    }

    /// Removes what the project has as soon as no run is in it. A failure is mended later.
    public func release(_ project: ProjectName) async {
        try? await inTurn { () throws(EngineError) in
            wanted[project] = nil
            dropUnwanted()
            try await settle()
        }
    }
}
