public import EngineAPI
public import WorkloadModel

/// What people ask for.
extension NetworkHost {
    /// Returns once all changes that were begun are made, or have failed.
    public func settled() async { try? await inTurn {} }

    /// All networks and who is on them, ascending by name.
    public func list() -> [NetworkStatus] {
        records.networks.sorted { $0.name < $1.name }.map { network in
            NetworkStatus(
                name: network.name, project: network.project, spec: network.spec, interface: links.interface(network), subnets: network.subnets,
                members: records.places.flatMap { place in
                    place.connections.filter { $0.network == network.name }.map {
                        NetworkStatus.Member(owner: place.owner.description, addresses: $0.addresses, aliases: $0.names, ports: place.ports)
                    }
                })
        }
    }

    /// Makes a network that is no project's.
    ///
    /// - Throws: ``EngineAPI/EngineError/host(_:)``; then there is none of this name, or the one that was there
    public func create(_ spec: NetworkSpec) async throws(EngineError) {
        try await inTurn { () throws(EngineError) in
            let name = spec.name ?? spec.key
            let problem = spec.options.compactMap { NetworkSpec.problem(ofOption: $0.key, $0.value, driver: spec.driver) }.first
            if let problem { throw .host(problem) }
            if !links.hasParent(spec) { throw .host("the network '\(name)' cannot be made: \(Links.missingParent(spec))") }
            guard !spec.isExternal,
                spec.subnets.allSatisfy({ subnet in
                    subnet.range.isSubnet
                        && subnet.gateway.map { subnet.range.contains($0) && $0 != subnet.range.first } ?? true
                })
            else { throw .host("such a network cannot be made: its subnets are as 10.5.0.0/24, with gateways in them") }
            guard !records.networks.contains(where: { $0.name == name }) else { throw .host("there is a network '\(name)' already") }
            records.networks.append(try record(of: spec, name: name, project: nil))
            do throws(EngineError) {
                try await settle()
                if let error = brokenNetworks[name] { throw error }
            } catch {
                records.networks.removeAll { $0.name == name }
                try? await settle()
                throw error
            }
        }
    }

    /// Removes a network that is no project's, or all of those that nobody uses.
    ///
    /// - Throws: ``EngineAPI/EngineError/host(_:)``
    public func remove(_ name: String?) async throws(EngineError) -> [String] {
        let before = Set(records.networks.map(\.name))
        try await inTurn { () throws(EngineError) in
            let named = Set(wanted.values.flatMap { recipe in recipe.networks.map { $0.realName(in: recipe.project) } })
            let inUse = named.union(records.places.flatMap { $0.connections.map(\.network) })
            func isUsed(_ network: NetworkRecord) -> Bool { inUse.contains(network.name) }
            if let name {
                guard let network = records.networks.first(where: { $0.name == name }) else { throw .host("there is no network '\(name)'") }
                if let project = network.project { throw .host("the network '\(name)' belongs to the project '\(project)': it goes with it") }
                if isUsed(network) { throw .host("the network '\(name)' is used: take down who uses it first") }
                records.networks.removeAll { $0.name == name }
            } else {
                records.networks.removeAll { $0.project == nil && !isUsed($0) }
            }
            try await settle()
        }
        return before.subtracting(records.networks.map(\.name)).sorted()
    }
}
