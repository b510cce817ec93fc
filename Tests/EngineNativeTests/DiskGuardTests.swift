import EngineAPI
import Foundation
import Glibc
import HostOS
import Logging
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// The run that fills the state disk is frozen, however it takes the space or the inodes; other runs are not.
@Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
struct DiskGuardTests {
    /// An engine whose state is on a disk of 512 MiB of its own; containers leave 128 MiB of it free.
    private static func with(features: String = "-m 0", _ body: (EngineFixture, _ disk: String) async throws -> Void) async throws {
        try await EngineFixture.withDisk(size: "512M", features: features, body)
    }

    /// Writes a megabyte after the other, for ever.
    private static let pour = "while :; do head -c 1000000 /dev/zero; done"

    private static func launch(_ fixture: EngineFixture, _ script: String, timeout: Duration? = nil, _ change: (inout ContainerSpec) -> Void = { _ in })
        async throws -> RunID
    {
        let container = EngineFixture.shell(script) {
            $0.stopGracePeriod = .seconds(5)
            change(&$0)
        }
        let request = await fixture.request(container, timeout: timeout)
        _ = try await fixture.engine.launch(request)
        return request.id
    }

    private static func isFrozen(_ fixture: EngineFixture, _ run: RunID) -> Bool { fixture.engine.notices.contains { $0.contains("\(run)") } }

