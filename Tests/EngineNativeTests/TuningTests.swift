import EngineAPI
import Foundation
import Glibc
import HostOS
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// What few containers ask for of the host, by the kernel itself.
@Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
struct TuningTests {
    private static func run(_ script: String, _ change: (inout ContainerTuning, inout ContainerSpec) -> Void) async throws -> (WorkloadModel.ExitStatus, String)
    {
        var found: (WorkloadModel.ExitStatus, String)?
        try await EngineFixture.with { fixture in
            let container = EngineFixture.shell(script) { container in
                var tuning = ContainerTuning()
                change(&tuning, &container)
                container.tuning = Shared(tuning)
            }
            let (status, output, _) = try await fixture.run(container)
            found = (status, output)
        }
        return found!
    }

    @Test func groupsSettingsAndScoresAreSet() async throws {
        let (status, output) = try await Self.run("id -G; cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax /proc/self/oom_score_adj; cat") {
            $0.groups = ["27", "audio"]
            $0.sysctls = ["net.core.somaxconn": "77", "kernel.msgmax": "12345"]
            $0.oomScore = 321
            $1.user = "daemon"
        }
        let words = output.split(separator: "\n").map(String.init)
        #expect(status.ending == .exited(code: 0), "\(status)")
        #expect(words.first?.split(separator: " ").contains("27") == true && words.first?.split(separator: " ").contains("29") == true)
        #expect(words.dropFirst() == ["77", "12345", "321"], "\(output)")
    }

