import Foundation
import TestKit
import Testing
import WorkloadModel

@testable import Networks

/// The same numbers each time (SplitMix64).
private struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}

@Suite struct NetworksTests {
    static func range(_ text: String) -> AddressRange { AddressRange(text)! }
    static func address(_ text: String) -> Address { Address(text)! }

    // MARK: Addresses

    @Test(arguments: [
        (["10.89.0.0/16"], [], "10.89.0.0/22"), (["10.89.0.0/16"], ["10.89.0.0/24"], "10.89.4.0/22"), (["10.89.0.0/16"], ["10.0.0.0/8"], nil),
        (["10.89.0.0/16", "10.90.0.0/16"], ["10.89.0.0/16"], "10.90.0.0/22"),
        (["10.89.0.0/16"], ["10.89.0.0/22", "10.89.4.0/22", "10.89.11.7/32"], "10.89.12.0/22"),
        (["10.89.0.0/24"], [], "10.89.0.0/24"), (["255.255.252.0/22"], ["255.255.252.1/32"], nil), (["10.89.0.0/21"], ["10.89.4.0/23"], "10.89.0.0/22"),
        ([], [], nil),
    ])
    func subnetsAreThoseThatNobodyHas(_ pools: [String], _ taken: [String], _ found: String?) {
        let subnet = AddressPools.freeSubnet(of: pools.map(Self.range), prefix: 22, taken: taken.map(Self.range))
        #expect(subnet?.description == found)
    }

