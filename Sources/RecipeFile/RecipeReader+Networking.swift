internal import WorkloadModel

/// What a container has of networks: `networks`, `network_mode`, and what it knows others by.
extension RecipeReader {
    enum AttachmentKey: String, CaseIterable {
        case aliases, ipv4 = "ipv4_address", ipv6 = "ipv6_address", linkLocal = "link_local_ips", mac = "mac_address", priority
        case driverOptions = "driver_opts", interfaceName = "interface_name", gatewayPriority = "gw_priority"
    }

    /// What a container sees of networks; without a word it is on the project's default network, as in Compose.
    mutating func readNetworking(_ keys: [String: YAMLNode.Entry], into spec: inout ContainerSpec) {
        func node(_ key: ContainerKey) -> YAMLNode? { keys[key.rawValue].map(\.value) }
        spec.network = .networks
        if let node = node(.networkMode), !node.isNull { spec.network = networkMode(node) ?? .networks }
        let isOnNetworks = spec.network == .networks
        if let node = node(.networks), !node.isNull {
            if isOnNetworks {
                spec.attachments = attachments(node)
            } else {
                error("'networks' and 'network_mode' are both given: one of them says where the container is", node.place)
            }
        } else if isOnNetworks, node(.networkMode)?.isNull ?? true, source.hasDefaultNetwork != true {
            spec.network = .none
        } else if isOnNetworks {
            use(NetworkSpec.defaultKey)
            spec.attachments = [NetworkAttachment(network: NetworkSpec.defaultKey)]
        }
        if isOnNetworks, spec.attachments.isEmpty { spec.network = .none }
        if let node = node(.macAddress), let mac = hardwareAddress(node) {
            let driver = spec.attachments.first.flatMap { networks[$0.network]?.driver }
            if driver == .ipvlan { refuseHardwareAddress(node) }
            if let first = spec.attachments.indices.first { spec.attachments[first].hardwareAddress = spec.attachments[first].hardwareAddress ?? mac }
        }
        if let node = node(.ports), !node.isNull { readPorts(node, into: &spec) }
        if let node = node(.expose), !node.isNull { checkExposed(node) }
        if let node = node(.links), !node.isNull { readLinks(node, into: &spec) }
        if let node = node(.extraHosts), !node.isNull { spec.extraHosts = extraHosts(node) }
        noteParents(keys, spec)
        readResolver(keys, into: &spec.resolver)
        if let node = node(.domainname), !node.isNull, let text = text(node), !text.isEmpty {
            if isHostName(text, most: 253) { spec.domainName = text } else { error("'\(text)' is not a domain", node.place) }
        }
    }

    /// What passes by the host does not come to containers that are on another network's interface.
    private mutating func noteParents(_ keys: [String: YAMLNode.Entry], _ spec: ContainerSpec) {
        let drivers = spec.attachments.compactMap { networks[$0.network] }.filter { $0.parent != nil && !$0.isExternal }.map(\.driver.rawValue)
        guard let driver = drivers.first, drivers.count == spec.attachments.count else { return }
        if let node = keys[ContainerKey.ports.rawValue]?.value, !spec.ports.isEmpty {
            warning("'ports' means nothing on a network of the driver '\(driver)': others reach the container by its own address", node.place)
        }
        if let node = keys[ContainerKey.extraHosts.rawValue]?.value, spec.extraHosts.contains(where: { $0.address == HostEntry.gateway }) {
            warning("'host-gateway' means nothing on a network of the driver '\(driver)': its containers do not reach the host", node.place)
        }
    }

    private mutating func networkMode(_ node: YAMLNode) -> NetworkMode? {
        guard let text = text(node) else { return nil }
        if text == "none" || text == "host" { return NetworkMode(rawValue: text) }
        if text.isEmpty { return nil }
        if text == "bridge" || text == "default" {
            // Docker's own bridge has no names; Compose's default network is what people get elsewhere.
            use(NetworkSpec.defaultKey)
            networkModes.append((.networks, node.place))
            return nil
        }
        for prefix in ["service:", "container:"] where text.hasPrefix(prefix) {
            let name = String(text.dropFirst(prefix.count))
            let named = prefix == "container:" ? serviceOfContainer[name] ?? ownContainer(name) : nil
            if prefix == "container:", named == nil, !serviceNames.contains(name), isContainerName(name) { return .container(name) }
            guard let service = named ?? (try? WorkloadName(name)) else {
                error("'\(name)' is not the name of a \(prefix.dropLast())", node.place)
                return NetworkMode.none
            }
            networkModes.append((.service(service), node.place))
            return .service(service)
        }
        error("'\(text)' is not a network_mode: use none, host, bridge, service:NAME or container:NAME", node.place)
        return nil
    }