    @Test func theHostsNamespacesAreJoined() async throws {
        func namespace(_ kind: String) -> String { (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(kind)")) ?? "" }
        for isHosts in [true, false] {
            let (status, output) = try await Self.run("for n in pid ipc uts; do readlink /proc/self/ns/$n; done; test -d /proc/\(getpid()) && echo seen") {
                ($0.hostProcesses, $0.hostIPC, $0.hostName) = (isHosts, isHosts, isHosts)
                $1.hostname = nil
            }
            let own = ["pid", "ipc", "uts"].map(namespace)
            let lines = output.split(separator: "\n").map(String.init)
            #expect(
                (Array(lines.prefix(3)) == own) == isHosts && lines.contains("seen") == isHosts && status.ending == .exited(code: isHosts ? 0 : 1), "\(output)")
        }
    }

    /// In the host's pid namespace too, nothing of a run is left when its command ends.
    @Test func whatIsLeftAmongTheHostsProcessesIsEnded() async throws {
        let (status, output) = try await Self.run("setsid sleep 400 & echo $!") { tuning, _ in tuning.hostProcesses = true }
        let pid = try #require(pid_t(output.trimmingCharacters(in: .whitespacesAndNewlines)))
        // Nobody here may have looked at its end yet.
        #expect(status.ending == .exited(code: 0) && HostProcess.startTime(pid) == nil)
    }

    /// A terminal of its own: programs see one, its user may open it again, and its lines are in the log as others' are.
    @Test(arguments: [false, true])
    func aTerminalIsOne(_ hasInit: Bool) async throws {
        let script =
            "test -t 0 && test -t 1 && test -t 2 && tty; echo $TERM; stty size; echo more > /dev/tty; id -un; echo console > /dev/console; ls -l /dev/console | cut -c1; timeout --foreground 1 head -c1; echo read $?; printf unfinished"
        let (status, output) = try await Self.run(script) {
            ($0.hasTerminal, $0.opensInput) = (true, true)
            $1.user = "daemon"
            $1.initProcess = hasInit
        }
        #expect(status.ending == .exited(code: 0), "\(status) \(output)")
        #expect(output == "/dev/pts/0\nxterm\n24 80\nmore\ndaemon\nconsole\nc\nread 124\nunfinished", "\(output)")
        let (_, plain) = try await Self.run("test -t 1 || echo none; ls /dev/console; echo $TERM") { _, _ in }
        #expect(plain.hasPrefix("none\n") && plain.contains("/dev/console") && !plain.contains("xterm"), "\(plain)")
    }

    /// What is written right before the end, and by others after the first process closed its streams, is in the log.
    @Test func nothingThatIsWrittenToATerminalIsLost() async throws {
        let (status, output) = try await Self.run("exec >&- 2>&- <&-; sleep 0.2; seq 1 20000 > /dev/tty; exit 7") { tuning, _ in tuning.hasTerminal = true }
        #expect(status.ending == .exited(code: 7) && output.split(separator: "\n").map(String.init) == (1...20_000).map(String.init))
    }

    /// Another container's processes and shared memory: seen, and gone with it.
    @Test func anotherContainersNamespacesAreJoined() async throws {
        try await EngineFixture.with { fixture in
            func until(_ isSo: () async -> Bool) async throws { for _ in 0..<500 where await !isSo() { try await Task.sleep(for: .milliseconds(10)) } }
            func container(_ run: RunRequest) throws -> pid_t { try #require(RunDirectory(path: fixture.engine.paths.run(run.id)).facts).container }
            let db = try WorkloadName("db")
            func join(_ tuning: inout ContainerTuning) { (tuning.processesOf, tuning.memoryOf) = (db, db) }
            let lost = try await Self.service(fixture, "side", "true", join)
            await #expect(throws: EngineError.sandbox("the service 'db', whose processes it shares, is not running")) { try await fixture.engine.launch(lost) }
            let first = try await Self.service(fixture, "db", "echo kept > /dev/shm/word; exec sleep 4321")
            _ = try await fixture.engine.launch(first)
            let pid = try container(first)
            try await until { (try? String(contentsOfFile: "/proc/\(pid)/root/dev/shm/word", encoding: .utf8)) == "kept\n" }
            let script =
                "cat /dev/shm/word; ps ax | grep -c '[s]leep 4321'; readlink /proc/self/ns/ipc; echo new > /dev/shm/other; exec sleep 5432"
            let second = try await Self.service(fixture, "side", script, join)
            _ = try await fixture.engine.launch(second)
            try await until { FileManager.default.fileExists(atPath: "/proc/\(pid)/root/dev/shm/other") }
            let namespace = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/ipc")
            #expect(await fixture.text(second) == "kept\n1\n\(namespace)")
            // Whose processes they are ends: so do all in there.
            kill(pid, SIGKILL)
            let (a, b) = (try await fixture.end(of: first.id), try await fixture.end(of: second.id))
            #expect(a.ending == .signaled(number: SIGKILL) && b.ending == .signaled(number: SIGKILL), "\(a) \(b)")
            for run in [first, second] { await fixture.engine.settle(run.id) }
        }
    }

    private static func service(
        _ fixture: EngineFixture, _ name: String, _ script: String, of other: String? = nil, capabilities: Set<Capability> = [],
        _ change: (inout ContainerTuning) -> Void = { _ in }
    ) async throws -> RunRequest {
        var tuning = ContainerTuning()
        tuning.processesOf = try other.map { try WorkloadName($0) }
        change(&tuning)
        let container = EngineFixture.shell(script) {
            $0.tuning = Shared(tuning)
            $0.addedCapabilities = capabilities
        }
        return Make.request(name, await fixture.counter.next(), at: WallClock.now(), container: container)
    }

    /// A container that may trace sees those that come into its processes when nothing of the host is left to them.
    @Test func whoTracesItsGuestsDoesNotReachTheHost() async throws {
        try await EngineFixture.with { fixture in
            let canary = "\(fixture.scratch.path)/state/canary"
            fixture.scratch.write("state/canary", "host")
            let look =
                "while :; do for p in /proc/[0-9]*; do [ -e $p/root\(canary) ] && echo reached $p; done 2>/dev/null; done > /dev/shm/seen & echo up; wait"
            let first = try await Self.service(fixture, "db", look, capabilities: [.sysPtrace])
            _ = try await fixture.engine.launch(first)
            for _ in 0..<12 {
                let guest = try await Self.service(fixture, "side", "true", of: "db")
                _ = try await fixture.engine.launch(guest)
                #expect(try await fixture.end(of: guest.id).ending == .exited(code: 0))
                await fixture.engine.settle(guest.id)
            }
            let pid = try #require(RunDirectory(path: fixture.engine.paths.run(first.id)).facts).container
            #expect(try String(contentsOfFile: "/proc/\(pid)/root/dev/shm/seen", encoding: .utf8) == "")
            await fixture.engine.stop(first.id)
            _ = try await fixture.end(of: first.id)
            await fixture.engine.settle(first.id)
        }
    }

    /// A tracer that keeps its tracee's end to itself does not keep the run from having one.
    @Test func whoTracesAGuestDoesNotHoldItsEndBack() async throws {
        try await EngineFixture.with { fixture in
            let trace = """
                exec python3 -c '
                import ctypes, os, time
                libc = ctypes.CDLL(None)
                while True:
                    for pid in [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) not in (1, os.getpid())]:
                        if libc.ptrace(0x4206, pid, 0, 0) == 0: open("/dev/shm/traced", "w").write("yes")
                    time.sleep(0.01)
                '
                """
            let first = try await Self.service(fixture, "db", trace)
            _ = try await fixture.engine.launch(first)
            let pid = try #require(RunDirectory(path: fixture.engine.paths.run(first.id)).facts).container
            let guest = try await Self.service(fixture, "side", "until [ -e /dev/shm/none ]; do sleep 0.05; done", of: "db")
            _ = try await fixture.engine.launch(guest)
            for _ in 0..<500 where !FileManager.default.fileExists(atPath: "/proc/\(pid)/root/dev/shm/traced") { try await Task.sleep(for: .milliseconds(10)) }
            #expect(FileManager.default.fileExists(atPath: "/proc/\(pid)/root/dev/shm/traced"))
            await fixture.engine.stop(guest.id)
            let end = try await fixture.end(of: guest.id).ending
            #expect(end == .signaled(number: SIGTERM) || end == .signaled(number: SIGKILL), "\(end)")
            for run in [guest, first] {
                if run.id == first.id { await fixture.engine.stop(first.id) }
                _ = try await fixture.end(of: run.id)
                await fixture.engine.settle(run.id)
            }
        }
    }

    /// With a shim that is killed, its terminal is gone; `init` keeps the command from being ended for it.
    @Test func aKilledShimHangsUpNoCommandBelowAnInit() async throws {
        try await EngineFixture.with { fixture in
            let container = EngineFixture.shell("while :; do echo x 2>/dev/null; echo $(date +%s%N) > /dev/shm/beat; sleep 0.02; done") { container in
                var tuning = ContainerTuning()
                tuning.hasTerminal = true
                container.tuning = Shared(tuning)
                container.initProcess = true
            }
            let run = Make.request("db", await fixture.counter.next(), at: WallClock.now(), container: container)
            _ = try await fixture.engine.launch(run)
            let facts = try #require(RunDirectory(path: fixture.engine.paths.run(run.id)).facts)
            func beat() -> String? { try? String(contentsOfFile: "/proc/\(facts.container)/root/dev/shm/beat", encoding: .utf8) }
            func beats() async throws -> Bool {
                let before = beat()
                for _ in 0..<300 where beat() == before || beat() == "" { try await Task.sleep(for: .milliseconds(10)) }
                return beat() != nil && beat() != before
            }
            #expect(try await beats())
            kill(facts.shim, SIGKILL)
            for _ in 0..<500 where HostProcess.isAlive(facts.shim, start: facts.shimStart) { try await Task.sleep(for: .milliseconds(10)) }
            #expect(try await beats())
            await fixture.engine.stop(run.id)
            _ = try await fixture.end(of: run.id)
            await fixture.engine.settle(run.id)
        }
    }

    @Test func anOpenInputDoesNotEnd() async throws {
        let (closed, _) = try await Self.run("timeout 1 cat") { _, _ in }
        #expect(closed.ending == .exited(code: 0))
        let (opened, _) = try await Self.run("timeout 1 cat") { tuning, _ in tuning.opensInput = true }
        #expect(opened.ending == .exited(code: 124))
    }

    /// A node that is given works, as far as its permissions go; others do not, even where one can be made.
    @Test func devicesThatAreGivenWork() async throws {
        let script =
            "dd if=/dev/loop-control count=0 2>&1 | tail -1; echo x > /dev/given 2>/dev/null && echo written; ls -l /dev/given | cut -c1; cat /dev/mem 2>&1 | head -1"
        let (_, output) = try await Self.run(script) { tuning, _ in
            tuning.devices = [
                DeviceMount(source: "/dev/loop-control", target: "/dev/loop-control", access: [.read, .write]),
                DeviceMount(source: "/dev/kmsg", target: "/dev/given", access: .read),
            ]
        }
        #expect(output.hasPrefix("0 bytes copied") && !output.contains("written") && output.contains("given: Operation not permitted\nc\n"), "\(output)")
        let (without, denied) = try await Self.run("mknod /tmp/l c 10 237 && cat < /tmp/l") { _, container in container.addedCapabilities = [.mknod] }
        #expect(without.ending != .exited(code: 0) && denied.contains("Permission denied"), "\(denied)")
        let (_, ruled) = try await Self.run("mknod /tmp/l c 10 237; head -c0 < /tmp/l && echo opened") { tuning, container in
            container.addedCapabilities = [.mknod]
            tuning.deviceRules = [DeviceRule(isBlock: false, major: 10, minor: nil, access: [.read, .write])]
        }
        // The layer's own mount has no device that works: the rule alone opens none.
        #expect(!ruled.contains("opened"), "\(ruled)")
        await #expect(throws: EngineError.host("the device /dev/none is not on this host: No such file or directory")) {
            _ = try await Self.run("true") { tuning, _ in tuning.devices = [DeviceMount(source: "/dev/none", target: "/dev/x", access: .read)] }
        }
    }

    @Test func sharesAndReservationsAreSet() async throws {
        try await EngineFixture.with { fixture in
            var tuning = ContainerTuning()
            tuning.memoryReservation = 8 << 20
            tuning.processorShares = 512
            tuning.processors = "0"
            let request = await fixture.request(
                EngineFixture.shell("grep Cpus_allowed_list /proc/self/status; sleep 1000") {
                    $0.tuning = Shared(tuning)
                    $0.limits.memoryBytes = 64 << 20
                })
            _ = try await fixture.engine.launch(request)
            let cgroups = fixture.engine.cgroups
            func text(_ controller: String, _ v1: String, _ v2: String) -> String? {
                let path = cgroups.layout == .v2 ? cgroups.v2.map { "\($0)/\(request.id)/\(v2)" } : cgroups.v1[controller].map { "\($0)/\(request.id)/\(v1)" }
                return path.flatMap { try? String(contentsOfFile: $0, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines) }
            }
            #expect(text("memory", "memory.soft_limit_in_bytes", "memory.low") == "\(8 << 20)")
            #expect(text("cpu", "cpu.shares", "cpu.weight") == (cgroups.layout == .v2 ? "20" : "512"))
            #expect(text("cpuset", "cpuset.cpus", "cpuset.cpus") == "0")
            for _ in 0..<200 where await fixture.text(request).isEmpty { try await Task.sleep(for: .milliseconds(10)) }
            #expect(await fixture.text(request).hasSuffix("\t0"))
            cgroups.kill(run: request.id)
            _ = try await fixture.end(of: request.id)
            await fixture.engine.settle(request.id)
        }
    }

    /// A disk of this host; `nil` when there is none.
    private static var disk: (path: String, number: String)? {
        for name in HostFile.names(in: "/sys/block").sorted() where HostFile.exists("/dev/\(name)") {
            guard let number = try? HostFile.text("/sys/block/\(name)/dev").filter({ !$0.isNewline }) else { continue }
            return ("/dev/\(name)", number)
        }
        return nil
    }

    /// What the groups are told, for both versions.
    @Test func groupsAreToldOfDisks() throws {
        guard let disk = Self.disk else { return }
        let scratch = Scratch("blocks")
        for file in ["io.weight", "io.max", "blkio.bfq.weight", "blkio.throttle.read_bps_device", "blkio.throttle.write_iops_device"] {
            scratch.write(file, "")
        }
        var wanted = BlockIO()
        wanted.weight = 1000
        wanted.weights = [BlockIO.Amount(path: disk.path, amount: 10)]
        wanted[.readBytes] = [BlockIO.Amount(path: disk.path, amount: 1 << 20)]
        wanted[.writeOperations] = [BlockIO.Amount(path: disk.path, amount: 7)]
        let v2 = try BlockControl.lines(wanted, isV2: true, in: scratch.path).map { "\($0.file): \($0.text)" }
        let number = disk.number
        #expect(v2 == ["io.weight: default 10000", "io.weight: \(number) 1", "io.max: \(number) rbps=1048576", "io.max: \(number) wiops=7"])
        let v1 = try BlockControl.lines(wanted, isV2: false, in: scratch.path).map { "\($0.file): \($0.text)" }
        #expect(
            v1 == [
                "blkio.bfq.weight: 1000", "blkio.bfq.weight_device: \(number) 10", "blkio.throttle.read_bps_device: \(number) 1048576",
                "blkio.throttle.write_iops_device: \(number) 7",
            ])
        #expect(throws: HostFile.Failure.self) { try BlockControl.lines(wanted, isV2: true, in: "\(scratch.path)/none") }
        wanted[.readBytes] = [BlockIO.Amount(path: "/dev/null", amount: 1)]
        #expect(throws: HostFile.Failure.self) { try BlockControl.lines(wanted, isV2: true, in: scratch.path) }
    }

