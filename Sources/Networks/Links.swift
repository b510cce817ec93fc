internal import CLinux
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import WorkloadModel

/// The interfaces of this host that are Berth's: bridges, and the host's ends of pairs whose other ends are in places.
struct Links {
    /// What their names begin with.
    let prefix: String
    /// Where the namespaces of places are.
    let directory: String

    func bridge(_ network: NetworkRecord) -> String { "\(prefix)-\(network.number)" }
    func hostEnd(_ connection: PlaceRecord.Connection) -> String { "\(prefix).\(connection.number)" }
    func namespace(_ place: PlaceRecord) -> String { "\(directory)/\(place.id)" }

    // MARK: What is there

    /// Our interfaces, by name.
    func present() -> Set<String> { Set(HostFile.names(in: "/sys/class/net").filter { isOurs($0) }) }

    private func isOurs(_ name: String) -> Bool {
        guard name.hasPrefix(prefix), let mark = name.dropFirst(prefix.count).first, mark == "-" || mark == "." else { return false }
        return Int(name.dropFirst(prefix.count + 1)) != nil
    }

    /// The bridge that an interface is on.
    func master(of name: String) -> String? { HostFile.link("/sys/class/net/\(name)/master").flatMap { $0.split(separator: "/").last.map(String.init) } }

    private func exists(_ name: String) -> Bool { HostFile.exists("/sys/class/net/\(name)") }

    /// Whether a place's namespace is there: a file of nsfs is mounted in its stead.
    func isMade(_ place: PlaceRecord) -> Bool {
        clinux_is_network(namespace(place)) == 1
    }

    // MARK: Making

    /// Whether the host has the interface that a network is to be on, or can make it: `eth0.50` is VLAN 50 of `eth0` (Docker's documentation of
    /// the macvlan driver, "802.1Q trunk bridge mode").
    func hasParent(_ spec: NetworkSpec) -> Bool { spec.parent.map { exists($0) } ?? true || vlan(of: spec) != nil }

    /// The VLAN that is made for a network, where the host has no such interface.
    func vlan(of spec: NetworkSpec) -> NetworkRecord.VLAN? {
        guard let name = spec.parent, !exists(name) else { return nil }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let tag = Int(parts[1]), (1...4094).contains(tag), exists(parts[0]) else { return nil }
        return NetworkRecord.VLAN(parent: parts[0], tag: tag)
    }

    static func missingParent(_ spec: NetworkSpec) -> String {
        let others = HostFile.names(in: "/sys/class/net").filter { $0 != "lo" && HostFile.exists("/sys/class/net/\($0)/ifindex") }.sorted()
        return "its parent '\(spec.parent ?? "")' is no interface of this host\(others.isEmpty ? "" : ", which has \(others.joined(separator: ", "))")"
    }

    /// The interface that a network has on the host: its bridge, or what its containers' interfaces are on.
    func interface(_ network: NetworkRecord) -> String { network.vlan == nil ? network.spec.parent ?? bridge(network) : bridge(network) }

    private func mtu(_ spec: NetworkSpec) -> Int? { (spec.options["com.docker.network.driver.mtu"] ?? spec.options["mtu"]).flatMap { Int($0) } }

    /// The commands that make a network's bridge, or its VLAN.
    func make(_ network: NetworkRecord) throws(EngineError) -> [String] {
        let name = bridge(network)
        if let vlan = network.vlan {
            guard exists(vlan.parent) else { throw .host(Links.missingParent(network.spec)) }
            return ["link add link \(vlan.parent) name \(name) type vlan id \(vlan.tag)", "link set dev \(name) up"]
        }
        if let parent = network.spec.parent {
            guard exists(parent) else { throw .host(Links.missingParent(network.spec)) }
            return []
        }
        let mtu = mtu(network.spec) ?? HostRoutes.mtu()
        return ["link add name \(name) \(mtu.map { "mtu \($0) " } ?? "")type bridge"]
            + network.subnets.compactMap { subnet in
                subnet.gateway.map { "addr add \($0)/\(subnet.range.prefix) dev \(name)\($0.isIPv6 ? " nodad" : " brd +")" }
            } + ["link set dev \(name) up"]
    }

    func has(_ network: NetworkRecord) -> Bool { exists(interface(network)) }

    /// Whether a place has its interface on a network, and the host its own end.
    func has(_ connection: PlaceRecord.Connection, of place: PlaceRecord, on network: NetworkRecord) -> Bool {
        network.isBridge ? exists(hostEnd(connection)) : clinux_has_interface(namespace(place), connection.interface) == 1
    }

