import Foundation
import RecipeFile
import Schedules
import TestKit
import Testing
import WorkloadModel

@Suite struct NetworkTests {
    private static func read(_ keys: String, networks: String = "") -> RecipeReader.Result {
        RecipeReaderTests.read("name: t\nservices:\n  x:\n    rootfs: host\n    command: [run]\n\(keys)\n  db: { rootfs: host, command: [run] }\n\(networks)")
    }

    private static func container(_ keys: String, networks: String = "") throws -> ContainerSpec {
        let result = read("    " + keys, networks: networks)
        let recipe = try #require(result.recipe, "\(result.diagnostics)")
        return try #require(recipe.workloads.first { $0.id.name.description == "x" }).container
    }

    // MARK: Ports

    @Test(arguments: [
        ("'80'", ["- 80 tcp"]), ("'8080:80'", ["8080 80 tcp"]), ("'127.0.0.1:8080:80/udp'", ["127.0.0.1:8080 80 udp"]),
        ("'[::1]:8080:80'", ["::1:8080 80 tcp"]), ("'8000-8001:80-81'", ["8000 80 tcp", "8001 81 tcp"]), ("'80-81'", ["- 80 tcp", "- 81 tcp"]),
        ("'127.0.0.1::80'", ["127.0.0.1:- 80 tcp"]), ("'8000-8010:80'", ["8000 80 tcp"]), ("80:80/TCP", ["80 80 tcp"]),
        ("{ target: 80, published: '8080', protocol: udp, host_ip: 10.0.0.1, mode: host }", ["10.0.0.1:8080 80 udp"]), ("{ target: 53 }", ["- 53 tcp"]),
        ("'0.0.0.0:53:53/udp'", ["0.0.0.0:53 53 udp"]),
    ])
    func readsPorts(_ text: String, _ ports: [String]) throws {
        let found = try Self.container("ports: [\(text)]").ports.map { port in
            "\(port.hostAddress.map { "\($0):" } ?? "")\(port.hostPort.map(String.init) ?? "-") \(port.containerPort) \(port.transport.rawValue)"
        }
        #expect(found == ports)
    }