    /// - Parameter directory: many of its files are removed when the disk has had no inode for five seconds. If the machine stalls, a run can take
    ///   all of them before the guard measures; the guard then finds the run only when inodes are taken again.
    private static func waitUntilFrozen(_ fixture: EngineFixture, _ run: RunID, givingBack directory: String? = nil) async throws {
        for count in 1...3600 where !isFrozen(fixture, run) {
            if let directory, count % 100 == 0, DiskSpace(of: directory)?.free.inodes == 0 {
                _ = EngineFixture.shellOnHost("cd \(directory) && ls -U | head -n 5000 | xargs rm")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        try #require(isFrozen(fixture, run), "\(fixture.engine.notices)")
    }

    private static func size(_ disk: String, _ path: String) -> Int64 {
        DiskUse.tree("\(disk)/\(path)", FileIdentity(path: disk)!.device, most: 100_000, until: .now + .seconds(10)).amount.bytes
    }

    private static func end(_ fixture: EngineFixture, _ runs: RunID...) async throws {
        for run in runs { await fixture.engine.stop(run) }
        for run in runs {
            _ = try await fixture.end(of: run)
            await fixture.engine.settle(run)
        }
    }

    @Test(
        arguments: [
            "\(pour) > /big",
            // A file without a name.
            "exec 3> /big; rm /big; \(pour) >&3",
            // Space that is taken without a byte being written.
            "i=0; while :; do i=$((i + 1)); fallocate -l 1M /big.$i; sleep 0.01; done",
            // On the disk, and not in the layer.
            "\(pour) > /m/big", "\(pour) > /v/big",
        ]) func theRunThatTakesTheSpaceIsFrozenAndNoOther(script: String) async throws
    {
        try await Self.with { fixture, disk in
            try HostFile.makeDirectories("\(disk)/data")
            let large = try await Self.launch(fixture, "head -c 90000000 /dev/zero > /old; echo ready; sleep 1000")
            let busy = try await Self.launch(fixture, "while :; do date > /now; sleep 0.1; done")
            for _ in 0..<400 {
                if Self.size(disk, "state/scratch/\(large)/upper") >= 90_000_000 { break }
                try await Task.sleep(for: .milliseconds(50))
            }
            let mounts = [
                VolumeMount(source: .bind("\(disk)/data"), target: "/m", readOnly: false), VolumeMount(source: .volume("v"), target: "/v", readOnly: false),
            ]
            // Another run that writes a little to the same places.
            let neighbour = try await Self.launch(fixture, "while :; do date > /m/now; date > /v/now; sleep 0.1; done") { $0.mounts = mounts }
            let filler = try await Self.launch(fixture, script) { $0.mounts = mounts }
            try await Self.waitUntilFrozen(fixture, filler)
            for innocent in [large, busy, neighbour] {
                #expect(!Self.isFrozen(fixture, innocent) && !fixture.engine.cgroups.isFrozen(innocent), "\(fixture.engine.notices)")
            }
            #expect(fixture.engine.cgroups.isFrozen(filler))
            // A second measurement does not put the filler's growth down to its neighbour.
            _ = EngineFixture.shellOnHost("head -c 8000000 /dev/zero > \(disk)/others")
            try await Task.sleep(for: .seconds(1))
            #expect(!fixture.engine.cgroups.isFrozen(neighbour) && !Self.isFrozen(fixture, neighbour), "\(fixture.engine.notices)")
            #expect(fixture.engine.disk.space(.bytes)!.free > 64 << 20)
            try await Self.end(fixture, filler, busy, large, neighbour)
        }
    }

    /// Inodes are guarded as bytes are: the run that makes files without end is frozen, others are launched, and it goes on once there are enough.
    @Test(
        arguments: [
            "i=0; while :; do i=$((i + 1)); true > /f.$i; done",
            "i=0; while :; do i=$((i + 1)); mkdir /d.$i; done",
            // Other names of a file take no inode.
            "i=0; while :; do i=$((i + 1)); true > /m/f.$i; ln /m/f.$i /m/g.$i; done",
            // In a place that others write to, deeper than is looked: found by turns.
            "mkdir -p /m/d; cd /m/d; for i in $(seq 250); do mkdir d; cd d; done; i=0; while :; do i=$((i + 1)); true > f.$i; done",
            // Files without a name, of very many processes.
            """
            exec python3 -c '
            import os
            while True:
                if os.fork() == 0:
                    for i in range(900): os.open("/", os.O_TMPFILE | os.O_RDWR)
                    while True: os.pause() if hasattr(os, "pause") else __import__("signal").pause()
            '
            """,
        ]) func theRunThatTakesTheInodesIsFrozenAndNoOther(script: String) async throws
    {
        try await Self.with(features: "-m 0 -N 40000") { fixture, disk in
            try HostFile.makeDirectories("\(disk)/data")
            let mount = VolumeMount(source: .bind("\(disk)/data"), target: "/m", readOnly: false)
            // Leaves few to be taken, for slow machines: more than the large one takes.
            let space = try #require(fixture.engine.disk.space(.inodes))
            try #require(
                EngineFixture.shellOnHost("mkdir \(disk)/others && cd \(disk)/others && seq \(space.free - space.limits.floor - 5500) | xargs touch") == 0)
            let large = try await Self.launch(fixture, "i=0; while [ $i -lt 1500 ]; do i=$((i + 1)); true > /f.$i; done; : > /done; sleep 1000")
            for _ in 0..<1200 where !HostFile.exists("\(disk)/state/scratch/\(large)/upper/done") { try await Task.sleep(for: .milliseconds(50)) }
            let busy = try await Self.launch(fixture, "i=0; while :; do i=$((i + 1)); true > /m/busy.$i; rm -f /m/busy.$i; sleep 0.02; done") {
                $0.mounts = [mount]
            }
            let filler = try await Self.launch(fixture, script) { $0.mounts = [mount] }
            try await Self.waitUntilFrozen(fixture, filler, givingBack: "\(disk)/others")
            let notice = fixture.engine.notices.first { $0.contains("\(filler)") } ?? ""
            #expect(notice.contains("takes the inodes of the disk"), "\(notice)")
            for innocent in [large, busy] {
                #expect(!Self.isFrozen(fixture, innocent) && !fixture.engine.cgroups.isFrozen(innocent), "\(fixture.engine.notices)")
            }
            for _ in 0..<20 {
                let (status, output, _) = try await fixture.run(EngineFixture.shell("echo here > /file; cat /file"))
                #expect(status.ending == .exited(code: 0) && output == "here", "\(status)")
            }
            fixture.engine.cgroups.kill(run: filler)
            _ = try await fixture.end(of: filler)
            await fixture.engine.settle(filler)
            try await Self.end(fixture, busy, large)
        }
    }

    /// A frozen run goes on once there are inodes again, and the others that no space is missed for.
    @Test func whoTookTheInodesGoesOnWhenThereAreEnough() async throws {
        try await Self.with(features: "-m 0 -N 40000") { fixture, disk in
            try HostFile.makeDirectories("\(disk)/data")
            let mount = VolumeMount(source: .bind("\(disk)/data"), target: "/m", readOnly: false)
            let filler = try await Self.launch(fixture, "i=0; while :; do i=$((i + 1)); true > /m/f.$i; done") { $0.mounts = [mount] }
            try await Self.waitUntilFrozen(fixture, filler, givingBack: "\(disk)/data")
            let last = HostFile.names(in: "\(disk)/data").count
            _ = EngineFixture.shellOnHost("cd \(disk)/data && ls -U | head -n \(last - 1000) | xargs rm")
            for _ in 0..<400 where fixture.engine.cgroups.isFrozen(filler) { try await Task.sleep(for: .milliseconds(10)) }
            // It takes them again. (A shell whose own ":" finds no inode would end.)
            try await Self.waitUntilFrozen(fixture, filler, givingBack: "\(disk)/data")
            try await Self.end(fixture, filler)
        }
    }

    /// All inodes of the disk are gone, and launches get theirs from the reserve.
    @Test func withoutInodesLaunchesHaveTheReserve() async throws {
        try await Self.with(features: "-m 0 -N 40000") { fixture, disk in
            let quiet = try await Self.launch(fixture, "sleep 1000")
            let space = try #require(fixture.engine.disk.space(.inodes))
            for _ in 0..<400 where fixture.engine.disk.reserve(.inodes).held < space.limits.reserve { try await Task.sleep(for: .milliseconds(25)) }
            #expect(HostFile.names(in: "\(disk)/state/reserve.d").count == 1024)
            try HostFile.makeDirectories("\(disk)/others")
            _ = EngineFixture.shellOnHost("cd \(disk)/others && seq 40000 | xargs touch 2>/dev/null")
            #expect(DiskSpace(of: disk)!.free.inodes == 0)
            let (status, output, _) = try await fixture.run(EngineFixture.shell("echo here > /file; cat /file"))
            #expect(status.ending == .exited(code: 0) && output == "here", "\(status)")
            #expect(fixture.engine.notices.contains { $0.contains("inodes free, and no container is seen to take them") }, "\(fixture.engine.notices)")
            // What the reserve gave is taken again.
            while fixture.engine.disk.reserve(.inodes).release(100) {
                _ = EngineFixture.shellOnHost("cd \(disk)/others && mktemp -d >/dev/null; seq 40001 41100 | xargs touch 2>/dev/null")
            }
            await #expect { _ = try await fixture.run(EngineFixture.shell("true")) } throws: {
                "\($0)".contains("inodes free; nothing is started until there is more")
            }
            _ = EngineFixture.shellOnHost("rm -r \(disk)/others")
            for _ in 0..<400 where fixture.engine.disk.reserve(.inodes).held < space.limits.reserve { try await Task.sleep(for: .milliseconds(25)) }
            #expect(fixture.engine.disk.reserve(.inodes).held == 1024 && fixture.engine.notices.isEmpty)
            try await Self.end(fixture, quiet)
        }
    }