    /// The service of this recipe whose container has no name of its own, and is called so by Compose.
    private func ownContainer(_ name: String) -> WorkloadName? {
        guard name.hasPrefix("\(projectText)-"), name.hasSuffix("-1") else { return nil }
        let service = String(name.dropFirst(projectText.count + 1).dropLast(2))
        return serviceNames.contains(service) ? try? WorkloadName(service) : nil
    }

    /// Notes that a network of the recipe is used; the default one need not be written down.
    private mutating func use(_ key: String) {
        usedNetworks.insert(key)
        if key == NetworkSpec.defaultKey, networks[key] == nil { networks[key] = NetworkSpec(key: key) }
    }

    private mutating func attachments(_ node: YAMLNode) -> [NetworkAttachment] {
        var found: [String: NetworkAttachment] = [:]
        func isKnown(_ key: String, _ place: Place) -> Bool {
            if key == NetworkSpec.defaultKey || networks[key] != nil {
                use(key)
                return true
            }
            let hint = Suggestion.nearest(to: key, among: networks.keys).map { "did you mean '\($0)'?" } ?? "add '\(key): {}' to 'networks:' at the top"
            error("there is no network '\(key)'; \(hint)", place)
            return false
        }
        switch node.content {
        case .sequence(let items):
            for item in items {
                guard let key = text(item), isKnown(key, item.place) else { continue }
                found[key] = NetworkAttachment(network: key)
            }
        case .mapping(let entries):
            for entry in entries where isKnown(entry.key, entry.keyPlace) { found[entry.key] = attachment(entry) }
        case .scalar: error("'networks' of a container must be a list or a mapping; this is \(node.kindName)", node.place)
        }
        let names = found.values.compactMap(\.interfaceName)
        if Set(names).count < names.count { error("two interfaces of one container have one name", node.place) }
        return found.values.sorted { $0.network < $1.network }
    }

    private mutating func attachment(_ entry: YAMLNode.Entry) -> NetworkAttachment {
        var attachment = NetworkAttachment(network: entry.key)
        guard !entry.value.isNull else { return attachment }
        let keys = mapping(entry.value, "a network of a container", keys: AttachmentKey.self)
        if let node = keys[.aliases] {
            for alias in texts(node) {
                if isHostName(alias, most: 253) { attachment.aliases.append(alias) } else { error("'\(alias)' is not a host name", node.place) }
            }
        }
        for (key, version) in [(AttachmentKey.ipv4, 4), (.ipv6, 6)] {
            guard let node = keys[key], !node.isNull, let address = address(node) else { continue }
            let subnet = networks[entry.key]?.subnets.first { $0.range.first.isIPv6 == (version == 6) }
            if address.isIPv6 != (version == 6) {
                error("\(address) is not an address of IP version \(version)", node.place)
            } else if let subnet {
                if isIn(subnet.range, address, node) { attachment.addresses.append(address) }
            } else if networks[entry.key]?.isExternal != true {
                error("a fixed address needs a network with a 'subnet': give '\(entry.key)' one by 'ipam'", node.place)
            } else {
                attachment.addresses.append(address)
            }
        }
        if let node = keys[.mac] {
            attachment.hardwareAddress = hardwareAddress(node)
            if attachment.hardwareAddress != nil, networks[entry.key]?.driver == .ipvlan { refuseHardwareAddress(node) }
        }
        if let node = keys[.priority] { attachment.priority = integer(node, -1_000_000...1_000_000, "'priority'").map { Int($0) } ?? 0 }
        if let node = keys[.gatewayPriority] { attachment.gatewayPriority = integer(node, -1_000_000...1_000_000, "'gw_priority'").map { Int($0) } ?? 0 }
        if let node = keys[.interfaceName], let name = text(node) {
            if !isHostName(name, most: 15) || name == "lo" || name == "." || name.hasPrefix("-") {
                error("'\(name)' is not a name for an interface: it has 1 to 15 letters, digits, '-', '_' and '.'", node.place)
            } else {
                attachment.interfaceName = name
            }
        }
        if let node = keys[.linkLocal], !node.isNull { error("'link_local_ips' is not supported", node.place) }
        if let node = keys[.driverOptions], case .mapping(let entries) = node.content, let first = entries.first {
            error("'\(first.key)' is not supported: a container has no options of its own on a network", first.keyPlace)
        }
        return attachment
    }

    private mutating func refuseHardwareAddress(_ node: YAMLNode) {
        error("a container has its parent's hardware address on a network of the driver 'ipvlan': leave out 'mac_address'", node.place)
    }

    private mutating func hardwareAddress(_ node: YAMLNode) -> String? {
        guard !node.isNull, let text = text(node), !text.isEmpty else { return nil }
        let parts = text.split(whereSeparator: { $0 == ":" || $0 == "-" })
        let bytes = parts.compactMap { $0.count == 2 ? UInt8($0, radix: 16) : nil }
        guard parts.count == 6, bytes.count == 6, bytes[0] & 1 == 0 else {
            error("'\(text)' is not the hardware address of an interface: write it as 02:42:ac:11:00:02", node.place)
            return nil
        }
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }

    func isHostName(_ text: String, most: Int) -> Bool {
        !text.isEmpty && text.utf8.count <= most && text.utf8.allSatisfy(RecipeReader.mayStandInName) && !text.contains("..")
    }

    private mutating func readLinks(_ node: YAMLNode, into spec: inout ContainerSpec) {
        for text in texts(node) {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let service = try? WorkloadName(parts[0]), let alias = parts.last, isHostName(alias, most: 253) else {
                error("'\(text)' is not a link: write SERVICE or SERVICE:ALIAS", node.place)
                continue
            }
            linkPlaces.append((service, node.place))
            if alias != service.description { spec.links.append(ServiceLink(service: service, alias: alias)) }
        }
    }

    private mutating func extraHosts(_ node: YAMLNode) -> [HostEntry] {
        var found: [HostEntry] = []
        func add(_ name: String, _ address: String, _ place: Place) {
            let bare = address.hasPrefix("[") && address.hasSuffix("]") ? String(address.dropFirst().dropLast()) : address
            guard isHostName(name, most: 253) else {
                error("'\(name)' is not a host name", place)
                return
            }
            guard bare == HostEntry.gateway || Address(bare) != nil else {
                error("'\(address)' is not an address, nor 'host-gateway'", place)
                return
            }
            let entry = HostEntry(name: name, address: bare)
            if !found.contains(entry) { found.append(entry) }
        }
        switch node.content {
        case .mapping(let entries):
            for entry in entries { for text in texts(entry.value) { add(entry.key, text, entry.value.place) } }
        case .sequence(let items):
            for item in items {
                guard let text = text(item) else { continue }
                guard let end = text.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
                    error("'\(text)' is not an extra host: write NAME=ADDRESS", item.place)
                    continue
                }
                add(String(text[..<end]), String(text[text.index(after: end)...]), item.place)
            }
        case .scalar: error("'extra_hosts' must be a list or a mapping; this is \(node.kindName)", node.place)
        }
        return found
    }

    private mutating func readResolver(_ keys: [String: YAMLNode.Entry], into resolver: inout ResolverSettings) {
        if let node = keys[ContainerKey.dns.rawValue]?.value {
            for text in texts(node) {
                if let address = Address(text) { resolver.servers.append(address) } else { error("'\(text)' is not the address of a name server", node.place) }
            }
        }
        if let node = keys[ContainerKey.dnsSearch.rawValue]?.value, !node.isNull {
            // `.` is no domain at all.
            let domains = texts(node).filter { $0 != "." }
            for domain in domains where !isHostName(domain, most: 253) { error("'\(domain)' is not a domain", node.place) }
            resolver.search = domains
        }
        if let node = keys[ContainerKey.dnsOpt.rawValue]?.value, !node.isNull {
            let options = texts(node)
            for option in options where option.isEmpty || option.contains(where: \.isWhitespace) {
                error("'\(option)' is not an option of resolv.conf", node.place)
            }
            resolver.options = options
        }
    }

    // MARK: Once everything is read

    /// What names other services, or networks, is looked up when all of them are known.
    mutating func checkNetworks(_ workloads: [Workload], known: some Sequence<WorkloadName>) {
        let known = Set(known)
        func missing(_ name: WorkloadName, _ place: Place) {
            let hint = Suggestion.nearest(to: name.description, among: known.map(\.description)).map { "; did you mean '\($0)'?" } ?? ""
            error("there is no service '\(name)'\(hint)", place)
        }
        for (mode, place) in networkModes {
            guard case .service(let name) = mode else { continue }
            guard known.contains(name) else {
                missing(name, place)
                continue
            }
            guard let target = workloads.first(where: { $0.id.name == name }) else { continue }
            if case .service = target.container.network {
                error("'\(name)' has no network of its own: name the service whose network it uses", place)
            } else if target.jobPolicy != nil {
                error("'\(name)' is a job, which has a network only while it runs: name a service", place)
            }
        }
        for (key, name, place) in namespacePlaces {
            guard known.contains(name) else {
                missing(name, place)
                continue
            }
            if workloads.first(where: { $0.id.name == name })?.jobPolicy != nil { error("'\(name)' is a job: name a service in '\(key)'", place) }
        }
        var names: [String: String] = [:]
        for network in networks.values.sorted(by: { $0.key < $1.key }) where project != nil {
            let real = network.realName(in: project!)
            if let other = names.updateValue(network.key, forKey: real) {
                error("the networks '\(other)' and '\(network.key)' have one name, '\(real)'", networkPlaces[network.key] ?? Place(line: 1, column: 1))
            }
        }
        for (name, place) in linkPlaces where !known.contains(name) { missing(name, place) }
        checkPortsOnce(workloads)
    }

    private static func mayStandInName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ".")].contains(byte)
        }
    }
}