    /// Whatever is taken: a subnet is in a pool, and overlaps with nothing.
    @Test func noSubnetOverlaps() {
        var dice = Dice(state: 7)
        for _ in 0..<300 {
            let pools = (0..<2).map { _ in
                AddressRange(
                    Address(bits: UInt128(UInt32.random(in: 0x0A00_0000...0x0A0F_FFFF, using: &dice)), isIPv6: false),
                    prefix: .random(in: 16...22, using: &dice))
            }
            var taken: [AddressRange] = (0..<20).map { _ in
                AddressRange(
                    Address(bits: UInt128(UInt32.random(in: 0x0A00_0000...0x0A0F_FFFF, using: &dice)), isIPv6: false),
                    prefix: .random(in: 18...32, using: &dice))
            }
            while let next = AddressPools.freeSubnet(of: pools, prefix: 22, taken: taken) {
                #expect(
                    pools.contains { $0.contains(next.first) && $0.contains(next.last) } && !taken.contains { $0.overlaps(next) }, "\(pools) \(taken) \(next)")
                taken.append(next)
                guard taken.count < 600 else { break }
            }
        }
    }

    @Test func addressesGoRound() {
        let subnet = NetworkSpec.Subnet(range: Self.range("10.5.0.0/29"), gateway: Self.address("10.5.0.1"))
        var taken: Set<Address> = []
        var found: [String] = []
        while let next = AddressPools.freeAddress(of: subnet, taken: taken, after: found.last.map(Self.address)) {
            taken.insert(next)
            found.append(next.description)
        }
        #expect(found == ["10.5.0.2", "10.5.0.3", "10.5.0.4", "10.5.0.5", "10.5.0.6"])
        // One that was just let go of comes last.
        #expect(AddressPools.freeAddress(of: subnet, taken: [], after: Self.address("10.5.0.4"))?.description == "10.5.0.5")
        #expect(AddressPools.freeAddress(of: subnet, taken: [], after: Self.address("10.5.0.6"))?.description == "10.5.0.2")
        let part = NetworkSpec.Subnet(range: Self.range("10.5.0.0/24"), gateway: Self.address("10.5.0.129"), pool: Self.range("10.5.0.128/30"))
        #expect(AddressPools.freeAddress(of: part, taken: [Self.address("10.5.0.128")])?.description == "10.5.0.130")
        let sixth = NetworkSpec.Subnet(range: Self.range("fd00::/64"), gateway: Self.address("fd00::1"))
        #expect(AddressPools.freeAddress(of: sixth, taken: [])?.description == "fd00::2")
        #expect(AddressPools.hardwareAddress(for: Self.address("172.17.0.2")) == "02:42:ac:11:00:02")
    }

    // MARK: Rules

    private static func network(_ name: String, _ number: Int, _ subnets: [String], _ change: (inout NetworkSpec) -> Void = { _ in }) -> NetworkRecord {
        var spec = NetworkSpec(key: name)
        change(&spec)
        return NetworkRecord(
            name: name, project: nil, spec: spec, number: number,
            subnets: subnets.map { NetworkSpec.Subnet(range: range($0), gateway: Address(bits: range($0).first.bits + 1, isIPv6: range($0).first.isIPv6)) })
    }

    private static func place(_ network: String, _ addresses: [String], _ ports: [PublishedPort]) throws -> PlaceRecord {
        let id = WorkloadID(project: try ProjectName("t"), name: try WorkloadName("web"))
        return PlaceRecord(
            id: "p1", project: id.project, owner: .instance(InstanceID(id)), needs: PlaceNeeds(ContainerSpec(root: .host)),
            connections: [
                PlaceRecord.Connection(
                    number: 7, network: network, interface: "eth0", addresses: addresses.map(address), hardwareAddress: "02:42:00:00:00:01",
                    names: ["web", "www"], isWayOut: true)
            ], ports: ports)
    }

    @Test func rulesAreWrittenWhole() throws {
        let networks = [Self.network("a", 1, ["10.5.0.0/24", "fd05::/64"]), Self.network("b", 2, ["10.6.0.0/24"]) { $0.isInternal = true }]
        let ports = [
            PublishedPort(hostPort: 8080, containerPort: 80), PublishedPort(hostAddress: Self.address("127.0.0.1"), hostPort: 8080, containerPort: 81),
            PublishedPort(hostAddress: Self.address("::1"), hostPort: 53, containerPort: 53, transport: .udp),
        ]
        let text = Firewall(table: "berth").text(networks, [try Self.place("a", ["10.5.0.2", "fd05::2"], ports)]) { "berth-\($0.number)" }
        let rules = text.split(separator: "\n").map { $0.trimmingPrefix { $0 == " " } }.map(String.init)
        #expect(rules.prefix(3) == ["table inet berth {}", "delete table inet berth", "table inet berth {"])
        // One of the host's addresses goes before all of them.
        #expect(
            rules.filter { $0.contains("dport") } == [
                "ip daddr 127.0.0.1 tcp dport 8080 dnat ip to 10.5.0.2:81", "ip6 daddr ::1 udp dport 53 dnat ip6 to [fd05::2]:53",
                "meta nfproto ipv4 tcp dport 8080 dnat ip to 10.5.0.2:80", "meta nfproto ipv6 tcp dport 8080 dnat ip6 to [fd05::2]:80",
            ])
        #expect(rules.contains("iifname @bridges ip daddr 127.0.0.0/8 drop"))
        #expect(
            rules.contains("ip saddr 10.5.0.0/24 oifname != \"berth-1\" masquerade") && rules.contains("ip6 saddr fd05::/64 oifname != \"berth-1\" masquerade"))
        #expect(!rules.contains { $0.contains("10.6.0.0/24") && $0.contains("!=") && $0.contains("masquerade") })
        let between = try #require(rules.firstIndex(of: "chain between {"))
        #expect(
            rules[(between + 2)...].prefix { $0 != "}" } == [
                "iifname \"berth-2\" oifname != \"berth-2\" drop", "oifname \"berth-2\" iifname != \"berth-2\" drop",
                "iifname \"berth-1\" oifname \"berth-1\" accept",
                "iifname \"berth-2\" oifname \"berth-2\" accept", "oifname @bridges ct state established,related accept",
                "oifname @bridges ct status dnat accept",
                "oifname @bridges drop",
            ])
        #expect(Firewall(table: "berth").text([], []) { "berth-\($0.number)" } == "table inet berth {}\ndelete table inet berth\n")
    }

    /// What is on an interface of the host's passes by no bridge: its ports are led nowhere.
    @Test func portsLeadToBridgesAlone() throws {
        var place = try Self.place("lan", ["192.168.7.9"], [PublishedPort(hostPort: 8080, containerPort: 80)])
        let bridge = PlaceRecord.Connection(
            number: 8, network: "a", interface: "eth1", addresses: [Self.address("10.5.0.2")], hardwareAddress: "02:42:00:00:00:02", names: [], isWayOut: false)
        func rules(_ place: PlaceRecord) -> [Substring] {
            Firewall(table: "berth").text([Self.network("a", 1, ["10.5.0.0/24"])], [place]) { "berth-\($0.number)" }.split(separator: "\n").filter {
                $0.contains("dport")
            }
        }
        #expect(rules(place).isEmpty)
        place.connections.append(bridge)
        #expect(rules(place).count == 1 && rules(place)[0].contains("to 10.5.0.2:80"))
    }

    @Test func interfacesOnAnotherAreMadeInTheirPlace() throws {
        let links = Links(prefix: "bt", directory: "/run/n")
        let place = try Self.place("lan", ["192.168.7.9"], [])
        func made(_ driver: NetworkSpec.Driver, _ options: [String: String]) -> (connect: [String], inside: [String]) {
            let network = Self.network("lan", 3, ["192.168.7.0/24"]) {
                $0.driver = driver
                $0.options = options.merging(["parent": "lo"]) { first, _ in first }
            }
            return (links.connect(place, place.connections[0], network), links.address(place, ["lan": network]) { _ in true })
        }
        let mac = made(.macvlan, ["mtu": "1400"])
        #expect(mac.connect == ["link add link lo name eth0 address 02:42:00:00:00:01 mtu 1400 netns /run/n/p1 type macvlan mode bridge"])
        #expect(mac.inside.last == "-4 route replace default via 192.168.7.1 dev eth0")
        let ip = made(.ipvlan, ["ipvlan_mode": "l3"])
        #expect(ip.connect == ["link add link lo name eth0 netns /run/n/p1 type ipvlan mode l3 bridge"])
        #expect(ip.inside.last == "-4 route replace default dev eth0")
    }

    @Test func whereNoServerIsThereThoseOfTheHostAreAsked() {
        var host = HostResolver()
        host.servers = [Self.address("127.0.0.53"), Self.address("192.168.7.53")]
        #expect(PlaceFiles.resolver(ResolverSettings(), server: nil, host: host) == "nameserver 192.168.7.53\n")
        var own = ResolverSettings()
        own.servers = [Self.address("9.9.9.9")]
        #expect(PlaceFiles.resolver(own, server: nil, host: host) == "nameserver 9.9.9.9\n")
    }

    // MARK: Names

    @Test func namesAreWrittenAsTheServerReadsThem() throws {
        let networks = [Self.network("a", 1, ["10.5.0.0/24", "fd05::/64"]), Self.network("empty", 2, ["10.6.0.0/24"])]
        let files = NameServer(directory: "/nowhere").files(networks, [try Self.place("a", ["10.5.0.2", "fd05::2"], [])])
        #expect(files == ["network-1": "10.5.0.1,fd05::1\np1 10.5.0.2 fd05::2 web,www\n"])
    }

    @Test func aContainersFilesAreDockers() throws {
        var container = ContainerSpec(root: .host)
        container.extraHosts = [HostEntry(name: "up", address: HostEntry.gateway), HostEntry(name: "six", address: "fd00::9")]
        container.domainName = "lan"
        let hosts = PlaceFiles.hosts(
            container, name: "web", own: [Self.address("10.5.0.2")], gateway: Self.address("10.5.0.1"), links: [("database", Self.address("10.5.0.3"))])
        let lines = hosts.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        #expect(lines.first == "127.0.0.1 localhost")
        #expect(lines.suffix(5) == ["10.5.0.1 up", "fd00::9 six", "10.5.0.1 host.docker.internal", "10.5.0.3 database", "10.5.0.2 web.lan web"])
        var host = HostResolver()
        host.search = ["example.org"]
        host.options = ["edns0", "trust-ad", "timeout:1"]
        var settings = ResolverSettings()
        #expect(
            PlaceFiles.resolver(settings, server: Self.address("10.5.0.1"), host: host)
                == "nameserver 10.5.0.1\nsearch example.org\noptions timeout:1 ndots:0\n")
        (settings.search, settings.options) = ([], ["ndots:2"])
        #expect(PlaceFiles.resolver(settings, server: Self.address("10.5.0.1"), host: host) == "nameserver 10.5.0.1\noptions ndots:2\n")
        // Without a server of ours the host's words stand.
        settings = ResolverSettings()
        settings.servers = [Self.address("9.9.9.9")]
        #expect(PlaceFiles.resolver(settings, server: nil, host: host) == "nameserver 9.9.9.9\nsearch example.org\noptions timeout:1\n")
    }

    /// What a record says is read again as it was, by this release and by the next.
    @Test func recordsAreReadAgain() throws {
        let text = #"""
            {"lastNumber":3,"networks":[{"name":"t_default","number":1,"project":"t","spec":{"driver":"bridge","hasIPv6":false,"isExternal":false,"isInternal":false,"key":"default","labels":{},"options":{},"subnets":[]},"subnets":[{"gateway":"10.89.0.1","range":"10.89.0.0/22"}]}],"places":[{"connections":[{"addresses":["10.89.0.2"],"hardwareAddress":"02:42:0a:59:00:02","interface":"eth0","isWayOut":true,"names":["web"],"network":"t_default","number":2}],"id":"06h2kanz8xfkz96v","needs":{"attachments":[{"addresses":[],"aliases":[],"gatewayPriority":0,"network":"default","priority":0}],"isAdministered":false,"ports":[],"servers":[]},"owner":{"instance":{"_0":{"slot":0,"workload":{"name":"web","project":"t"}}}},"ports":[],"project":"t"}]}
            """#
        let records = try JSONDecoder().decode(NetworkRecords.self, from: Data(text.utf8))
        #expect(records.networks.map(\.name) == ["t_default"] && records.places[0].owner.description == "t/web" && records.places[0].connections[0].isWayOut)
        #expect(records.networks[0].gateways == [Self.address("10.89.0.1")])
    }
}