    /// What the kernel does with packets of the bridge.
    func setKernel(_ network: NetworkRecord) throws(EngineError) {
        guard network.isBridge else { return }
        let name = bridge(network).replacing(".", with: "/")
        func set(_ key: String, _ value: String) throws(EngineError) {
            let path = "/proc/sys/net/\(key)"
            if let present = try? HostFile.text(path), present.hasPrefix(value) { return }
            do { try HostFile.put(value, to: path) } catch { throw .host("the kernel's setting \(key) cannot be made: \(error)") }
        }
        try set("ipv4/ip_forward", "1")
        // A published port is reached from the host itself by 127.0.0.1 too; the firewall keeps everybody else from it.
        try set("ipv4/conf/\(name)/route_localnet", "1")
        if network.spec.hasIPv6 {
            try set("ipv6/conf/all/forwarding", "1")
        } else if HostFile.exists("/proc/sys/net/ipv6/conf/\(name)") {
            try set("ipv6/conf/\(name)/disable_ipv6", "1")
        }
    }

    /// The commands, on the host, that connect a place.
    func connect(_ place: PlaceRecord, _ connection: PlaceRecord.Connection, _ network: NetworkRecord) -> [String] {
        if !network.isBridge {
            let spec = network.spec
            let size = mtu(spec).map { "mtu \($0) " } ?? ""
            let own = spec.driver == .macvlan ? "address \(connection.hardwareAddress) " : ""
            let mode =
                spec.driver == .macvlan
                ? "mode \(spec.options["macvlan_mode"] ?? "bridge")"
                : "mode \(spec.options["ipvlan_mode"] ?? "l2") \(spec.options["ipvlan_flag"] ?? "bridge")"
            return [
                "link add link \(interface(network)) name \(connection.interface) \(own)\(size)netns \(namespace(place)) type \(spec.driver.rawValue) \(mode)"
            ]
        }
        let end = hostEnd(connection)
        let mtu = HostFile.exists("/sys/class/net/\(bridge(network))/mtu") ? (try? HostFile.text("/sys/class/net/\(bridge(network))/mtu")) : nil
        let size = mtu.flatMap { Int($0.filter(\.isNumber)) }.map { "mtu \($0) " } ?? ""
        return [
            "link add name \(end) \(size)type veth peer name \(connection.interface) address \(connection.hardwareAddress) \(size)netns \(namespace(place))",
            "link set dev \(end) master \(bridge(network)) up",
        ] + (network.spec.isolatesContainers ? ["link set dev \(end) type bridge_slave isolated on"] : [])
    }

    /// The commands, inside of a place, that give it its addresses and its ways out.
    func address(_ place: PlaceRecord, _ networks: [String: NetworkRecord], only: (PlaceRecord.Connection) -> Bool) -> [String] {
        place.connections.filter(only).flatMap { connection -> [String] in
            guard let network = networks[connection.network] else { return [] }
            var commands = connection.addresses.compactMap { address -> String? in
                guard let subnet = network.subnets.first(where: { $0.range.contains(address) }) else { return nil }
                return "addr replace \(address)/\(subnet.range.prefix) dev \(connection.interface)\(address.isIPv6 ? " nodad" : " brd +")"
            }
            commands.append("link set dev \(connection.interface) up")
            if connection.isWayOut, network.spec.isRouted {
                commands += network.subnets.map { "-\($0.range.first.isIPv6 ? 6 : 4) route replace default dev \(connection.interface)" }
            } else if connection.isWayOut {
                commands += network.gateways.map { "-\($0.isIPv6 ? 6 : 4) route replace default via \($0) dev \(connection.interface)" }
            }
            return commands
        }
    }

    /// Removes interfaces; one that goes by itself meanwhile is no failure.
    func remove(_ names: [String]) async throws(EngineError) {
        guard !names.isEmpty else { return }
        do { try await HostProgram.ip.run(["-force", "-batch", "-"], input: names.map { "link del dev \($0)\n" }.joined()) } catch {
            guard !names.allSatisfy({ !exists($0) }) else { return }
            throw error
        }
    }

    func run(_ commands: [String]) async throws(EngineError) {
        guard !commands.isEmpty else { return }
        try await HostProgram.ip.run(["-batch", "-"], input: commands.joined(separator: "\n") + "\n")
    }

