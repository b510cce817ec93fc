import ArgumentParser
import ControlAPI
import FoundationEssentials
import Glibc

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "doctor", abstract: "Look at what this host has and lacks, and say how to get it.")
    @OptionGroup var connection: ConnectionOptions

    struct Finding: Encodable {
        let what: String
        /// `good`, `note` or `bad`.
        let level: String
        let text: String
    }

    func run() async throws {
        var findings: [Finding] = []
        func add(_ what: String, _ good: Bool, _ text: String, orElse remedy: String, required: Bool = true) {
            findings.append(Finding(what: what, level: good ? "good" : required ? "bad" : "note", text: good ? text : remedy))
        }
        let kernel = Host.kernel()
        add("kernel", kernel.major > 5 || kernel.major == 5 && kernel.minor >= 14, kernel.text, orElse: "\(kernel.text): Linux 5.14 or newer is needed")
        let mounts = Host.read("/proc/self/mountinfo") ?? ""
        let v2 = mounts.contains(" - cgroup2 ")
        let v1 = mounts.contains(" - cgroup ")
        add("control groups", v1 || v2, v1 && v2 ? "hybrid: v1 controllers beside v2" : v2 ? "v2" : "v1", orElse: "none are mounted at /sys/fs/cgroup")
        if v2, !v1 {
            let controllers = Host.read("/sys/fs/cgroup/cgroup.controllers") ?? ""
            for name in ["memory", "cpu", "pids"] {
                add("controller \(name)", controllers.contains(name), "there", orElse: "missing: limits of it will not hold (see the kernel's command line)")
            }
        }
        let overlay = (Host.read("/proc/filesystems") ?? "").contains("overlay")
        let module = Host.kernelModule("overlay")
        add(
            "overlayfs", overlay || module, overlay ? "there" : "a module that the kernel loads at the first run",
            orElse: "missing: install the kernel's modules")
        add("seccomp", (Host.read("/proc/sys/kernel/seccomp/actions_avail") ?? "").contains("errno"), "there", orElse: "the kernel has no seccomp filters")
        add("time zones", FileManager.default.fileExists(atPath: "/usr/share/zoneinfo/Europe/Lisbon"), "there", orElse: "missing: apt-get install tzdata")
        add(
            "skopeo", Host.find("skopeo") != nil, Host.find("skopeo") ?? "", orElse: "missing, images cannot be brought in: apt-get install skopeo",
            required: false)
        for (program, package) in [("ip", "iproute2"), ("nft", "nftables"), ("nsenter", "util-linux")] {
            let path = Host.find(program) ?? Host.find(program, in: "/usr/sbin:/sbin")
            add(
                program, path != nil, path ?? "", orElse: "missing, containers have no networks but 'none' and 'host': apt-get install \(package)",
                required: false)
        }
        let server = Host.find("aardvark-dns", in: "/usr/lib/podman:/usr/libexec/podman:/usr/bin:/usr/local/bin")
        add(
            "aardvark-dns", server != nil, server ?? "", orElse: "missing, containers have no networks but 'none' and 'host': apt-get install aardvark-dns",
            required: false)
        for (runtime, floor) in [("crun", "1.28"), ("runc", "1.3.6")] {
            if let path = Host.find(runtime) {
                findings.append(Finding(what: runtime, level: "note", text: "\(path): not used by this release; versions below \(floor) have known escapes"))
            }
        }
        let daemon: VersionInfo? = try? await ControlClient.use(connection) { try await $0.get(ControlPaths.version) }
        add("daemon", daemon != nil, daemon.map { "berthd \($0.version), pid \($0.pid)" } ?? "", orElse: "none answers at \(connection.path)", required: false)
        if daemon != nil {
            do {
                let status: StatusInfo = try await ControlClient.use(connection) { try await $0.get(ControlPaths.status) }
                add("history", status.degraded == nil, "can be written", orElse: status.degraded ?? "")
                let disk: DiskInfo = try await ControlClient.use(connection) { try await $0.get(ControlPaths.disk) }
                let newest = disk.snapshots.first.map { "\(disk.snapshots.count), the newest of \($0.at)" }
                add("copies of it", newest != nil, newest ?? "", orElse: "none yet: one is made each night", required: false)
                add(
                    "disk", true,
                    "history \(Show.bytes(disk.historyBytes)) of \(Show.bytes(disk.mostHistoryBytes)), logs \(Show.bytes(disk.logBytes)) of "
                        + "\(Show.bytes(disk.mostLogBytes)), volumes \(Show.bytes(disk.volumeBytes))", orElse: "")
                for notice in status.notices ?? [] { findings.append(Finding(what: "state", level: "bad", text: notice)) }
            } catch { findings.append(Finding(what: "history", level: "bad", text: "\(error)")) }
        }
        if connection.json {
            try Terminal.print(json: findings)
        } else {
            for finding in findings {
                let (sign, colour): (String, Terminal.Colour) =
                    finding.level == "good" ? ("ok  ", .green) : finding.level == "bad" ? ("BAD ", .red) : ("note", .yellow)
                Terminal.say("\(Terminal.paint(sign, colour))  \(finding.what.padded(18)) \(finding.text)")
            }
        }
        if findings.contains(where: { $0.level == "bad" }) { throw ExitCode(1) }
    }
}

enum Host {
    static func read(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

    /// The running kernel's release, as `uname -r` has it.
    private static var release: String? { read("/proc/sys/kernel/osrelease")?.split(separator: "\n").first.map(String.init) }

    static func kernel() -> (text: String, major: Int, minor: Int) {
        let text = release ?? "?"
        let numbers = text.split(separator: ".").map { Int($0.prefix { $0.isNumber }) ?? 0 }
        return ("Linux \(text)", numbers.first ?? 0, numbers.count > 1 ? numbers[1] : 0)
    }

    /// Whether a module of this name belongs to the running kernel.
    static func kernelModule(_ name: String) -> Bool {
        (read("/lib/modules/\(release ?? "")/modules.dep") ?? "").contains("/\(name).ko")
    }

    /// - Parameter path: where it is looked for; `nil` is where a shell would
    static func find(_ program: String, in path: String? = nil) -> String? {
        let path = path ?? ProcessInfo.processInfo.environment["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        return path.split(separator: ":").map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }
}