    /// The kernel's own files say that it holds.
    @Test func whatIsReadFromADiskIsLimited() async throws {
        guard let disk = Self.disk else { return }
        try await EngineFixture.with { fixture in
            var blockIO = BlockIO()
            blockIO[.readBytes] = [BlockIO.Amount(path: disk.path, amount: 1 << 20)]
            let container = EngineFixture.shell("sleep 1000") {
                var tuning = ContainerTuning()
                tuning.blockIO = blockIO
                $0.tuning = Shared(tuning)
                $0.stopSignal = SIGKILL
            }
            try await fixture.engine.prepare(container) { _ in }
            let request = await fixture.request(container)
            _ = try await fixture.engine.launch(request)
            let group = fixture.engine.cgroups.group(of: request.id)
            let blocks = group.v1.first { $0.hasPrefix("blkio:") }.map { String($0.dropFirst(6)) + "/blkio.throttle.read_bps_device" }
            let text = try HostFile.text(blocks ?? "\(group.v2 ?? "")/io.max")
            #expect(text.contains("\(disk.number) ") && text.contains("1048576"), "\(text)")
            await fixture.engine.stop(request.id)
            _ = try await fixture.end(of: request.id)
            await fixture.engine.settle(request.id)
            var none = blockIO
            none[.readBytes] = [BlockIO.Amount(path: "/dev/nodisk", amount: 1)]
            var other = container
            var tuning = ContainerTuning()
            tuning.blockIO = none
            other.tuning = Shared(tuning)
            await #expect(throws: EngineError.self) { try await fixture.engine.prepare(other) { _ in } }
        }
    }
}
