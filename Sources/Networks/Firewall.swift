internal import EngineAPI
internal import WorkloadModel

/// The rules of a table of nftables that is Berth's own: published ports, the way out, and who may not reach whom. It is written whole, in
/// one transaction: there is no moment in which half of it counts, and to mend it is to write it again.
struct Firewall {
    let table: String

    /// The table's text.
    ///
    /// - Parameters:
    ///   - networks: those that are bridges: others do not pass by the host
    ///   - bridge: the interface of a network
    func text(_ networks: [NetworkRecord], _ places: [PlaceRecord], bridge: (NetworkRecord) -> String) -> String {
        var lines = ["table inet \(table) {}", "delete table inet \(table)"]
        guard !networks.isEmpty else { return lines.joined(separator: "\n") + "\n" }
        let all = networks.map(bridge)
        let names = Set(networks.map(\.name))
        func chain(_ name: String, _ hook: String?, _ rules: [String]) {
            lines.append("    chain \(name) {")
            if let hook { lines.append("        type \(hook); policy accept;") }
            lines += rules.map { "        \($0)" } + ["    }"]
        }
        lines.append("table inet \(table) {")
        lines.append("    set bridges { type ifname; elements = { \(all.map { "\"\($0)\"" }.joined(separator: ", ")) }; }")
        // The host's loopback is reached by the host alone, although packets to it are routed to bridges (route_localnet).
        chain(
            "loopback", "filter hook prerouting priority raw",
            ["iifname @bridges ip daddr 127.0.0.0/8 drop", "iifname @bridges ip saddr 127.0.0.0/8 drop"])
        chain("arriving", "nat hook prerouting priority dstnat", ["fib daddr type local jump ports"])
        chain("leaving", "nat hook output priority -100", ["fib daddr type local jump ports"])
        chain("ports", nil, portRules(places, names))
        chain("sources", "nat hook postrouting priority srcnat", sourceRules(networks, bridge))
        chain("between", "filter hook forward priority filter", betweenRules(networks, bridge))
        lines.append("}")
        return lines.joined(separator: "\n") + "\n"
    }

    private func portRules(_ places: [PlaceRecord], _ networks: Set<String>) -> [String] {
        var rules: [(isGeneral: Bool, text: String)] = []
        for place in places {
            let connections = place.connections.filter { networks.contains($0.network) }
            guard let connection = connections.first(where: \.isWayOut) ?? connections.first else { continue }
            for port in place.ports {
                guard let number = port.hostPort else { continue }
                for address in connection.addresses where port.hostAddress.map({ $0.isIPv6 == address.isIPv6 }) ?? true {
                    let family = address.isIPv6 ? "ip6" : "ip"
                    let isAny = port.hostAddress.map { $0.bits == 0 } ?? true
                    let match = isAny ? "meta nfproto \(address.isIPv6 ? "ipv6" : "ipv4")" : "\(family) daddr \(port.hostAddress!)"
                    let target = address.isIPv6 ? "[\(address)]:\(port.containerPort)" : "\(address):\(port.containerPort)"
                    rules.append((isAny, "\(match) \(port.transport.rawValue) dport \(number) dnat \(family) to \(target)"))
                }
            }
        }
        // One of the host's addresses goes before all of them.
        return rules.filter { !$0.isGeneral }.map(\.text) + rules.filter(\.isGeneral).map(\.text)
    }

    private func sourceRules(_ networks: [NetworkRecord], _ bridge: (NetworkRecord) -> String) -> [String] {
        var rules = ["ip saddr 127.0.0.0/8 oifname @bridges masquerade"]
        for network in networks {
            let name = bridge(network)
            for subnet in network.subnets {
                let source = "\(subnet.range.first.isIPv6 ? "ip6" : "ip") saddr \(subnet.range)"
                // A container that asks for a published port of its own network: the answer must come back by the host.
                rules.append("\(source) oifname \"\(name)\" ct status dnat masquerade")
                guard !network.spec.isInternal, network.spec.options["com.docker.network.bridge.enable_ip_masquerade"] != "false" else { continue }
                rules.append("\(source) oifname != \"\(name)\" masquerade")
            }
        }
        return rules
    }

    private func betweenRules(_ networks: [NetworkRecord], _ bridge: (NetworkRecord) -> String) -> [String] {
        networks.filter(\.spec.isInternal).flatMap { network -> [String] in
            let name = bridge(network)
            return ["iifname \"\(name)\" oifname != \"\(name)\" drop", "oifname \"\(name)\" iifname != \"\(name)\" drop"]
        } + networks.map { "iifname \"\(bridge($0))\" oifname \"\(bridge($0))\" accept" } + [
            "oifname @bridges ct state established,related accept",
            "oifname @bridges ct status dnat accept",
            "oifname @bridges drop",
        ]
    }

    func apply(_ text: String) async throws(EngineError) { try await HostProgram.nft.run(["-f", "-"], input: text) }

    /// The table as the kernel lists it, to see whether somebody changed a rule; `nil` when it is not there.
    func listing() async -> String? { try? await HostProgram.nft.run(["-s", "list", "table", "inet", table]) }
}

/// Other firewalls of the host, whose own verdicts count as well: a packet that ours lets through is dropped where another chain's policy
/// says so (Docker and ufw set that of FORWARD).
struct OtherFirewalls {
    /// What the names of our interfaces begin with.
    let prefix: String

    private struct Rule {
        let chain: String
        let words: [String]
    }

    /// Every bridge of ours, as iptables writes a beginning.
    private var bridges: String { "\(prefix)-+" }

    /// Lets what ours decides on pass the chains of iptables that would drop it.
    ///
    /// - Parameter isWanted: whether there are networks; otherwise what was added is removed
    func settle(isWanted: Bool) async {
        for program in ["iptables", "ip6tables"] {
            let tables = HostProgram(name: program, package: "iptables")
            guard let listing = try? await tables.run(["-w", "5", "-S"]) else { continue }
            let lines = Set(listing.split(separator: "\n").map(String.init))
            let forward = lines.contains("-N DOCKER-USER") ? "DOCKER-USER" : "FORWARD"
            let drops = (forward: lines.contains("-P FORWARD DROP"), input: lines.contains("-P INPUT DROP"))
            var wanted: [Rule] = []
            if isWanted, drops.forward {
                wanted += ["-i", "-o"].map { Rule(chain: forward, words: [$0, bridges]) }
            }
            if isWanted, drops.input {
                // Names are looked up at the host's address on the bridge.
                wanted += ["udp", "tcp"].map { Rule(chain: "INPUT", words: ["-i", bridges, "-p", $0, "-m", $0, "--dport", "53"]) }
            }
            let wantedLines = Set(wanted.map { "-A \($0.chain) \(($0.words + mark).joined(separator: " "))" })
            for line in lines where line.contains(mark.joined(separator: " ")) && !wantedLines.contains(line) {
                _ = try? await tables.run(["-w", "5", "-D"] + line.split(separator: " ").dropFirst().map(String.init))
            }
            for rule in wanted where !lines.contains("-A \(rule.chain) \((rule.words + mark).joined(separator: " "))") {
                _ = try? await tables.run(["-w", "5", "-I", rule.chain] + rule.words + mark)
            }
        }
    }

    private var mark: [String] { ["-m", "comment", "--comment", "\(prefix)-networks", "-j", "ACCEPT"] }
}
