internal import EngineAPI
internal import HostOS
internal import Schedules
internal import WorkloadModel

/// What is to be there: networks and places are chosen and written down here, and made elsewhere.
extension NetworkHost {
    /// Whether a recipe in force has a use for a place.
    func isWanted(_ place: PlaceRecord) -> Bool {
        guard let recipe = wanted[place.project] else { return false }
        switch place.owner {
        case .instance(let id):
            guard let workload = recipe[id.workload], workload.container.network == .networks else { return false }
            return PlaceNeeds(workload.container) == place.needs
        case .retired: return false
        case .shared:
            return recipe.workloads.contains { $0.jobPolicy != nil && $0.container.network == .networks && PlaceNeeds($0.container) == place.needs }
        }
    }

    /// Forgets places that nobody wants and no run is in, and networks without places that no recipe names. ``settle()`` removes them.
    func dropUnwanted() {
        guard isComplete else { return }
        let taken = Set(runs.values)
        var shared: [PlaceNeeds: Int] = [:]
        forget { place in
            guard !taken.contains(place.id) else { return false }
            guard isWanted(place) else { return true }
            guard case .shared = place.owner else { return false }
            shared[place.needs, default: 0] += 1
            return shared[place.needs]! > NetworkHost.ready
        }
        let inUse = Set(records.places.flatMap { $0.connections.map(\.network) })
        let named = Set(wanted.values.flatMap { recipe in recipe.networks.map { $0.realName(in: recipe.project) } })
        records.networks.removeAll { $0.project != nil && !inUse.contains($0.name) && !named.contains($0.name) }
    }