    /// A frozen run that is stopped, or whose time limit is over, is thawed and handles its stop signal.
    @Test func aFrozenRunStopsWithinItsGracePeriod() async throws {
        try await Self.with { fixture, disk in
            // Leaves little to be written, for slow disks.
            let space = try #require(DiskSpace(of: disk))
            try #require(EngineFixture.shellOnHost("fallocate -l \(space.free.bytes - space.usualFloor(.bytes) - (12 << 20)) \(disk)/others") == 0)
            let script = "trap 'rm /big; exit 3' TERM; while :; do head -c 1000000 /dev/zero >> /big; done"
            let stopped = try await Self.launch(fixture, script)
            try await Self.waitUntilFrozen(fixture, stopped)
            await fixture.engine.stop(stopped)
            let status = try await fixture.end(of: stopped)
            #expect(status.ending == .exited(code: 3) && !status.killed, "\(status)")
            await fixture.engine.settle(stopped)
            let late = try await Self.launch(fixture, script, timeout: .seconds(10))
            try await Self.waitUntilFrozen(fixture, late)
            let end = try await fixture.end(of: late)
            #expect(end.ending == .exited(code: 3) && end.timedOut && !end.killed, "\(end)")
            await fixture.engine.settle(late)
            #expect(fixture.engine.notices.isEmpty)
        }
    }

