internal import WorkloadModel

/// `networks:` of the recipe.
extension RecipeReader {
    enum NetworkKey: String, CaseIterable {
        case name, driver, external, labels, ipam, attachable, isInternal = "internal", driverOptions = "driver_opts", ipv4 = "enable_ipv4"
        case ipv6 = "enable_ipv6"
    }

    enum AddressingKey: String, CaseIterable { case driver, config, options }
    enum SubnetKey: String, CaseIterable { case subnet, gateway, ipRange = "ip_range", auxiliary = "aux_addresses" }
    enum ExternalKey: String, CaseIterable { case name }

    mutating func readNetworks(_ node: YAMLNode?) {
        guard let node, !node.isNull else { return }
        guard case .mapping(let entries) = node.content else {
            error("'networks' must be a mapping of names; this is \(node.kindName)", node.place)
            return
        }
        for entry in entries where !entry.key.hasPrefix("x-") {
            guard isNetworkName(entry.key, entry.keyPlace) else { continue }
            networks[entry.key] = network(entry)
            networkPlaces[entry.key] = entry.keyPlace
        }
    }

    private mutating func isNetworkName(_ text: String, _ place: Place) -> Bool {
        if NetworkSpec.isName(text) { return true }
        error("'\(text)' is no name for a network: use 1 to 63 letters, digits, '-', '_' and '.', and begin with a letter or digit", place)
        return false
    }

    private mutating func network(_ entry: YAMLNode.Entry) -> NetworkSpec {
        var spec = NetworkSpec(key: entry.key)
        guard !entry.value.isNull else { return spec }
        let keys = mapping(entry.value, "a network", keys: NetworkKey.self)
        if let node = keys[.name], let name = text(node), isNetworkName(name, node.place) { spec.name = name }
        if let node = keys[.external] {
            if case .mapping = node.content {
                spec.isExternal = true
                if let node = mapping(node, "'external'", keys: ExternalKey.self)[.name], let name = text(node), isNetworkName(name, node.place) {
                    spec.name = name
                }
            } else {
                spec.isExternal = bool(node) ?? false
            }
        }
        // An external network is found by its key where nothing else is said.
        if spec.isExternal { spec.name = spec.name ?? entry.key }
        if let node = keys[.driver], let text = text(node) {
            switch text {
            case "": break
            case "host", "none":
                error("the driver '\(text)' is not a network of its own: write 'network_mode: \(text)' at the service", node.place)
            case "overlay": error("the driver 'overlay' spans hosts, and Berth runs containers on one: write 'driver: bridge'", node.place)
            default: spec.driver = choice(node, "'driver'", NetworkSpec.Driver.self) ?? .bridge
            }
        }
        if let node = keys[.isInternal] { spec.isInternal = bool(node) ?? false }
        if let node = keys[.attachable] { _ = bool(node) }
        if let node = keys[.ipv4], bool(node) == false {
            error("'enable_ipv4: false' is not supported: a network has addresses of version 4", node.place)
        }
        if let node = keys[.ipv6] { spec.hasIPv6 = bool(node) ?? false }
        if let node = keys[.labels] { spec.labels = pairs(node, "'labels'") }
        if let node = keys[.driverOptions] { spec.options = networkOptions(node, spec.driver) }
        spec.closeWithoutParent()
        if let node = keys[.ipam] { readAddressing(node, into: &spec) }
        if spec.subnets.contains(where: \.range.first.isIPv6) { spec.hasIPv6 = true }
        return spec
    }

    /// Options of a driver that mean something here; others are told.
    private mutating func networkOptions(_ node: YAMLNode, _ driver: NetworkSpec.Driver) -> [String: String] {
        let options = pairs(node, "'driver_opts'")
        for (name, value) in options.sorted(by: { $0.key < $1.key }) {
            if let problem = NetworkSpec.problem(ofOption: name, value, driver: driver) { error(problem, node.place) }
        }
        return options
    }

    private mutating func readAddressing(_ node: YAMLNode, into spec: inout NetworkSpec) {
        let keys = mapping(node, "'ipam'", keys: AddressingKey.self)
        if let node = keys[.driver], let text = text(node), text != "default" {
            error("the address driver '\(text)' is not supported: leave it out, or write 'default'", node.place)
        }
        if let node = keys[.options], case .mapping(let entries) = node.content, let first = entries.first {
            error("the address option '\(first.key)' is not supported", first.keyPlace)
        }
        guard let configuration = keys[.config], !configuration.isNull else { return }
        guard case .sequence(let items) = configuration.content else {
            error("'config' of 'ipam' must be a list; this is \(configuration.kindName)", configuration.place)
            return
        }
        for item in items {
            let keys = mapping(item, "an entry of 'config'", keys: SubnetKey.self)
            guard let node = keys[.subnet], let text = text(node) else {
                // As Compose: without a subnet it says nothing.
                if let node = keys[.gateway] ?? keys[.ipRange] { error("this needs a 'subnet' that it is in", node.place) }
                continue
            }
            guard let range = AddressRange(text), range.isSubnet else {
                error("'\(text)' is not a subnet: write it as 10.5.0.0/16", node.place)
                continue
            }
            var subnet = NetworkSpec.Subnet(range: range)
            if let node = keys[.gateway], let address = address(node), isIn(range, address, node) { subnet.gateway = address }
            if let node = keys[.ipRange], let text = self.text(node) {
                if let pool = AddressRange(text), range.contains(pool.first), range.contains(pool.last) {
                    subnet.pool = pool
                } else {
                    error("'\(text)' is not a part of the subnet \(range)", node.place)
                }
            }
            if let node = keys[.auxiliary], !node.isNull { error("'aux_addresses' is not supported: leave room by 'ip_range'", node.place) }
            if spec.subnets.contains(where: { $0.range.overlaps(range) }) {
                error("the subnet \(range) is given twice, or in another one", node.place)
            } else if spec.subnets.contains(where: { $0.range.first.isIPv6 == range.first.isIPv6 }) {
                error("a second subnet of IP version \(range.first.isIPv6 ? 6 : 4) is not supported: a network has one of each", node.place)
            } else {
                spec.subnets.append(subnet)
            }
        }
    }

    mutating func isIn(_ range: AddressRange, _ address: Address, _ node: YAMLNode) -> Bool {
        let isIn = range.contains(address) && address != range.first && (address.isIPv6 || address != range.last)
        if !isIn { error("\(address) is not an address of the subnet \(range)", node.place) }
        return isIn
    }

    mutating func address(_ node: YAMLNode) -> Address? {
        guard let text = text(node) else { return nil }
        if let address = Address(text) { return address }
        error("'\(text)' is not an address: write it as 10.5.0.2 or fd00::2", node.place)
        return nil
    }

    /// Texts by name: a mapping, or a list of NAME=VALUE.
    mutating func pairs(_ node: YAMLNode, _ what: String) -> [String: String] {
        var found: [String: String] = [:]
        switch node.content {
        case .mapping(let entries):
            for entry in entries { found[entry.key] = entry.value.isNull ? "" : looseText(entry.value) }
        case .sequence(let items):
            for item in items {
                guard let text = text(item) else { continue }
                let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                found[parts[0]] = parts.count == 2 ? parts[1] : ""
            }
        case .scalar:
            if !node.isNull { error("\(what) must be a mapping, or a list of NAME=VALUE; this is \(node.kindName)", node.place) }
        }
        return found
    }
}
