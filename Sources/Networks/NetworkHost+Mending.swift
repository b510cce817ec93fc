internal import CLinux
internal import DequeModule
@preconcurrency internal import Dispatch
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Synchronization
internal import WorkloadModel

/// Makes what is written down, and mends it.
extension NetworkHost {
    func inTurn(_ body: () async throws(EngineError) -> Void) async throws(EngineError) {
        if isChanging { await withCheckedContinuation { waiting.append($0) } } else { isChanging = true }
        defer { if let next = waiting.popFirst() { next.resume() } else { isChanging = false } }
        try await body()
    }

    /// Compares what is written down with what is there, and mends what differs.
    ///
    /// Once begun it is not called off: a program that is ended half way leaves what it was at.
    func settle() async throws(EngineError) {
        let task = Task { () -> Result<Void, EngineError> in
            do throws(EngineError) { return .success(try await mend()) } catch { return .failure(error) }
        }
        try await task.value.get()
    }

    func mend() async throws(EngineError) {
        do throws(EngineError) {
            do { try HostFile.replace(file, json: records) } catch { throw .host("networks cannot be written down: \(error)") }
            try await removeStray()
            // One that cannot be made is no reason for the others to be without theirs.
            let before = broken
            broken = [:]
            brokenNetworks = await makeNetworks()
            await makePlaces(brokenNetworks, before)
            try await writeFirewall()
            try await names.serve(records.networks.filter(\.isBridge), records.places)
            problem = (brokenNetworks.min { $0.key < $1.key } ?? broken.min { $0.key < $1.key }).map { "\($0.value)" }
        } catch {
            problem = "\(error)"
            throw error
        }
    }

    /// Interfaces and namespaces that are Berth's by their names, and written down nowhere.
    func removeStray() async throws(EngineError) {
        for id in used {
            guard !runs.values.contains(id) else { continue }
            links.removeNamespace("\(links.directory)/\(id)")
            used.remove(id)
            whole.remove(id)
        }
        let places = Set(records.places.map(\.id))
        for name in HostFile.names(in: links.directory) where !places.contains(name) { links.removeNamespace("\(links.directory)/\(name)") }
        let known = Set(records.networks.map(links.bridge) + records.places.flatMap { $0.connections.map(links.hostEnd) })
        try await links.remove(Array(links.present().subtracting(known)))
    }

    /// - Returns: the networks that cannot be made, and why
    func makeNetworks() async -> [String: EngineError] {
        var failures: [String: EngineError] = [:]
        for network in records.networks {
            do throws(EngineError) {
                if !links.has(network) {
                    log.info(
                        "making a network",
                        metadata: [
                            "network": "\(network.name)", "interface": "\(links.interface(network))",
                            "subnets": "\(network.subnets.map(\.range.description).joined(separator: " "))",
                        ])
                    try await links.run(links.make(network))
                }
                try links.setKernel(network)
            } catch {
                let failure = EngineError.host("the network '\(network.name)' cannot be made: \(error)")
                failures[network.name] = failure
                guard brokenNetworks[network.name] != failure else { continue }
                log.error("a network cannot be made", metadata: ["network": "\(network.name)", "error": "\(error)"])
            }
        }
        return failures
    }

    /// - Parameters:
    ///   - failures: the networks that are not there
    ///   - before: what was broken the last time, and is not told again
    func makePlaces(_ failures: [String: EngineError], _ before: [String: EngineError]) async {
        let networks = Dictionary(uniqueKeysWithValues: records.networks.map { ($0.name, $0) })
        for place in records.places {
            do throws(EngineError) {
                if let failure = place.connections.compactMap({ failures[$0.network] }).first { throw failure }
                try await make(place, networks)
            } catch {
                whole.remove(place.id)
                broken[place.id] = error
                guard before[place.id] != error else { continue }
                log.error("a place cannot be made", metadata: ["of": "\(place.owner.description)", "error": "\(error)"])
            }
        }
    }

    private func make(_ place: PlaceRecord, _ networks: [String: NetworkRecord]) async throws(EngineError) {
        let isNew = !links.isMade(place)
        if isNew {
            whole.remove(place.id)
            try links.makeNamespace(place)
        }
        for port in place.ports { _ = try ports.hold(port) }
        // What a container did that may change its interfaces is its own until it ends.
        if !isNew, place.needs.isAdministered, runs.values.contains(place.id) {
            whole.insert(place.id)
            return
        }
        let present = links.present()
        // Of one that was not looked at yet, nobody knows how far it was made.
        var missing = whole.contains(place.id) ? [] : Set(place.connections.map(\.number))
        var commands: [String] = []
        for connection in place.connections {
            guard let network = networks[connection.network] else { continue }
            let end = links.hostEnd(connection)
            if !network.isBridge {
                guard isNew || !links.has(connection, of: place, on: network) else { continue }
                whole.remove(place.id)
                commands += links.connect(place, connection, network)
                missing.insert(connection.number)
            } else if isNew || !present.contains(end) {
                whole.remove(place.id)
                // Its other end may be in a namespace that is going.
                if present.contains(end) { try await links.remove([end]) }
                commands += links.connect(place, connection, network)
                missing.insert(connection.number)
            } else if links.master(of: end) != links.bridge(network) {
                commands.append("link set dev \(end) master \(links.bridge(network)) up")
            }
        }
        // An interface that was on another one goes a moment after its place, and its address with it.
        var attempt = 0
        while true {
            do throws(EngineError) {
                try await links.run(commands)
                break
            } catch {
                attempt += 1
                let isOnAnother = place.connections.contains { networks[$0.network]?.isBridge == false }
                guard isOnAnother, place.connections.count == 1, attempt < 5 else { throw error }
                try? await Task.sleep(for: .milliseconds(50))
            }
        }
        for connection in place.connections where missing.contains(connection.number) { links.setVersions(connection, of: place) }
        try await links.run(links.address(place, networks) { missing.contains($0.number) }, in: place)
        whole.insert(place.id)
    }