    func makeRecord(of spec: NetworkSpec, in project: ProjectName) throws(EngineError) {
        let name = spec.realName(in: project)
        guard !spec.isExternal else { return }
        if let index = records.networks.firstIndex(where: { $0.name == name }) {
            let present = records.networks[index]
            guard present.project == project else {
                throw .host(
                    "there is a network '\(name)' already, of \(present.project.map { "the project '\($0)'" } ?? "nobody's project"): say 'external: true'")
            }
            var (old, new) = (present.spec, spec)
            (old.labels, new.labels) = ([:], [:])
            if old == new {
                records.networks[index].spec = spec
                return
            }
            // Who is on it would lose his address.
            guard !records.places.contains(where: { $0.connections.contains { $0.network == name } && runs.values.contains($0.id) }) else {
                throw .host("the network '\(name)' changes, and containers run on it: take the project down first")
            }
            forget { $0.connections.contains { $0.network == name } }
            records.networks.remove(at: index)
        }
        records.networks.append(try record(of: spec, name: name, project: project))
    }

    func record(of spec: NetworkSpec, name: String, project: ProjectName?) throws(EngineError) -> NetworkRecord {
        var subnets = spec.subnets
        let others = records.networks.flatMap { $0.subnets.map(\.range) }
        for subnet in subnets {
            if let other = records.networks.first(where: { $0.subnets.contains { $0.range.overlaps(subnet.range) } }) {
                throw .host("the subnet \(subnet.range) of the network '\(name)' overlaps with that of '\(other.name)'")
            }
        }
        if !subnets.contains(where: { !$0.range.first.isIPv6 }) {
            guard let range = AddressPools.freeSubnet(of: pools, prefix: AddressPools.chosenPrefix, taken: others + HostRoutes.taken()) else {
                throw .host("there is no free subnet for the network '\(name)': give it one by 'ipam', or the daemon more by --network-pool")
            }
            subnets.insert(NetworkSpec.Subnet(range: range), at: 0)
        }
        if spec.hasIPv6, !subnets.contains(where: \.range.first.isIPv6) {
            // RFC 4193: a prefix that is its own, by chance.
            let bits = UInt128(0xFD) << 120 | UInt128(StableHash("\(file) \(name)").value & 0xFF_FFFF_FFFF) << 80
            subnets.append(NetworkSpec.Subnet(range: AddressRange(Address(bits: bits, isIPv6: true), prefix: 64)))
        }
        for index in subnets.indices where subnets[index].gateway == nil {
            subnets[index].gateway = Address(bits: subnets[index].range.first.bits + 1, isIPv6: subnets[index].range.first.isIPv6)
        }
        let vlan = links.vlan(of: spec)
        for other in records.networks where spec.parent != nil && other.spec.parent == spec.parent {
            let parent = spec.parent!
            guard other.spec.kindOnParent == spec.kindOnParent else {
                throw .host("the interface '\(parent)' has the network '\(other.name)' on it, whose driver or mode is another: an interface takes one")
            }
            guard vlan == nil || other.vlan != vlan else {
                throw .host("the VLAN '\(parent)' is that of the network '\(other.name)': join it as 'external'")
            }
        }
        return NetworkRecord(name: name, project: project, spec: spec, number: records.nextNumber(), subnets: subnets, vlan: vlan)
    }

    /// - Parameter isLaunch: whether a run waits for it
    func makePlace(
        _ owner: PlaceOwner, _ needs: PlaceNeeds, _ recipe: Recipe, names: [String], isLaunch: Bool = false
    ) throws(EngineError) {
        if owner != .shared(recipe.project) {
            if records.places.contains(where: { $0.owner == owner && $0.needs == needs }) { return }
            // Its ports are the next one's.
            if let index = records.places.firstIndex(where: { $0.owner == owner }), case .instance(let id) = owner {
                let isUsed = runs.values.contains(records.places[index].id)
                // What runs keeps its place until it ends.
                if isUsed, !isLaunch { return }
                if isUsed {
                    for port in records.places[index].ports { ports.release(port) }
                    records.places[index].ports = []
                    records.places[index].owner = .retired(id)
                } else {
                    let old = records.places[index].id
                    forget { $0.id == old }
                }
            }
        }
        var connections: [PlaceRecord.Connection] = []
        let ordered = needs.attachments.sorted { ($1.priority, $0.network) < ($0.priority, $1.network) }
        var networks: [String: NetworkRecord] = [:]
        for attachment in ordered {
            let name = recipe.networks.first { $0.key == attachment.network }?.realName(in: recipe.project) ?? ""
            guard let network = records.networks.first(where: { $0.name == name }) else { throw .host(NetworkHost.missing(name)) }
            networks[attachment.network] = network
        }
        // What comes by a published port goes back by the host: an answer by another way reaches nobody.
        func weight(_ attachment: NetworkAttachment) -> Int { !needs.ports.isEmpty && networks[attachment.network]?.isBridge == true ? 1 : 0 }
        let wayOut = ordered.filter { networks[$0.network]?.spec.isInternal == false }.max {
            ($0.gatewayPriority, weight($0), $1.network) < ($1.gatewayPriority, weight($1), $0.network)
        }
        let chosen = Set(ordered.compactMap(\.interfaceName))
        var free = (0...).lazy.map { "eth\($0)" }.filter { !chosen.contains($0) }.makeIterator()
        for attachment in ordered {
            guard let network = networks[attachment.network] else { continue }
            var addresses: [Address] = []
            for subnet in network.subnets {
                addresses.append(try address(on: network, subnet, attachment, taken: connections.flatMap(\.addresses)))
            }
            let fourth = addresses.first { !$0.isIPv6 } ?? addresses[0]
            connections.append(
                PlaceRecord.Connection(
                    number: records.nextNumber(), network: network.name, interface: attachment.interfaceName ?? free.next() ?? "eth", addresses: addresses,
                    hardwareAddress: attachment.hardwareAddress ?? AddressPools.hardwareAddress(for: fourth),
                    names: (names + attachment.aliases).map { $0.lowercased() }, isWayOut: attachment == wayOut))
        }
        var held: [PublishedPort] = []
        // Without a bridge nothing comes by the host.
        let isReached = networks.values.contains(where: \.isBridge)
        do throws(EngineError) { for port in isReached ? needs.ports : [] { held.append(try ports.hold(port)) } } catch {
            for port in held { ports.release(port) }
            throw .host("\(owner.description): \(error)")
        }
        records.places.append(
            PlaceRecord(
                id: String(RunID(now: WallClock.now(), random: .random(in: 0...(.max))).description), project: recipe.project, owner: owner, needs: needs,
                connections: connections, ports: held))
    }

    func address(
        on network: NetworkRecord, _ subnet: NetworkSpec.Subnet, _ attachment: NetworkAttachment, taken own: [Address]
    ) throws(EngineError) -> Address {
        let here = records.places.flatMap(\.connections).filter { $0.network == network.name }.flatMap(\.addresses)
        if let fixed = attachment.addresses.first(where: { $0.isIPv6 == subnet.range.first.isIPv6 }) {
            guard subnet.range.contains(fixed), fixed != subnet.gateway else { throw .host("\(fixed) is not free on the network '\(network.name)'") }
            if let other = records.places.first(where: { $0.connections.contains { $0.network == network.name && $0.addresses.contains(fixed) } }) {
                throw .host("the address \(fixed) on the network '\(network.name)' is that of \(other.owner.description)")
            }
            return fixed
        }
        // Addresses that recipes name are kept free for them.
        let fixed = wanted.values.flatMap { recipe in
            recipe.workloads.flatMap { workload in
                workload.container.attachments.filter { attachment in
                    recipe.networks.first { $0.key == attachment.network }?.realName(in: recipe.project) == network.name
                }.flatMap(\.addresses)
            }
        }
        let key = "\(network.name) \(subnet.range.first.isIPv6)"
        guard let address = AddressPools.freeAddress(of: subnet, taken: Set(here + fixed + own), after: lastAddress[key]) else {
            throw .host("the network '\(network.name)' has no free address: its subnet \(subnet.range) is full")
        }
        lastAddress[key] = address
        return address
    }
}
