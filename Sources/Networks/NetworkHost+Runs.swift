internal import CLinux
public import EngineAPI
public import WorkloadModel

/// What runs ask for.
extension NetworkHost {
    /// The place of a service is its own; a job has one of those that jobs share, unless it publishes ports or has an address of its own.
    ///
    /// - Throws: ``EngineAPI/EngineError/host(_:)``
    public func take(_ run: RunRequest) async throws(EngineError) -> NetworkPlace {
        let (container, owner) = try placeOwner(of: run)
        let project = owner.workload.project
        switch container.network {
        case .none, .service, .container: return .none
        case .host: return .host
        case .networks: break
        }
        // Only a job's own place may be one of several: who uses another one's network is where that is.
        let mayShare = run.kind == .job && owner.workload == run.workload
        let needs = PlaceNeeds(container)
        if let place = ready(owner, mayShare, needs, project), isWhole(place) { return join(run, place, container) }
        // Something is missing, or is to be mended first.
        var joined: NetworkPlace?
        try await inTurn { () throws(EngineError) in
            guard let recipe = wanted[project] else { throw .host("the project '\(project)' has no networks") }
            var found = ready(owner, mayShare, needs, project)
            if found == nil {
                for spec in recipe.networks { try makeRecord(of: spec, in: project) }
                if !mayShare || !needs.canBeShared {
                    try makePlace(.instance(owner), needs, recipe, names: [owner.workload.name.description], isLaunch: true)
                } else {
                    try makePlace(.shared(project), needs, recipe, names: [], isLaunch: true)
                }
                found = ready(owner, mayShare, needs, project)
            }
            guard let place = found else { throw .host("its network is used by another run") }
            // From here on: another run would find this place free while it is made.
            runs[run.id] = place.id
            do throws(EngineError) {
                try await settle()
                if let error = broken[place.id] { throw error }
            } catch {
                runs[run.id] = nil
                throw error
            }
            joined = join(run, place, container)
        }
        guard let joined else { throw .host("its network is gone") }
        return joined
    }

    /// The service that a container is of, by the name that Docker would give it.
    func service(ofContainer name: String) throws(EngineError) -> Workload {
        let services = wanted.values.flatMap(\.workloads).filter { $0.jobPolicy == nil }
        let found = services.filter { $0.container.containerName == name }
        guard found.count < 2 else {
            throw .host("'\(name)' is the container of \(found.map(\.id.description).sorted().joined(separator: " and of ")): only one can be meant")
        }
        guard let service = found.first ?? services.first(where: { "\($0.id.project)-\($0.id.name)-1" == name }) else {
            throw .host("there is no service whose container is called '\(name)', and whose network it could use")
        }
        return service
    }

    /// Whose place a run is to have: its own or, by one step or several, that of the container whose network it uses.
    private func placeOwner(of run: RunRequest) throws(EngineError) -> (ContainerSpec, InstanceID) {
        var (container, owner) = (run.container, run.instance)
        for _ in 0..<NetworkHost.mostSteps {
            let next: Workload
            switch container.network {
            case .service(let name):
                guard let service = wanted[owner.workload.project]?[WorkloadID(project: owner.workload.project, name: name)] else {
                    throw .host("the service '\(name)', whose network it uses, is not in the recipe")
                }
                next = service
            case .container(let name): next = try service(ofContainer: name)
            case .none, .host, .networks: return (container, owner)
            }
            (container, owner) = (next.container, InstanceID(next.id))
        }
        throw .host("containers use each other's network in a circle: one of them needs its own")
    }

    private static let mostSteps = 16