    func writeFirewall() async throws(EngineError) {
        let bridges = records.networks.filter(\.isBridge)
        let text = firewall.text(bridges, records.places, bridge: links.bridge)
        let listing = await firewall.listing()
        // Nothing was there, and nothing is to be.
        if bridges.isEmpty, listing == nil {
            written = (text, nil)
        } else if written.map({ $0.text != text || $0.listing != listing }) ?? true {
            if let written, written.text == text { log.warning("the firewall's rules of published ports and networks were gone; they are back") }
            try await firewall.apply(text)
            written = (text, await firewall.listing())
            haveOthersChanged = true
        }
        guard haveOthersChanged else { return }
        haveOthersChanged = false
        await others.settle(isWanted: !bridges.isEmpty)
    }

    /// Looks after networks from now on: what somebody removes comes back. To be called once recipes in force were prepared.
    public func watch() async {
        isComplete = true
        do throws(EngineError) {
            try await inTurn { () throws(EngineError) in
                dropUnwanted()
                for recipe in wanted.values {
                    // One project's trouble, such as a port that is taken by now, is not the others'.
                    do throws(EngineError) { try makeRecords(of: recipe) } catch {
                        log.error("the networks of a project are not ready", metadata: ["project": "\(recipe.project)", "error": "\(error)"])
                    }
                }
                try await settle()
            }
        } catch { log.error("networks are not ready", metadata: ["error": "\(error)"]) }
        for (descriptor, isFirewall) in [(clinux_link_changes(), false), (clinux_firewall_changes(), true)] where descriptor >= 0 {
            let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
            source.setEventHandler { [weak self] in
                guard clinux_passed_over(descriptor) > 0 else { return }
                Task { await self?.lookSoon(isFirewall) }
            }
            source.setCancelHandler { close(descriptor) }
            source.activate()
            sources.append(source)
        }
        Task { [weak self] in
            while let self, !Task.isCancelled {
                do { try await Task.sleep(for: .seconds(2)) } catch { return }
                await self.lookAtServer()
            }
        }
    }

    /// A server for names that has ended is started again. One that ends each time is said to, once.
    func lookAtServer() async {
        // While a change is made it may be about to be started.
        guard !isClosed, !isChanging, !records.places.isEmpty else { return }
        guard names.process == nil, !names.files(records.networks.filter(\.isBridge), records.places).isEmpty else {
            serverEnds = 0
            // What stays broken, such as a network whose interface is away, is tried less and less often.
            guard problem != nil else { return }
            looksLeft -= 1
            guard looksLeft <= 0 else { return }
            looksBetween = min(looksBetween * 2, NetworkHost.mostLooksBetween)
            looksLeft = looksBetween
            await look()
            return
        }
        serverEnds += 1
        if serverEnds == 1 { log.warning("the server of names has ended; it is started again") }
        if serverEnds == NetworkHost.mostServerEnds {
            log.error("the server of names ends as soon as it is started; containers do not find each other by name: has another program port 53?")
        }
        await look()
    }

    /// Changes come in swarms, most of them our own: they are looked at together.
    ///
    /// - Parameter isFirewall: whether rules have changed: Docker's and ufw's are such as well
    func lookSoon(_ isFirewall: Bool) async {
        if isFirewall { haveOthersChanged = true }
        guard !isLooking else { return }
        isLooking = true
        try? await Task.sleep(for: .milliseconds(300))
        isLooking = false
        await look()
    }

    func look() async {
        try? await inTurn { () throws(EngineError) in
            guard !records.networks.isEmpty, !isClosed else { return }
            do throws(EngineError) { try await settle() } catch { log.error("networks cannot be mended", metadata: ["error": "\(error)"]) }
        }
    }

    /// Removes all that was made, once every container has ended. It is written down still: the next start makes it again, with its addresses.
    public func takeDown() async {
        try? await inTurn { () throws(EngineError) in
            isClosed = true
            for source in sources { source.cancel() }
            sources = []
            await others.settle(isWanted: false)
            for place in records.places { links.removeNamespace(links.namespace(place)) }
            try? await links.remove(Array(links.present().union(records.networks.map(links.bridge))))
            try? await firewall.apply(firewall.text([], [], bridge: links.bridge))
            try? await names.serve([], [])
            rmdir(links.directory)
            HostFile.removeFlat(names.directory)
        }
    }

    /// Why networks are not as they should be; empty when they are.
    public nonisolated var notices: [String] { shown.withLock { $0 } }
}
