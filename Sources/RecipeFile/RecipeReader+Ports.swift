internal import WorkloadModel

/// `ports:` and `expose:` (Compose Specification, "ports").
extension RecipeReader {
    enum PortKey: String, CaseIterable {
        case target, published, hostAddress = "host_ip", transport = "protocol", mode, name, applicationProtocol = "app_protocol"
    }

    mutating func readPorts(_ node: YAMLNode, into spec: inout ContainerSpec) {
        guard case .sequence(let items) = node.content else {
            error("'ports' must be a list; this is \(node.kindName)", node.place)
            return
        }
        var ports: [PublishedPort] = []
        var seen: Set<PublishedPort> = []
        for item in items {
            let found: [PublishedPort]
            if case .mapping = item.content { found = longPort(item) } else { found = shortPorts(item) }
            // An equal entry twice is one, as in Compose.
            for port in found where seen.insert(port).inserted { ports.append(port) }
        }
        guard !ports.isEmpty else { return }
        switch spec.network {
        case .networks:
            spec.ports = ports
            portPlaces.append((ports, node.place))
        case .host: warning("'ports' means nothing with 'network_mode: host': the container has the host's ports", node.place)
        case .none: warning("'ports' means nothing with 'network_mode: none': the container has no network", node.place)
        case .service(let name): error("'ports' belongs to '\(name)', whose network this container uses", node.place)
        case .container(let name): error("'ports' belongs to the container '\(name)', whose network this one uses", node.place)
        }
    }

    mutating func checkExposed(_ node: YAMLNode) {
        for text in texts(node) {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let isKnown = parts.count == 1 || PublishedPort.Transport(rawValue: parts[1].lowercased()) != nil
            if portRange(parts[0]) == nil || !isKnown { error("'\(text)' is not a port: write it as 8080, 8080-8090 or 53/udp", node.place) }
        }
    }

    private func portRange(_ text: String) -> ClosedRange<Int>? {
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { Int($0) }
        guard let low = ends[0], let high = ends[ends.count - 1], (1...65535).contains(low), (low...65535).contains(max(low, high)), high >= low else {
            return nil
        }
        return low...high
    }

    private mutating func transport(_ text: String, _ place: Place) -> PublishedPort.Transport? {
        if let transport = PublishedPort.Transport(rawValue: text.lowercased()) { return transport }
        error("'\(text)' is not a protocol of ports: use tcp, udp or sctp", place)
        return nil
    }

    /// `[[HOST-ADDRESS:]HOST-PORT:]PORT[/PROTOCOL]`, each port a range or not.
    private mutating func shortPorts(_ node: YAMLNode) -> [PublishedPort] {
        guard var text = text(node) else { return [] }
        let whole = text
        func wrong(_ why: String) -> [PublishedPort] {
            error("'\(whole)' is not a port: \(why)", node.place)
            return []
        }
        var carried = PublishedPort.Transport.tcp
        if let slash = text.lastIndex(of: "/") {
            guard let known = transport(String(text[text.index(after: slash)...]), node.place) else { return [] }
            carried = known
            text = String(text[..<slash])
        }
        var address: Address?
        var parts: [String]
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]"), let known = Address(String(text[text.index(after: text.startIndex)..<end])) else {
                return wrong("an address of version 6 stands in brackets, as [::1]:8080:80")
            }
            address = known
            parts = text[text.index(after: end)...].split(separator: ":", omittingEmptySubsequences: false).dropFirst().map(String.init)
            guard parts.count == 2 else { return wrong("after the address come the host's port and the container's, as [::1]:8080:80") }
        } else {
            parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard parts.count <= 3 else { return wrong("write it as 80, 8080:80 or 127.0.0.1:8080:80") }
            if parts.count == 3 {
                guard let known = Address(parts[0]) else { return wrong("'\(parts[0])' is not an address") }
                address = known
                parts.removeFirst()
            }
        }
        guard let inside = portRange(parts[parts.count - 1]) else { return wrong("ports are 1 to 65535") }
        guard parts.count == 2, !parts[0].isEmpty else {
            return inside.map { PublishedPort(hostAddress: address, containerPort: UInt16($0), transport: carried) }
        }
        guard let outside = portRange(parts[0]) else { return wrong("ports are 1 to 65535") }
        if inside.count == outside.count {
            return zip(outside, inside).map {
                PublishedPort(hostAddress: address, hostPort: UInt16($0), containerPort: UInt16($1), transport: carried)
            }
        }
        guard inside.count == 1 else { return wrong("the ranges \(parts[0]) and \(parts[1]) are not of one length") }
        // One of a range: the first that is free would be another one after each start, so it is the first.
        return [PublishedPort(hostAddress: address, hostPort: UInt16(outside.lowerBound), containerPort: UInt16(inside.lowerBound), transport: carried)]
    }

    private mutating func longPort(_ node: YAMLNode) -> [PublishedPort] {
        let keys = mapping(node, "a port", keys: PortKey.self)
        guard let targetNode = keys[.target], let target = integer(targetNode, 1...65535, "'target'") else {
            if keys[.target] == nil { error("a port in long form needs a 'target': the container's port", node.place) }
            return []
        }
        var port = PublishedPort(containerPort: UInt16(target))
        if let node = keys[.transport], let text = text(node) { port.transport = transport(text, node.place) ?? .tcp }
        if let node = keys[.hostAddress], !node.isNull { port.hostAddress = address(node) }
        if let node = keys[.mode], let text = text(node), text != "host", text != "ingress" {
            error("'\(text)' is not a mode of a port: use host or ingress, which are the same on one host", node.place)
        }
        if let node = keys[.name] { _ = text(node) }
        if let node = keys[.applicationProtocol] { _ = text(node) }
        if let node = keys[.published], !node.isNull, let text = text(node), !text.isEmpty, text != "0" {
            guard let range = portRange(text) else {
                error("'\(text)' is not a port: ports are 1 to 65535", node.place)
                return []
            }
            port.hostPort = UInt16(range.lowerBound)
        }
        return [port]
    }

    /// Two containers cannot have one port of the host.
    mutating func checkPortsOnce(_ workloads: [Workload]) {
        var owners: [String: (Workload, PublishedPort)] = [:]
        for workload in workloads {
            for port in workload.container.ports {
                guard let number = port.hostPort else { continue }
                let key = "\(port.transport.rawValue) \(number)"
                if let (other, its) = owners[key], its.hostAddress == nil || port.hostAddress == nil || its.hostAddress == port.hostAddress {
                    let place = portPlaces.first { $0.ports == workload.container.ports }?.place ?? Place(line: 1, column: 1)
                    let whose = other.id == workload.id ? "published twice" : "published by '\(other.id.name)' too"
                    error("the host's port \(number)/\(port.transport.rawValue) is \(whose)", place)
                } else if owners[key] == nil {
                    owners[key] = (workload, port)
                }
            }
        }
    }
}
