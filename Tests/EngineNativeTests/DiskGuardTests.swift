import EngineAPI
import Foundation
import Glibc
import HostOS
import Logging
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// The run that fills the state disk is frozen, however it takes the space; other runs are not.
@Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
struct DiskGuardTests {
    /// An engine whose state is on a disk of 512 MiB of its own; containers leave 128 MiB of it free.
    private static func with(_ body: (EngineFixture, _ disk: String) async throws -> Void) async throws {
        try await EngineFixture.withDisk(size: "512M", body)
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

    private static func waitUntilFrozen(_ fixture: EngineFixture, _ run: RunID) async throws {
        for _ in 0..<1200 where !isFrozen(fixture, run) { try await Task.sleep(for: .milliseconds(50)) }
        try #require(isFrozen(fixture, run), "\(fixture.engine.notices)")
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
                var left = 1000
                if DiskUse.tree("\(disk)/state/scratch/\(large)/upper", FileIdentity(path: disk)!.device, &left).bytes >= 90_000_000 { break }
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
            try #require(EngineFixture.shellOnHost("head -c 8000000 /dev/zero > \(disk)/others") == 0)
            try await Task.sleep(for: .seconds(1))
            #expect(!fixture.engine.cgroups.isFrozen(neighbour) && !Self.isFrozen(fixture, neighbour), "\(fixture.engine.notices)")
            #expect(DiskSpace(of: disk)!.free > 32 << 20)
            try await Self.end(fixture, filler, busy, large, neighbour)
        }
    }

    /// A frozen run that is stopped, or whose time limit is over, is thawed and handles its stop signal.
    @Test func aFrozenRunStopsWithinItsGracePeriod() async throws {
        try await Self.with { fixture, disk in
            // Leaves little to be written, for slow disks.
            let space = try #require(DiskSpace(of: disk))
            try #require(EngineFixture.shellOnHost("fallocate -l \(space.free - space.usualFloor - (12 << 20)) \(disk)/others") == 0)
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

    /// A signal that a container sent to itself before it was frozen does not thaw it.
    @Test func aSignalThatWasPendingBeforeTheFreezeDoesNotThaw() async throws {
        try await Self.with { fixture, disk in
            // Python blocks the signal and sends it to itself: it waits for ever.
            let run = try await Self.launch(
                fixture,
                "exec python3 -c \"import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1]); os.kill(os.getpid(), signal.SIGUSR1); f = open('/big', 'wb', 0)\nwhile True: f.write(bytes(1000000))\""
            )
            try await Self.waitUntilFrozen(fixture, run)
            let free = DiskSpace(of: disk)!.free
            try await Task.sleep(for: .seconds(2))
            #expect(Self.isFrozen(fixture, run) && fixture.engine.cgroups.isFrozen(run))
            #expect(abs(DiskSpace(of: disk)!.free - free) < 8 << 20)
            fixture.engine.cgroups.kill(run: run)
            _ = try await fixture.end(of: run)
            await fixture.engine.settle(run)
        }
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
            let before = DiskSpace(of: disk)!.free
            await #expect { try await fixture.engine.prepare(container) { _ in } } throws: { "\($0)".contains("is not brought in: the disk of") }
            // What is left of a layer, skopeo removes when it comes by again.
            #expect(before - DiskSpace(of: disk)!.free < 400 << 20)
            #expect(HostFile.names(in: "\(disk)/state/images/unpacking").isEmpty)
        }
    }

    @Test func theLargestGrowthsAreChosen() throws {
        func run(_ number: UInt32) -> RunID { RunID(now: WallClock.now(), random: number) }
        let (a, b, c) = (run(1), run(2), run(3))
        let mib: Int64 = 1 << 20
        #expect(DiskUse.largestGrowths([:]) == [])
        #expect(DiskUse.largestGrowths([a: 0, b: -5 * mib]) == [])
        #expect(DiskUse.largestGrowths([a: 100_000]) == [], "too little to tell")
        #expect(DiskUse.largestGrowths([a: 100 * mib, b: 10 * mib, c: 0]) == [a])
        #expect(DiskUse.largestGrowths([a: 100 * mib, b: 90 * mib, c: 80 * mib]) == [a, b])
        #expect(DiskUse.largestGrowths([a: 50 * mib, b: 50 * mib]) == [a, b])
    }
}