    @Test(arguments: [
        ("'99999:80'", "ports are 1 to 65535"), ("'a:80'", "ports are 1 to 65535"), ("'1.2.3:80:80'", "is not an address"),
        ("'80/http'", "use tcp, udp or sctp"),
        ("'8000-8001:80-82'", "not of one length"), ("'1:2:3:4'", "write it as"), ("{ published: 80 }", "needs a 'target'"),
        ("'[::1]:80'", "after the address"),
        ("{ target: 80, mode: swarm }", "is not a mode of a port"), ("'81-80'", "ports are 1 to 65535"),
    ])
    func refusesPorts(_ text: String, _ words: String) {
        let result = Self.read("    ports: [\(text)]")
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics)")
    }

    @Test func onePortOfTheHostIsOnePlaces() {
        let twice = RecipeReaderTests.read(
            "name: t\nservices:\n  x: { rootfs: host, command: [r], ports: ['80:80'] }\n  y: { rootfs: host, command: [r], ports: ['127.0.0.1:80:90'] }\n")
        #expect(twice.diagnostics.map(\.message) == ["the host's port 80/tcp is published by 'x' too"])
        let apart = RecipeReaderTests.read(
            "name: t\nservices:\n  x: { rootfs: host, command: [r], ports: ['127.0.0.2:80:80', '80:80/udp'] }\n"
                + "  y: { rootfs: host, command: [r], ports: ['127.0.0.1:80:90'] }\n")
        #expect(apart.recipe != nil, "\(apart.diagnostics)")
    }

    // MARK: Networks

    @Test func whoSaysNothingIsOnTheDefaultNetwork() throws {
        let result = Self.read("    restart: always")
        let recipe = try #require(result.recipe)
        #expect(recipe.networks == [NetworkSpec(key: "default")])
        #expect(recipe.workloads.allSatisfy { $0.container.network == .networks && $0.container.attachments == [NetworkAttachment(network: "default")] })
        #expect(recipe.networks[0].realName(in: recipe.project) == "t_default")
    }

    /// What an earlier release stored runs as it did, until somebody applies it again.
    @Test func storedRecipesOfEarlierReleasesKeepTheirLoopback() throws {
        let recipe = "services: { x: { rootfs: host, command: [run] }, y: { rootfs: host, command: [run], network_mode: host } }"
        let text = #"{"file":"b.yaml","baseDirectory":"/srv/t","text":"\#(recipe)","variables":{},"files":{}}"#
        let old = try JSONDecoder().decode(RecipeSource.self, from: Data(text.utf8))
        struct NoZone: Error { let name: String }
        func modes(_ source: RecipeSource) -> [NetworkMode]? {
            let inputs = RecipeInputs(variables: [:], readFile: { _ in "" }, zone: { throw NoZone(name: $0) }, hostZone: .utc)
            return RecipeReader.read(source, inputs).recipe?.workloads.map(\.container.network)
        }
        #expect(modes(old) == [.none, .host])
        #expect(modes(RecipeSource(file: "b.yaml", baseDirectory: "/srv/t", text: old.text)) == [.networks, .host])
    }

    @Test func readsNetworks() throws {
        let networks = """
            networks:
              Front: { internal: true, labels: [a=b] }
              back: { name: shared, external: true }
              fixed: { ipam: { config: [{ subnet: 10.5.0.0/16, gateway: 10.5.0.254, ip_range: 10.5.1.0/24 }, { subnet: 'fd05::/64' }] } }
              unused:
            """
        let text = "networks: { Front: { aliases: [www, web] }, fixed: { ipv4_address: 10.5.0.9, mac_address: '02-42-AC-11-00-02', priority: 5 }, back: }"
        let x = try Self.container(text, networks: networks)
        #expect(x.attachments.map(\.network) == ["Front", "back", "fixed"])
        #expect(x.attachments[0].aliases == ["www", "web"])
        #expect(x.attachments[2].addresses.map(\.description) == ["10.5.0.9"] && x.attachments[2].hardwareAddress == "02:42:ac:11:00:02")
        let recipe = try #require(Self.read("    " + text, networks: networks).recipe)
        #expect(recipe.networks.map(\.key) == ["Front", "back", "default", "fixed"])
        let fixed = recipe.networks[3]
        #expect(fixed.hasIPv6 && fixed.subnets.map(\.range.description) == ["10.5.0.0/16", "fd05::/64"] && fixed.subnets[0].gateway == Address("10.5.0.254"))
        #expect(recipe.networks[1].isExternal && recipe.networks[1].realName(in: recipe.project) == "shared" && recipe.networks[0].isInternal)
    }

    @Test func readsNetworksOnInterfacesOfTheHost() throws {
        let networks = """
            networks:
              lan: { driver: macvlan, driver_opts: { parent: eth0.50, macvlan_mode: vepa }, ipam: { config: [{ subnet: 10.5.0.0/24 }] } }
              routed: { driver: ipvlan, driver_opts: { parent: eth0, ipvlan_mode: l3 } }
              alone: { driver: macvlan }
            """
        let keys = "networks: { lan: { ipv4_address: 10.5.0.9 }, routed: , alone: }"
        let recipe = try #require(Self.read("    " + keys, networks: networks).recipe)
        let found = Dictionary(uniqueKeysWithValues: recipe.networks.map { ($0.key, $0) })
        #expect(found["lan"]?.parent == "eth0.50" && found["lan"]?.isInternal == false && found["lan"]?.isRouted == false)
        #expect(found["routed"]?.parent == "eth0" && found["routed"]?.isRouted == true)
        // As in Docker: without a parent it leads nowhere.
        #expect(found["alone"]?.parent == nil && found["alone"]?.isInternal == true)
        let told = Self.read("    networks: [lan]\n    ports: ['80:80']\n    extra_hosts: ['h=host-gateway']", networks: networks)
        #expect(told.recipe != nil && told.diagnostics.map(\.message).filter { $0.contains("means nothing on a network of the driver 'macvlan'") }.count == 2)
        let mixed = Self.read("    networks: [lan, default]\n    ports: ['80:80']", networks: networks)
        #expect(mixed.diagnostics.isEmpty, "\(mixed.diagnostics)")
        let hardware = Self.read("    networks: { routed: { mac_address: '02:42:ac:11:00:02' } }", networks: networks)
        #expect(hardware.diagnostics.contains { $0.message.contains("parent's hardware address") })
    }

    /// The container of a service of this recipe is that service; another one is looked for when a run begins.
    @Test func aContainersNetworkIsThatOfItsService() throws {
        func mode(_ name: String) throws -> NetworkMode {
            let result = RecipeReaderTests.read(
                "name: t\nservices:\n  a: { rootfs: host, command: [r], network_mode: 'container:\(name)' }\n"
                    + "  vpn: { rootfs: host, command: [r], container_name: the.tunnel }\n")
            return try #require(result.recipe?.workloads.first { $0.id.name.description == "a" }, "\(result.diagnostics)").container.network
        }
        #expect(try mode("the.tunnel") == .service(WorkloadName("vpn")) && mode("vpn") == .service(WorkloadName("vpn")))
        #expect(try mode("other-vpn-1") == .container("other-vpn-1"))
        let all = [NetworkMode.container("a-1"), .service(try WorkloadName("vpn")), .host, .none, .networks]
        #expect(all.map { NetworkMode(rawValue: $0.rawValue) } == all)
        let wrong = Self.read("    network_mode: 'container:a b'")
        #expect(wrong.diagnostics.map(\.message) == ["'a b' is not the name of a container"])
        let ports = Self.read("    network_mode: 'container:other'\n    ports: ['80:80']")
        #expect(ports.diagnostics.map(\.message) == ["'ports' belongs to the container 'other', whose network this one uses"])
    }

    @Test func anEmptyListIsNoNetwork() throws {
        #expect(try Self.container("networks: []").network == .none)
        #expect(try Self.container("network_mode: bridge").attachments.map(\.network) == ["default"])
        let closed = Self.read("    network_mode: none\n    ports: ['80:80']")
        #expect(closed.recipe?.workloads.first { $0.id.name.description == "x" }?.container.ports == [], "\(closed.diagnostics)")
        #expect(closed.diagnostics.map(\.message) == ["'ports' means nothing with 'network_mode: none': the container has no network"])
        #expect(try Self.container("network_mode: service:db").network == .service(WorkloadName("db")))
    }

    @Test(arguments: [
        ("networks: [frnt]", "there is no network 'frnt'; did you mean 'front'?"), ("networks: [front]\n    network_mode: host", "both given"),
        ("network_mode: service:bd", "there is no service 'bd'; did you mean 'db'?"),
        ("network_mode: service:db\n    ports: ['80:80']", "belongs to 'db'"),
        ("networks: { front: { ipv4_address: 10.1.1.1 } }", "needs a network with a 'subnet'"),
        ("networks: { fixed: { ipv4_address: 10.6.0.1 } }", "is not an address of the subnet"), ("links: [nobody]", "there is no service 'nobody'"),
        ("networks: { front: { mac_address: '01:00:00:00:00:00' } }", "hardware address"), ("extra_hosts: ['a b=1.2.3.4']", "is not a host name"),
        ("extra_hosts: ['a=1.2.3']", "is not an address"), ("dns: [nowhere]", "is not the address of a name server"),
        ("dns_search: ['a b']", "is not a domain"),
        ("network_mode: service:x", "has no network of its own"),
    ])
    func refusesNetworks(_ keys: String, _ words: String) {
        let networks = "networks: { front: {}, fixed: { ipam: { config: [{ subnet: 10.5.0.0/16 }] } } }"
        let result = Self.read("    " + keys, networks: networks)
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics)")
    }

    @Test(arguments: [
        ("driver: overlay", "spans hosts"), ("driver: host", "is not a network of its own"), ("ipam: { config: [{ subnet: 10.5.0.0 }] }", "is not a subnet"),
        ("ipam: { config: [{ subnet: 10.5.0.0/16, gateway: 10.6.0.1 }] }", "is not an address of the subnet"), ("enable_ipv4: false", "is not supported"),
        ("name: '../x'", "is no name for a network"), ("name: a b", "is no name for a network"), ("external: { name: '-x' }", "is no name for a network"),
        ("driver_opts: { foo: bar }", "the network option 'foo'"), ("internl: true", "did you mean 'internal'?"),
        ("ipam: { driver: dhcp }", "is not supported"), ("driver_opts: { parent: eth0 }", "the network option 'parent'"),
        ("driver: macvlan, driver_opts: { parent: lo }", "cannot be a parent"), ("driver: macvlan, driver_opts: { parent: a b }", "cannot be a parent"),
        ("driver: macvlan, driver_opts: { parent: '../x' }", "cannot be a parent"), ("driver: macvlan, driver_opts: { parent: '' }", "cannot be a parent"),
        ("driver: macvlan, driver_opts: { macvlan_mode: open }", "use bridge, vepa, private, passthru"),
        ("driver: ipvlan, driver_opts: { ipvlan_mode: l4 }", "use l2, l3, l3s"), ("driver: ipvlan, driver_opts: { macvlan_mode: vepa }", "is not supported"),
        ("ipam: { config: [{ subnet: 10.5.0.0/16 }, { subnet: 10.6.0.0/16 }] }", "a second subnet of IP version 4"),
    ])
    func refusesNetworksOfARecipe(_ keys: String, _ words: String) {
        let result = Self.read("    restart: always", networks: "networks: { front: { \(keys) } }")
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics)")
    }

    @Test func readsWhatAContainerKnowsOthersBy() throws {
        let x = try Self.container(
            "links: ['db:database', db]\n    extra_hosts: ['up=host-gateway', 'six:[fd00::1]']\n    dns: 9.9.9.9\n    dns_search: .\n    dns_opt: [ndots:0]\n    domainname: lan\n    expose: [80, '90-91/udp']"
        )
        #expect(x.links == [ServiceLink(service: try WorkloadName("db"), alias: "database")])
        #expect(x.extraHosts == [HostEntry(name: "up", address: "host-gateway"), HostEntry(name: "six", address: "fd00::1")])
        #expect(x.resolver.servers.map(\.description) == ["9.9.9.9"] && x.resolver.search == [] && x.resolver.options == ["ndots:0"] && x.domainName == "lan")
    }

    // MARK: Addresses

    @Test(arguments: [
        ("10.1.2.3", "10.1.2.3"), ("::", "::"), ("::1", "::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:0:2:0:0:0:3:4", "1:0:2::3:4"),
        ("::ffff:10.0.0.1", "::ffff:a00:1"), ("fd00::", "fd00::"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
    ])
    func writesAddressesAsRFC5952Does(_ text: String, _ written: String) {
        #expect(Address(text)?.description == written)
        #expect(Address(written) == Address(text))
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1:2", ":::", "1::2::3", "12345::", "g::", "1:2:3:4:5:6:7:8:9", "1.2.3.4::", "+1.2.3.4", "::1%eth0",
    ])
    func refusesWhatIsNoAddress(_ text: String) { #expect(Address(text) == nil) }

    @Test func rangesKnowWhatIsInThem() throws {
        func range(_ text: String) throws -> AddressRange { try #require(AddressRange(text)) }
        let own = try range("10.5.7.9/16")
        #expect(own.description == "10.5.0.0/16" && own.last.description == "10.5.255.255")
        #expect(try own.contains(#require(Address("10.5.3.1"))))
        #expect(try !own.contains(#require(Address("10.6.0.0"))))
        for (text, overlaps) in [("10.0.0.0/8", true), ("10.5.1.0/24", true), ("10.6.0.0/16", false), ("::/0", false)] {
            #expect(try own.overlaps(range(text)) == overlaps, "\(text)")
        }
        #expect(try range("::/0").last.description == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "x/8"] { #expect(AddressRange(text) == nil, "\(text)") }
    }
}
