import Foundation
import Glibc
import TestKit
import Testing

/// Containers that find each other by name, are reached by the host's ports, and are kept apart: real bridges, a real firewall, a real server of
/// names.
@Suite(.enabled(if: Requirement.root && Requirement.program("nft") && Requirement.program("sqlite3"), "needs root, nft and sqlite3"), .serialized)
struct NetworkEndToEndTests {
    /// A port of the host that nobody has.
    static func freePort() -> UInt16 {
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(fd) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, size)
                getsockname(fd, $0, &size)
            }
        }
        return UInt16(bigEndian: name.sin_port)
    }

    private static func shell(_ command: String) -> (code: Int32, output: String, errors: String) {
        Instance.run("/bin/sh", ["-c", command], environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
    }

    /// What a web server of a container answers on the host.
    private static func fetch(_ address: String) -> String { shell("timeout 5 busybox wget -q -O - http://\(address)/word").output }

    /// What the job `ask` says.
    private static func ask(_ it: Instance) -> String { it.berth("run", "ask", "--wait").output.trimmingCharacters(in: .newlines) }

    /// A service that answers with a word.
    private static func server(_ it: Instance, _ word: String, _ more: String = "") -> String {
        it.scratch.write("www-\(word)/word", word)
        return """
            { rootfs: host, command: [busybox, httpd, -f, -p, "80", -h, /www], volumes: ["\(it.scratch.path)/www-\(word):/www:ro"], init: true, restart: always\(more.isEmpty ? "" : ", " + more) }
            """
    }

    /// Interfaces, namespaces and rules of an instance that are there.
    private static func leftovers(_ it: Instance) -> [String] {
        let pools = it.networks
        let links = Instance.names("/sys/class/net").filter { link in pools.contains { link.hasPrefix($0) } }
        return links + Instance.names("\(it.scratch.path)/run/networks")
            + shell("nft list tables").output.split(separator: "\n").map(String.init).filter { table in
                pools.contains { table.hasSuffix($0) }
            }
    }

    /// Containers on a switch of the host's, as on a real LAN: reached by their own addresses, by name from each other, from the far end of
    /// the wire, and not by the host; a wire that is taken away and comes back brings them back.
    @Test func containersOnTheHostsOwnNetworkHaveAddressesOfIt() throws {
        try EndToEndTests.with { it in
            // Nobody listens there for names, and nobody is missed.
            let (near, far, space) = ("bl\(getpid() % 100_000)", "bf\(getpid() % 100_000)", "berth-lan-\(getpid())")
            func wire() {
                #expect(Self.shell("ip link add \(near) type veth peer name \(far) netns \(space)").code == 0)
                #expect(Self.shell("ip addr add 10.77.5.2/24 dev \(near) && ip link set \(near) up").code == 0)
                #expect(Self.shell("ip -n \(space) addr add 10.77.5.1/24 dev \(far) && ip -n \(space) link set \(far) up").code == 0)
            }
            #expect(Self.shell("ip netns add \(space)").code == 0)
            defer { _ = Self.shell("ip netns del \(space); ip link del \(near)") }
            wire()
            let recipe = """
                name: t
                services:
                  web: \(Self.server(it, "web", "networks: { lan: { ipv4_address: 10.77.5.80 } }, container_name: the-web"))
                  api: \(Self.server(it, "api", "networks: [lan, default]"))
                jobs:
                  ask: { rootfs: host, command: [sh, -c, 'for n in web the-web 10.77.5.80 api; do timeout 3 busybox wget -q -O - http://$$n/word || echo no-$$n; done; ip route'], networks: [lan] }
                networks:
                  lan: { driver: macvlan, driver_opts: { parent: \(near) }, ipam: { config: [{ subnet: 10.77.5.0/24, gateway: 10.77.5.1 }] } }
                """
            it.scratch.write("lost.yaml", recipe.replacing("parent: \(near)", with: "parent: no-such0"))
            let lost = it.berth("up", "-f", "\(it.scratch.path)/lost.yaml")
            #expect(lost.code != 0 && lost.errors.contains("its parent 'no-such0' is no interface of this host, which has"), "\(lost)")
            try it.apply(recipe)
            let asked = it.berth("run", "ask", "--wait").output
            #expect(asked.hasPrefix("webwebwebapi") && asked.contains("default via 10.77.5.1 dev eth0"), "\(asked)")
            func fromTheLan() -> String { Self.shell("ip netns exec \(space) timeout 5 busybox wget -q -O - http://10.77.5.80/word").output }
            #expect(fromTheLan() == "web")
            #expect(Self.fetch("10.77.5.80") == "")
            let shown = it.berth("network", "inspect", "t_lan")
            #expect(shown.output.contains("macvlan") && shown.output.contains(near) && shown.output.contains("10.77.5.80"), "\(shown)")
            // A daemon that comes back leaves what is whole alone: the interface is the one that was there.
            func interfaces() -> [String] {
                Instance.names("\(it.scratch.path)/run/networks").sorted().map { place in
                    Self.shell("nsenter --net=\(it.scratch.path)/run/networks/\(place) ip -o link show eth0 | cut -d: -f1").output
                }
            }
            let before = interfaces()
            it.kill()
            try it.start()
            it.wait(upTo: 10) { it.berth("network", "inspect", "t_lan").code == 0 }
            #expect(fromTheLan() == "web" && interfaces() == before && before.count >= 3, "\(before) \(interfaces())")
            // One with no address of version 6 takes none from its network.
            let sixth = "cat /proc/$(cat \(it.scratch.path)/run/runs/*/shim | sed -n 's/^container=//p' | head -n 1)/net/if_inet6"
            #expect(!Self.shell(sixth).output.contains("eth0"))
            // Who takes the wire away takes all that is on it.
            _ = Self.shell("ip link del \(near)")
            #expect(fromTheLan() == "")
            wire()
            it.wait(upTo: 20) { fromTheLan() == "web" }
            #expect(fromTheLan() == "web")
            #expect(it.berth("down", "t").code == 0)
            #expect(Self.leftovers(it).isEmpty, "\(Self.leftovers(it))")
            #expect(Self.shell("ip link show \(near)").code == 0)
        }
    }

    /// One container uses the network of another project's, as a sidecar or behind a tunnel.
    @Test func aContainerUsesTheNetworkOfAnotherProjects() throws {
        try EndToEndTests.with { it in
            it.scratch.write(
                "side.yaml",
                """
                name: side
                services:
                  ear: { rootfs: host, command: [sh, -c, "timeout 5 busybox wget -q -O - http://127.0.0.1/word; echo; sleep 600"], stop_grace_period: 1s, network_mode: "container:tunnel" }
                """)
            let early = it.berth("up", "-f", "\(it.scratch.path)/side.yaml")
            #expect(early.code != 0 && early.errors.contains("there is no service whose container is called 'tunnel'"), "\(early)")
            let second = "name: u\nservices: { other: { rootfs: host, command: [sleep, '9'], container_name: tunnel, network_mode: none } }\n"
            try it.apply("name: t\nservices:\n  vpn: \(Self.server(it, "vpn", "container_name: tunnel"))\n")
            #expect(it.berth("up", "-f", "\(it.scratch.path)/side.yaml").code == 0)
            it.wait(upTo: 20) { it.berth("logs", "side/ear").output.contains("vpn") }
            #expect(it.berth("logs", "side/ear").output == "vpn\n")
            it.scratch.write("second.yaml", second)
            let twice = it.berth("up", "-f", "\(it.scratch.path)/second.yaml")
            #expect(twice.code != 0 && twice.errors.contains("the container_name 'tunnel' is that of t/vpn already"), "\(twice)")
            // A job is where the service is, and not in a place that jobs share.
            it.scratch.write(
                "side.yaml",
                """
                name: side
                services:
                  ear: { rootfs: host, command: [sleep, "600"], network_mode: "container:tunnel", stop_grace_period: 1s }
                jobs:
                  look: { rootfs: host, command: [busybox, wget, -q, -O, "-", "http://127.0.0.1/word"], network_mode: "container:tunnel" }
                  far: { rootfs: host, command: [busybox, wget, -q, -O, "-", "http://127.0.0.1/word"], network_mode: "service:ear" }
                """)
            #expect(it.berth("up", "-f", "\(it.scratch.path)/side.yaml").code == 0)
            #expect(it.berth("run", "look", "--wait").output.contains("vpn") && it.berth("run", "far", "--wait").output.contains("vpn"))
        }
    }

    @Test func containersFindEachOtherByNameAndNobodyElse() throws {
        try EndToEndTests.with { it in
            let port = Self.freePort()
            try it.apply(
                """
                name: t
                services:
                  web: \(Self.server(it, "web", "ports: ['\(port):80']"))
                  api: \(Self.server(it, "api", "networks: { default: { aliases: [inner, www.api] }, back: }"))
                  db: \(Self.server(it, "db", "networks: [back]"))
                  side: { rootfs: host, command: [sh, -c, "until timeout 1 busybox wget -q -O - http://127.0.0.1/word 2>/dev/null; do sleep 0.1; done"], network_mode: "service:web", restart: "no" }
                jobs:
                  ask: { rootfs: host, command: [sh, -c, 'for n in "$$@"; do timeout 3 busybox wget -q -O - http://$$n/word || echo no-$$n; echo; done', ask, web, inner, www.api, db, default-gateway-of-nobody] }
                  back: { rootfs: host, command: [sh, -c, "timeout 3 busybox wget -q -O - http://db/word; timeout 2 busybox wget -q -O - http://web/word || echo no-web"], networks: [back] }
                networks: { back: { internal: true } }
                """)
            #expect(it.berth("run", "ask", "--wait").output == "web\napi\napi\nno-db\n\nno-default-gateway-of-nobody\n\n")
            #expect(it.berth("run", "back", "--wait").output == "dbno-web\n")
            // From the host, by each of its addresses.
            #expect(Self.fetch("127.0.0.1:\(port)") == "web")
            let host = Self.shell("hostname -I 2>/dev/null || ip -4 -o addr show scope global").output.split(whereSeparator: \.isWhitespace).first {
                $0.contains(".")
            }
            if let host { #expect(Self.fetch("\(host.split(separator: "/")[0]):\(port)") == "web") }
            try it.wait("select count(*) from runs where name = 'side' and outcome = 'succeeded'", is: "1")
            #expect(it.berth("logs", "side").output == "web\n")
            // Another project does not see them, but by the published port.
            it.scratch.write(
                "u.yaml",
                """
                name: u
                jobs:
                  ask: { rootfs: host, command: [sh, -c, "timeout 2 busybox wget -q -O - http://web/word || echo no-name; timeout 2 busybox wget -q -O - http://$$1/word || echo no-way; timeout 3 busybox wget -q -O - http://host.docker.internal:\(port)/word", ask] }
                """)
            #expect(it.berth("up", "-f", "\(it.scratch.path)/u.yaml").code == 0)
            let address =
                it.berth("network", "inspect", "t_default").output.split(separator: "\n").first { $0.contains("t/web") }?
                .split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("10.") } ?? "none"
            #expect(address != "none")
            #expect(
                it.berth(
                    "run", "u/ask", "--wait", "--", "sh", "-c",
                    "timeout 2 busybox wget -q -O - http://web/word || echo no-name; timeout 2 busybox wget -q -O - http://\(address)/word || echo no-way; timeout 3 busybox wget -q -O - http://host.docker.internal:\(port)/word"
                ).output == "no-name\nno-way\nweb\n")
            it.berth("down", "u")
            it.berth("down", "t")
            // When it returns, the project's networks are gone.
            #expect(it.berth("network", "ls", "--json").output == "[]\n")
            it.wait(upTo: 10) { Self.leftovers(it).isEmpty }
            #expect(Self.leftovers(it) == [])
        }
    }

    /// A restart finds its address, and the daemon's death is nobody's business.
    @Test func placesOutliveRunsAndDaemons() throws {
        try EndToEndTests.with { it in
            let port = Self.freePort()
            let recipe = """
                name: t
                services:
                  web: \(Self.server(it, "web", "ports: ['127.0.0.1:\(port):80']"))
                jobs:
                  ask: { rootfs: host, command: [timeout, "3", busybox, wget, -q, -O, "-", "http://web/word"] }
                """
            try it.apply(recipe)
            func address() -> String { it.berth("network", "inspect", "t_default", "--json").output }
            let before = address()
            #expect(Self.fetch("127.0.0.1:\(port)") == "web")
            it.berth("restart", "web")
            it.wait(upTo: 10) { Self.fetch("127.0.0.1:\(port)") == "web" }
            #expect(Self.fetch("127.0.0.1:\(port)") == "web" && address() == before)
            it.kill()
            #expect(Self.fetch("127.0.0.1:\(port)") == "web")
            try it.start()
            #expect(address() == before && Self.fetch("127.0.0.1:\(port)") == "web")
            #expect(it.sql("select count(*) from runs where name = 'web'") == "2")
            #expect(Self.ask(it) == "web")
        }
    }

    /// Whoever flushes the firewall, deletes a bridge or kills the server of names: it is back within seconds.
    @Test func whatSomebodyBreaksIsMended() throws {
        try EndToEndTests.with { it in
            let port = Self.freePort()
            try it.apply(
                """
                name: t
                services:
                  web: \(Self.server(it, "web", "ports: ['\(port):80']"))
                jobs:
                  ask: { rootfs: host, command: [timeout, "3", busybox, wget, -q, -O, "-", "http://web/word"] }
                """)
            let prefix = try #require(it.networks.first)
            let breaks = [
                "nft delete table inet \(prefix)", "nft flush chain inet \(prefix) ports", "ip link del \(prefix)-1",
                "ip link set dev $(ls /sys/class/net/\(prefix)-1/brif | head -n 1) nomaster", "kill -9 $(cat \(it.scratch.path)/run/names/aardvark.pid)",
                "ip link del $(ls /sys/class/net/\(prefix)-1/brif | head -n 1)",
            ]
            for command in breaks {
                let broken = Self.shell(command)
                #expect(broken.code == 0, "\(command): \(broken.errors)")
                it.wait(upTo: 10) { Self.fetch("127.0.0.1:\(port)") == "web" && Self.ask(it) == "web" }
                #expect(Self.fetch("127.0.0.1:\(port)") == "web", "\(command)\n\(it.log_)")
                #expect(Self.ask(it) == "web", "\(command)\n\(it.log_)")
            }
            // The container ran on all the while.
            #expect(it.sql("select count(*) from runs where name = 'web'") == "1")
        }
    }

    @Test func aPortThatIsTakenIsSaidWithItsOwner() throws {
        try EndToEndTests.with { it in
            let port = Self.freePort()
            let holder = Process()
            holder.executableURL = URL(fileURLWithPath: "/usr/bin/busybox")
            holder.arguments = ["httpd", "-f", "-p", "\(port)", "-h", it.scratch.path]
            try holder.run()
            func end() {
                // It does not mind a SIGTERM.
                if holder.isRunning { kill(holder.processIdentifier, SIGKILL) }
                holder.waitUntilExit()
            }
            defer { end() }
            it.scratch.write("word", "held")
            it.wait(upTo: 5) { Self.fetch("127.0.0.1:\(port)") == "held" }
            it.scratch.write("berth.yaml", "name: t\nservices:\n  web: \(Self.server(it, "web", "ports: ['\(port):80']"))\n")
            for verb in ["plan", "up"] {
                let refused = it.berth(verb, "-f", "\(it.scratch.path)/berth.yaml")
                #expect(
                    refused.code != 0 && refused.errors.contains("t/web: the host's port \(port)/tcp is taken: 'busybox' (pid \(holder.processIdentifier))"),
                    "\(refused)")
            }
            #expect(it.sql("select count(*) from recipe_rows") == "0")
            #expect(Self.leftovers(it) == [])
            end()
            #expect(it.berth("up", "-f", "\(it.scratch.path)/berth.yaml").code == 0)
            it.wait(upTo: 5) { Self.fetch("127.0.0.1:\(port)") == "web" }
            #expect(Self.fetch("127.0.0.1:\(port)") == "web")
            // Another project's, too.
            it.scratch.write("u.yaml", "name: u\nservices:\n  w: \(Self.server(it, "w", "ports: ['\(port):80']"))\n")
            let second = it.berth("up", "-f", "\(it.scratch.path)/u.yaml")
            #expect(second.code != 0 && second.errors.contains("is published by t/web"), "\(second)")
        }
    }

    /// Runs beside each other have places of their own; no more are kept than are of use.
    @Test func runsSideBySideHavePlacesOfTheirOwn() throws {
        try EndToEndTests.with { it in
            try it.apply(
                """
                name: t
                jobs:
                \((1...50).map { "  j\($0): { rootfs: host, command: [sh, -c, 'ip -4 -o addr show eth0 | cut -d \" \" -f 7; sleep 3'] }" }.joined(separator: "\n"))
                """)
            func places() -> Int { Instance.names("\(it.scratch.path)/run/networks").count }
            #expect(places() == 2)
            let runs = try (1...12).map { try it.begin("run", "j\($0)", "--wait") }
            for run in runs { run.waitUntilExit() }
            let addresses = (1...12).map { it.berth("logs", "j\($0)").output.trimmingCharacters(in: .whitespacesAndNewlines) }
            #expect(Set(addresses).count == 12 && addresses.allSatisfy { $0.hasPrefix("10.") }, "\(addresses)")
            it.wait(upTo: 10) { places() == 2 }
            #expect(places() == 2)
        }
    }

    /// What a run left behind does not keep the next one from its port, and a container that may change its interfaces gets them anew.
    @Test func theNextRunFindsItsPlaceAsNew() throws {
        try EndToEndTests.with { it in
            let port = Self.freePort()
            it.scratch.write(
                "serve.py",
                """
                import socket
                s = socket.socket()
                s.bind(("", 80))
                s.listen()
                c, _ = s.accept()
                c.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nonce")
                c.close()
                """)
            try it.apply(
                """
                name: t
                services:
                  once: { rootfs: host, command: [python3, /s/serve.py], volumes: ["\(it.scratch.path):/s:ro"], ports: ['\(port):80'], restart: always }
                  admin: { rootfs: host, command: [sh, -c, "ip -4 -o addr show eth0; ip link del eth0; sleep 0.2"], cap_add: [NET_ADMIN], restart: on-failure:1 }
                """)
            for round in 1...3 {
                it.wait(upTo: 20) { Self.fetch("127.0.0.1:\(port)") == "once" }
                try it.wait("select count(*) >= \(round) from runs where name = 'once' and outcome = 'succeeded'", is: "1")
            }
            #expect(it.sql("select count(*) from runs where name = 'once' and outcome = 'failed'") == "0", "\(it.berth("logs", "once").output)")
            try it.wait("select count(*) from runs where name = 'admin' and finished_at is not null", is: "1")
            it.berth("start", "admin")
            try it.wait("select count(*) from runs where name = 'admin' and finished_at is not null", is: "2")
            let run = it.sql("select run_id from runs where name = 'admin' order by run_id desc limit 1")
            #expect(it.berth("logs", "--run", run).output.contains("inet 10."), "\(it.berth("logs", "admin").output)")
        }
    }

    @Test func networksOfTheirOwnAreMadeAndRemoved() throws {
        try EndToEndTests.with { it in
            let recipe = "name: t\nservices:\n  web: \(Self.server(it, "web", "networks: [proxy]"))\nnetworks: { proxy: { external: true } }\n"
            it.scratch.write("berth.yaml", recipe)
            let missing = it.berth("up", "-f", "\(it.scratch.path)/berth.yaml")
            #expect(missing.code != 0 && missing.errors.contains("there is no network 'proxy': 'berth network create proxy' makes it"), "\(missing)")
            #expect(it.berth("network", "create", "proxy", "--subnet", "10.250.7.0/24").code == 0)
            #expect(it.berth("up", "-f", "\(it.scratch.path)/berth.yaml").code == 0)
            let listed = it.berth("network", "ls")
            #expect(listed.output.contains("proxy") && listed.output.contains("10.250.7.0/24"), "\(listed)")
            let used = it.berth("network", "rm", "proxy")
            #expect(used.code != 0 && used.errors.contains("is used"), "\(used)")
            it.kill()
            try it.start()
            #expect(it.berth("network", "ls").output.contains("proxy"))
            it.berth("down", "t")
            #expect(it.berth("network", "prune").output.contains("proxy"))
            it.wait(upTo: 10) { Self.leftovers(it).isEmpty }
            #expect(Self.leftovers(it) == [])
        }
    }
}