    /// Signals of a container's own making thaw it not: those that it sent before it was frozen, and those of its timers.
    @Test func aContainersOwnSignalsDoNotThawIt() async throws {
        try await Self.with { fixture, disk in
            // Blocked, the signals wait for ever.
            let script = """
                import ctypes, os, signal
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
                os.kill(os.getpid(), signal.SIGUSR1)
                class Event(ctypes.Structure): _fields_ = [("value", ctypes.c_void_p), ("signo", ctypes.c_int), ("notify", ctypes.c_int), ("rest", ctypes.c_char * 48)]
                timer, libc = ctypes.c_void_p(), ctypes.CDLL(None)
                assert libc.timer_create(1, ctypes.byref(Event(None, signal.SIGTERM, 0)), ctypes.byref(timer)) == 0
                times = (ctypes.c_long * 4)(0, 200_000_000, 0, 200_000_000)
                assert libc.timer_settime(timer, 0, times, None) == 0
                f = open("/big", "wb", 0)
                while True: f.write(bytes(1000000))
                """
            let run = try await Self.launch(fixture, "exec python3 -c '\(script)'")
            try await Self.waitUntilFrozen(fixture, run)
            let free = DiskSpace(of: disk)!.free.bytes
            try await Task.sleep(for: .seconds(2))
            #expect(Self.isFrozen(fixture, run) && fixture.engine.cgroups.isFrozen(run))
            #expect(abs(DiskSpace(of: disk)!.free.bytes - free) < 8 << 20)
            fixture.engine.cgroups.kill(run: run)
            _ = try await fixture.end(of: run)
            await fixture.engine.settle(run)
        }
    }

    /// A run that took all in one call is named, nobody else is frozen, and others are launched.
    @Test(arguments: ["/big", "/v/big"], ["-m 0", "-m 5"]) func allThatIsTakenAtOnceLeavesRoomForLaunches(file: String, features: String) async throws {
        try await Self.with(features: features) { fixture, disk in
            let volume = VolumeMount(source: .volume("v"), target: "/v", readOnly: false)
            let busy = try await Self.launch(fixture, "i=0; while :; do i=$((i + 1)); head -c 10000 /dev/zero > /file.$i; sleep 0.05; done")
            let filler = try await Self.launch(fixture, "sleep 1; fallocate -l 2G \(file); fallocate -l 400M \(file).2; sleep 1000") { $0.mounts = [volume] }
            try await Self.waitUntilFrozen(fixture, filler)
            #expect(!Self.isFrozen(fixture, busy) && !fixture.engine.cgroups.isFrozen(busy), "\(fixture.engine.notices)")
            // More than the reserve has portions: none is used up while there is space.
            for _ in 0..<20 {
                let (status, output, _) = try await fixture.run(EngineFixture.shell("echo here"))
                #expect(status.ending == .exited(code: 0) && output == "here", "\(status)")
            }
            try await Self.end(fixture, filler, busy)
        }
    }

    /// Space that goes in a way that cannot be measured is found by letting the runs go on in turns.
    @Test(
        arguments: [
            // Of more files than are counted, and deeper than is looked.
            "mkdir -p /m/d; cd /m/d; for i in $(seq 250); do mkdir d; cd d; done; i=0; while :; do i=$((i + 1)); fallocate -l 1M big.$i; sleep 0.005; done",
            // In a place that others write to, fast and slowly.
            "head -c 400000000 /dev/zero > /m/first; while :; do head -c 20000 /dev/zero; sleep 0.02; done >> /m/big",
            "i=0; while :; do i=$((i + 1)); fallocate -l 1M /m/big.$i; sleep 0.005; done",
            // In files that are nowhere but on their way through a socket.
            """
            exec python3 -c '
            import os, socket, time
            pairs = []
            while True:
                f = os.open("/big", os.O_CREAT | os.O_RDWR); os.unlink("/big")
                try: os.posix_fallocate(f, 0, 1 << 20)
                except OSError: pass
                else: pairs.append(socket.socketpair()); socket.send_fds(pairs[-1][0], [b"x"], [f])
                os.close(f); time.sleep(0.005)
            '
            """,
        ]) func whoCannotBeMeasuredIsFoundInTurns(script: String) async throws
    {
        try await Self.with { fixture, disk in
            try HostFile.makeDirectories("\(disk)/data")
            let mount = VolumeMount(source: .bind("\(disk)/data"), target: "/m", readOnly: false)
            // Writes much, to the same place, and takes nothing.
            let busy = try await Self.launch(fixture, "while :; do dd if=/dev/zero of=/m/same bs=1M count=8 conv=notrunc 2>/dev/null; sleep 0.2; done") {
                $0.mounts = [mount]
            }
            let quiet = try await Self.launch(fixture, "while :; do date > /now; sleep 0.1; done")
            let filler = try await Self.launch(fixture, script) { $0.mounts = [mount] }
            try await Self.waitUntilFrozen(fixture, filler)
            for innocent in [busy, quiet] {
                #expect(!Self.isFrozen(fixture, innocent) && !fixture.engine.cgroups.isFrozen(innocent), "\(fixture.engine.notices)")
            }
            try await Self.end(fixture, filler, busy, quiet)
        }
    }