    /// A place that the run may have now.
    ///
    /// - Parameter mayShare: whether it is a job in a place of its own
    func ready(_ owner: InstanceID, _ mayShare: Bool, _ needs: PlaceNeeds, _ project: ProjectName) -> PlaceRecord? {
        if !mayShare || !needs.canBeShared {
            let place = records.places.first { $0.owner == .instance(owner) && $0.needs == needs }
            // Two copies of a job cannot have one port; who shares a service's place finds it in use.
            return mayShare && runs.values.contains(place?.id ?? "") ? nil : place
        }
        let taken = Set(runs.values)
        return sharedPlaces(project, needs).first { !taken.contains($0.id) && !used.contains($0.id) }
    }

    func sharedPlaces(_ project: ProjectName, _ needs: PlaceNeeds) -> [PlaceRecord] {
        records.places.filter { $0.owner == .shared(project) && $0.needs == needs }
    }

    func isWhole(_ place: PlaceRecord) -> Bool {
        !used.contains(place.id) && whole.contains(place.id) && links.isMade(place)
            && place.connections.allSatisfy { connection in
                guard let network = records.networks.first(where: { $0.name == connection.network }) else { return false }
                return network.isBridge ? links.master(of: links.hostEnd(connection)) != nil : links.has(connection, of: place, on: network)
            }
    }

    func join(_ run: RunRequest, _ place: PlaceRecord, _ container: ContainerSpec) -> NetworkPlace {
        runs[run.id] = place.id
        let networks = Dictionary(uniqueKeysWithValues: records.networks.map { ($0.name, $0) })
        // The host, and its server of names, are met on a bridge alone.
        let bridged = place.connections.filter { networks[$0.network]?.isBridge ?? false }
        let network = (bridged.first(where: \.isWayOut) ?? bridged.first).flatMap { networks[$0.network] }
        let gateway = network?.gateways.first { !$0.isIPv6 }
        let name =
            run.container.hostname ?? (run.container.network == .networks ? run.workload.name.description : container.hostname ?? place.owner.description)
        let others = run.container.links.compactMap { link -> (name: String, address: Address)? in
            let id = InstanceID(WorkloadID(project: run.workload.project, name: link.service))
            let mine = Set(place.connections.map(\.network))
            let theirs = records.places.last { $0.owner == .instance(id) }?.connections.first { mine.contains($0.network) }
            return theirs?.addresses.first.map { (link.alias, $0) }
        }
        // Where no server can be asked, names stand in the file. Their addresses stay for as long as the recipe does.
        let unasked = place.connections.filter { !(networks[$0.network]?.isBridge ?? true) }.map(\.network)
        let neighbours = records.places.filter { $0.id != place.id }.flatMap { other in
            other.connections.filter { unasked.contains($0.network) }.flatMap { connection in
                connection.names.flatMap { name in connection.addresses.map { (name: name, address: $0) } }
            }
        }
        return .place(
            NetworkPlace.Joined(
                id: place.id, namespace: links.namespace(place),
                hosts: PlaceFiles.hosts(
                    run.container, name: name, own: place.connections.flatMap(\.addresses), gateway: gateway, links: others + neighbours),
                resolver: PlaceFiles.resolver(run.container.resolver, server: gateway, host: HostResolver.read())))
    }

    /// From now on the run is in the place, until it leaves.
    public func adopt(_ run: RunID, place: String) { runs[run] = place }

    /// Ends the sockets that the run left in its place. What else is to be done there is done after this returns.
    public func leave(_ run: RunID) async {
        guard let id = runs.removeValue(forKey: run), !runs.values.contains(id), let place = records.places.first(where: { $0.id == id }) else { return }
        // What it left behind must not keep the next one from its ports. One that could change interfaces and routes may have done so.
        if place.needs.isAdministered || clinux_end_sockets(links.namespace(place)) != 0 { used.insert(id) }
        let isSurplus = place.owner == .shared(place.project) && sharedPlaces(place.project, place.needs).count > NetworkHost.ready
        guard used.contains(id) || !isWanted(place) || isSurplus else { return }
        // The next run need not wait for this, unless it needs this very place.
        Task {
            try? await inTurn { () throws(EngineError) in
                dropUnwanted()
                try await settle()
            }
        }
    }
}