    func run(_ commands: [String], in place: PlaceRecord) async throws(EngineError) {
        // The version is an option of the program, and no word of a batch's lines: those that need one are a batch of their own.
        for (mark, options) in [("", []), ("-4 ", ["-4"]), ("-6 ", ["-6"])] {
            let lines = commands.filter { mark.isEmpty ? !$0.hasPrefix("-") : $0.hasPrefix(mark) }.map { $0.dropFirst(mark.count) + "\n" }
            guard !lines.isEmpty else { continue }
            try await HostProgram.nsenter.run(["--net=\(namespace(place))", "ip"] + options + ["-batch", "-"], input: lines.joined())
        }
    }

    func makeNamespace(_ place: PlaceRecord) throws(EngineError) {
        let path = namespace(place)
        // A file of an earlier boot, or of a namespace that somebody unmounted.
        if !isMade(place), HostFile.exists(path) { clinux_remove_network(path) }
        guard !isMade(place) else { return }
        guard clinux_make_network(path) == 0 else {
            throw .host("a network namespace cannot be made: \(String(cString: strerror(errno)))")
        }
    }

    /// Without an address of version 6 an interface has none of its own making either, and with one it takes no other from its network: what is
    /// on a LAN would be reached by all the world.
    func setVersions(_ connection: PlaceRecord.Connection, of place: PlaceRecord) {
        let own = "/proc/sys/net/ipv6/conf/\(connection.interface)"
        let isSixth = connection.addresses.contains(where: \.isIPv6)
        for (key, value) in isSixth ? [("accept_ra", "0"), ("autoconf", "0")] : [("disable_ipv6", "1")] {
            // A kernel without version 6 has none of it.
            _ = clinux_set_in_network(namespace(place), "\(own)/\(key)=\(value)")
        }
    }

    func removeNamespace(_ path: String) { clinux_remove_network(path) }
}

/// What the host routes already.
enum HostRoutes {
    /// Ranges that have another way than the default one, and the name servers: no network of ours may take them.
    static func taken() -> [AddressRange] {
        let routes = ((try? HostFile.text("/proc/net/route", limit: 8 << 20)) ?? "").split(separator: "\n").dropFirst().compactMap { line -> AddressRange? in
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count > 7, let bits = UInt32(words[1], radix: 16), let mask = UInt32(words[7], radix: 16), mask != 0 else { return nil }
            return AddressRange(Address(bits: UInt128(bits.byteSwapped), isIPv6: false), prefix: mask.nonzeroBitCount)
        }
        let sixth = ((try? HostFile.text("/proc/net/ipv6_route", limit: 8 << 20)) ?? "").split(separator: "\n").compactMap { line -> AddressRange? in
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count > 1, let bits = UInt128(words[0], radix: 16), let prefix = Int(words[1], radix: 16), prefix > 0 else { return nil }
            return AddressRange(Address(bits: bits, isIPv6: true), prefix: min(128, prefix))
        }
        let servers = HostResolver.read().servers.map { AddressRange($0, prefix: $0.width) }
        return routes + sixth + servers
    }

    /// The largest packet that the host's way out takes.
    static func mtu() -> Int? {
        let line = ((try? HostFile.text("/proc/net/route", limit: 8 << 20)) ?? "").split(separator: "\n").dropFirst().first { line in
            let words = line.split(whereSeparator: \.isWhitespace)
            return words.count > 7 && words[1] == "00000000" && words[7] == "00000000"
        }
        guard let name = line?.split(whereSeparator: \.isWhitespace).first, let text = try? HostFile.text("/sys/class/net/\(name)/mtu") else { return nil }
        return Int(text.filter(\.isNumber))
    }
}

/// The host's resolv.conf(5).
struct HostResolver {
    var servers: [Address] = []
    var search: [String] = []
    var options: [String] = []

    /// Servers that are reached from elsewhere too: where the host asks one of its own, those that it asks (systemd-resolved.service(8)).
    var reachable: [Address] {
        func isOutside(_ address: Address) -> Bool { address.isIPv6 ? address.bits != 1 : address.bits >> 24 != 127 }
        let own = servers.filter(isOutside)
        return own.isEmpty ? HostResolver.read("/run/systemd/resolve/resolv.conf").servers.filter(isOutside) : own
    }

    static func read(_ path: String = "/etc/resolv.conf") -> HostResolver {
        var found = HostResolver()
        for line in ((try? HostFile.contentText(HostFile.real(path), limit: 1 << 16)) ?? "").split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            switch words.first {
            case "nameserver": if words.count > 1, let address = Address(String(words[1].prefix { $0 != "%" })) { found.servers.append(address) }
            // The last one counts.
            case "search", "domain": found.search = Array(words.dropFirst())
            case "options": found.options += words.dropFirst()
            default: break
            }
        }
        return found
    }
}