    /// What a run took in a place of several, others are not blamed for: not when it has ended, and not when they write there.
    @Test func nobodyIsBlamedForWhatAnotherTookInASharedPlace() async throws {
        try await Self.with { fixture, disk in
            let volume = VolumeMount(source: .volume("v"), target: "/v", readOnly: false)
            let reader = try await Self.launch(fixture, "sleep 1000") { $0.mounts = [volume] }
            let writer = try await Self.launch(fixture, "while :; do dd if=/dev/zero of=/v/same bs=1M count=4 conv=notrunc,fsync 2>/dev/null; sleep 0.1; done")
            {
                $0.mounts = [volume]
            }
            try await Task.sleep(for: .seconds(4))
            let ended = try await fixture.run(EngineFixture.shell("fallocate -l 230M /v/ended") { $0.mounts = [volume] })
            #expect(ended.status.ending == .exited(code: 0))
            let hog = try await Self.launch(fixture, "fallocate -l 140M /v/hog; sleep 1000") { $0.mounts = [volume] }
            for _ in 0..<400 where fixture.engine.notices.isEmpty { try await Task.sleep(for: .milliseconds(25)) }
            try await Task.sleep(for: .seconds(2))
            #expect(fixture.engine.notices.count == 1 && fixture.engine.notices[0].contains("no container is seen to take it"), "\(fixture.engine.notices)")
            for run in [reader, writer, hog] { #expect(!fixture.engine.cgroups.isFrozen(run)) }
            try await Self.end(fixture, reader, writer, hog)
        }
    }

    /// A process of the host that writes now and then does not make anybody look like a taker.
    @Test func burstsOfTheHostFreezeNobody() async throws {
        try await Self.with { fixture, disk in
            var idle: [RunID] = []
            for _ in 0..<3 { idle.append(try await Self.launch(fixture, "sleep 1000")) }
            let free = try #require(fixture.engine.disk.space(.bytes)).free
            try #require(EngineFixture.shellOnHost("fallocate -l \(free - (100 << 20)) \(disk)/others") == 0)
            try #require(
                EngineFixture.shellOnHost("for i in $(seq 150); do head -c 400000 /dev/zero >> \(disk)/bursts; sleep 0.05; done") == 0)
            #expect(fixture.engine.notices.allSatisfy { $0.contains("no container is seen to take it") }, "\(fixture.engine.notices)")
            for run in idle { #expect(!fixture.engine.cgroups.isFrozen(run)) }
            try await Self.end(fixture, idle[0], idle[1], idle[2])
        }
    }

    /// Very many open files keep the guard from nothing.
    @Test func manyOpenFilesDoNotBlindTheGuard() async throws {
        try await Self.with { fixture, _ in
            let script = """
                import os, time
                for i in range(900): os.open("/dev/null", os.O_RDONLY)
                for i in range(300):
                    if os.fork() == 0: time.sleep(1000)
                print("ready", flush=True)
                time.sleep(1000)
                """
            let many = try await Self.launch(fixture, "exec python3 -c '\(script)'")
            for _ in 0..<400 where fixture.engine.cgroups.processes(of: many).count < 300 { try await Task.sleep(for: .milliseconds(25)) }
            let filler = try await Self.launch(fixture, "\(Self.pour) > /big")
            try await Self.waitUntilFrozen(fixture, filler)
            #expect(!Self.isFrozen(fixture, many) && !fixture.engine.cgroups.isFrozen(many))
            fixture.engine.cgroups.kill(run: many)
            _ = try await fixture.end(of: many)
            try await Self.end(fixture, filler)
            await fixture.engine.settle(many)
        }
    }

    /// With a smaller floor the reserve becomes smaller: what it holds is not taken for space that is left.
    @Test func theReserveFollowsTheFloor() async throws {
        try await EngineFixture.withDisk(size: "512M") { fixture, disk in
            let run = try await Self.launch(fixture, "sleep 1000")
            for _ in 0..<200 where fixture.engine.disk.reserve(.bytes).held == 0 { try await Task.sleep(for: .milliseconds(25)) }
            let limits = try #require(fixture.engine.disk.space(.bytes)).limits
            #expect(fixture.engine.disk.reserve(.bytes).held == limits.reserve && Self.size(disk, "state/reserve") >= limits.reserve)
            try await Self.end(fixture, run)
            let smaller = DiskGuard(
                directory: fixture.engine.paths.state, runs: fixture.engine.paths.runs, floor: 20 << 20, cgroups: fixture.engine.cgroups,
                log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            #expect(smaller.reserve(.bytes).held == limits.reserve)
            smaller.add(run, workload: "shop/it", paths: [], empty: [])
            for _ in 0..<200 where smaller.reserve(.bytes).held > 10 << 20 { try await Task.sleep(for: .milliseconds(25)) }
            #expect(smaller.reserve(.bytes).held == 10 << 20 && Self.size(disk, "state/reserve") < 11 << 20)
            smaller.remove(run)
        }
    }

    /// A run that is told to end and fills the disk in its grace period is frozen when there is hardly any space left, and ends with it.
    @Test func aStopThatFillsTheDiskEndsWithItsGracePeriod() async throws {
        try await Self.with { fixture, disk in
            let run = try await Self.launch(fixture, "trap '' TERM; echo ready; while :; do head -c 1000000 /dev/zero >> /big; done")
            try await Self.waitUntilFrozen(fixture, run)
            await fixture.engine.stop(run)
            let status = try await fixture.end(of: run)
            #expect(status.killed && status.ending == .signaled(number: SIGKILL), "\(status)")
            await fixture.engine.settle(run)
        }
    }

    /// A daemon that ends leaves nothing frozen, also while it looks who takes the space.
    @Test func nothingIsFrozenOnceTheDaemonEnds() async throws {
        try await Self.with { fixture, disk in
            let run = try await Self.launch(fixture, "\(Self.pour) > /big")
            var others: [RunID] = []
            for _ in 0..<5 { others.append(try await Self.launch(fixture, "sleep 1000")) }
            for _ in 0..<2000 where DiskSpace(of: disk)!.free.bytes > 70 << 20 { try await Task.sleep(for: .milliseconds(2)) }
            fixture.engine.thawAll()
            for _ in 0..<50 {
                #expect(!([run] + others).contains { fixture.engine.cgroups.isFrozen($0) })
                try await Task.sleep(for: .milliseconds(20))
            }
            for run in [run] + others { fixture.engine.cgroups.kill(run: run) }
            for run in [run] + others {
                _ = try await fixture.end(of: run)
                await fixture.engine.settle(run)
            }
        }
    }

    /// Wide trees are counted as a whole; of deep ones it is known that something is missing.
    @Test func treesAreCounted() throws {
        let scratch = Scratch("trees")
        let device = try #require(FileIdentity(path: scratch.path)).device
        func tree(_ name: String, most: Int = 100_000) -> DiskUse.Tree {
            DiskUse.tree("\(scratch.path)/\(name)", device, most: most, until: .now + .seconds(60))
        }
        try #require(
            EngineFixture.shellOnHost(
                "cd \(scratch.path) && mkdir wide && for i in $(seq 2000); do mkdir wide/$i; done && fallocate -l 1M wide/1999/f && fallocate -l 1M wide/7/f && ln -s /usr wide/link && mkdir deep && cd deep && for i in $(seq 300); do mkdir d; cd d; done && fallocate -l 1M f && truncate -s 1G \(scratch.path)/sparse"
            ) == 0)
        #expect(tree("wide").isWhole && tree("wide").amount.bytes >= 2 << 20 && tree("wide").amount.bytes < 20 << 20)
        #expect(!tree("wide", most: 1000).isWhole)
        #expect(!tree("deep").isWhole && tree("deep").amount.bytes < 8 << 20)
        #expect(tree("sparse").amount.bytes < 1 << 20 && tree("missing").amount.bytes == 0)
        #expect(!DiskUse.tree("\(scratch.path)/wide", device, most: 100_000, until: .now - .seconds(1)).isWhole)
    }

    /// No run is frozen when a process of the host takes the space, and a run that an admin froze stays frozen.
    @Test func noRunIsFrozenForSpaceThatTheHostTakes() async throws {
        try await Self.with { fixture, disk in
            let quiet = try await Self.launch(fixture, "head -c 90000000 /dev/zero > /old; while :; do date > /now; sleep 0.1; done")
            let byHand = try await Self.launch(fixture, "sleep 1000")
            fixture.engine.cgroups.freeze(byHand, true)
            try #require(EngineFixture.shellOnHost("sleep 1; head -c 330000000 /dev/zero > \(disk)/others") == 0)
            for _ in 0..<100 where fixture.engine.notices.isEmpty { try await Task.sleep(for: .milliseconds(50)) }
            #expect(fixture.engine.notices.count == 1 && fixture.engine.notices[0].contains("no container is seen to take it"), "\(fixture.engine.notices)")
            for _ in 0..<100 where fixture.engine.cgroups.isFrozen(quiet) { try await Task.sleep(for: .milliseconds(50)) }
            #expect(!fixture.engine.cgroups.isFrozen(quiet))
            unlink("\(disk)/others")
            try await Task.sleep(for: .seconds(1))
            #expect(fixture.engine.notices.isEmpty)
            #expect(fixture.engine.cgroups.isFrozen(byHand))
            fixture.engine.cgroups.freeze(byHand, false)
            try await Self.end(fixture, quiet, byHand)
        }
    }

    /// A daemon that ends thaws all runs; the next one knows them by name and freezes them again.
    @Test func theNextDaemonThawsAndFreezesAgain() async throws {
        try await Self.with { fixture, disk in
            try HostFile.makeDirectories("\(disk)/data")
            let run = try await Self.launch(fixture, "\(Self.pour) > /m/big") {
                $0.mounts = [VolumeMount(source: .bind("\(disk)/data"), target: "/m", readOnly: false)]
            }
            try await Self.waitUntilFrozen(fixture, run)
            let next = try NativeEngine(
                paths: fixture.engine.paths, cgroupName: fixture.groupName, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            // Only one engine at a time may freeze.
            fixture.engine.thawAll()
            #expect(!fixture.engine.cgroups.isFrozen(run))
            let observed = try await next.observe()
            guard case .alive = observed[run] else {
                Issue.record("\(observed)")
                return
            }
            for _ in 0..<600 where next.notices.first?.hasPrefix("shop/it") != true { try await Task.sleep(for: .milliseconds(50)) }
            #expect(next.notices.first?.hasPrefix("shop/it (run \(run)") == true, "\(next.notices)")
            await next.stop(run)
            _ = try await fixture.end(of: run)
            await fixture.engine.settle(run)
        }
    }

    /// A container of a new image whose one layer has files of 20 MB.
    private static func container(of scratch: Scratch, _ name: String, files: Int) throws -> ContainerSpec {
        let script = """
            import hashlib, io, json, tarfile
            def entry(tar, name, size, source):
                info = tarfile.TarInfo(name); info.size = size; tar.addfile(info, source)
            class Zeros(io.RawIOBase):
                def read(self, size=-1): return bytes(size)
            with tarfile.open("\(name).layer", "w") as tar:
                for number in range(\(files)): entry(tar, f"\(name){number}", 20_000_000, Zeros())
            digest = hashlib.sha256(open("\(name).layer", "rb").read()).hexdigest()
            config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]}}).encode()
            manifest = json.dumps([{"Config": "config.json", "RepoTags": ["\(name):latest"], "Layers": ["\(name).layer"]}]).encode()
            with tarfile.open("\(name).tar", "w") as tar:
                tar.add("\(name).layer")
                for name, body in (("config.json", config), ("manifest.json", manifest)): entry(tar, name, len(body), io.BytesIO(body))
            """
        scratch.write("make.py", script)
        try #require(EngineFixture.shellOnHost("cd \(scratch.path) && python3 make.py") == 0)
        return ContainerSpec(root: .image(ImageSource(transport: .dockerArchive, path: "\(scratch.path)/\(name).tar", tag: nil)))
    }

    /// The end of one import removes nothing of another that is under way.
    @Test func importsAtTheSameTimeDoNotDisturbEachOther() async throws {
        let scratch = Scratch("images")
        let containers = try (0..<4).map { try Self.container(of: scratch, "image\($0)", files: $0 == 0 ? 10 : 1) }
        try await EngineFixture.with { fixture in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for container in containers { group.addTask { try await fixture.engine.prepare(container) { _ in } } }
                try await group.waitForAll()
            }
            #expect(HostFile.names(in: "\(fixture.engine.paths.images)/unpacking").isEmpty)
        }
    }

    /// An image of many files, each of them small enough, is not brought in past the floor, and leaves nothing behind.
    @Test func anImportEndsWhenTheDiskHasNoRoom() async throws {
        let scratch = Scratch("large")
        let container = try Self.container(of: scratch, "image", files: 30)
        try await Self.with { fixture, disk in
            let before = DiskSpace(of: disk)!.free.bytes
            await #expect { try await fixture.engine.prepare(container) { _ in } } throws: { "\($0)".contains("is not brought in: the disk of") }
            // What is left of a layer, skopeo removes when it comes by again.
            #expect(before - DiskSpace(of: disk)!.free.bytes < 400 << 20)
            #expect(HostFile.names(in: "\(disk)/state/images/unpacking").isEmpty)
        }
    }

    @Test func theLimitsFollowTheDisksSize() throws {
        let mib: Int64 = 1 << 20
        func limits(_ total: Int64, _ quantity: DiskQuantity, floor: Int64? = nil) -> DiskLimits {
            let amount = DiskAmount(bytes: total, inodes: total)
            return DiskLimits(DiskSpace(free: amount, total: amount), quantity, floor: floor)
        }
        let cases: [(Int64, DiskQuantity, floor: Int64, reserve: Int64)] = [
            (100 * mib, .bytes, 25 * mib, 12 * mib + 512 << 10), (512 * mib, .bytes, 128 * mib, 64 * mib), (4096 * mib, .bytes, 4096 * mib / 20, 64 * mib),
            (1 << 40, .bytes, 1 << 30, 64 * mib), (100, .inodes, 25, 0), (32768, .inodes, 8192, 1024), (1_000_000, .inodes, 50_000, 1024),
            (1 << 32, .inodes, 65536, 1024),
        ]
        for (total, quantity, floor, reserve) in cases {
            let limits = limits(total, quantity)
            #expect(limits.floor == floor && limits.reserve == reserve, "\(total) \(quantity): \(limits)")
            #expect(limits.last <= limits.pressing && limits.pressing <= limits.floor && limits.floor <= limits.enough && limits.enough <= limits.roomy)
            // What goes slowly is measured while all go on, down to three quarters.
            #expect(!limits.isPressing(floor - 1, rate: 0) || floor < 4)
            #expect(limits.isPressing(floor / 2, rate: 0))
            #expect(limits.isPressing(floor - 1, rate: Double(floor)) && !limits.isPressing(floor - 1, rate: Double(floor) / 4))
        }
        #expect(limits(512 * mib, .bytes, floor: .max).floor == 256 * mib)
    }

    @Test func theLargestGrowthsAreChosen() throws {
        func run(_ number: UInt32) -> RunID { RunID(now: WallClock.now(), random: number) }
        let (a, b, c) = (run(1), run(2), run(3))
        let mib: Int64 = 1 << 20
        #expect(DiskUse.largestGrowths([:], of: .bytes) == [])
        #expect(DiskUse.largestGrowths([a: 0, b: -5 * mib], of: .bytes) == [])
        #expect(DiskUse.largestGrowths([a: 100_000], of: .bytes) == [], "too little to tell")
        #expect(DiskUse.largestGrowths([a: 100 * mib, b: 10 * mib, c: 0], of: .bytes) == [a])
        #expect(DiskUse.largestGrowths([a: 100 * mib, b: 90 * mib, c: 80 * mib], of: .bytes) == [a, b])
        #expect(DiskUse.largestGrowths([a: 50 * mib, b: 50 * mib], of: .bytes) == [a, b])
    }
}
