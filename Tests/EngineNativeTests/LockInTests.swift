import EngineAPI
import Foundation
import Glibc
import HostOS
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// What a container is locked in with, beyond its files: devices, signals, its init, its log.
@Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
struct LockInTests {
    @Test func disksStayClosedToWhoCanMakeAndMountNodes() async throws {
        try await EngineFixture.with { fixture in
            let script = """
                mount -t tmpfs none /mnt && cd /mnt
                for n in 'disk b 7 0' 'loop b 7 1' 'memory c 1 1' 'kmsg c 1 11' 'null c 1 3' 'zero c 1 5' 'random c 1 8' 'tty0 c 4 0'; do mknod $n || echo "no node: $n"; done
                for n in disk loop memory kmsg tty0; do if head -c 1 $n >/dev/null 2>err; then echo "OPENED $n"; else grep -q 'not permitted' err || cat err; fi; done
                for n in null zero random; do head -c 1 $n >/dev/null || echo "closed: $n"; done
                echo done
                """
            let container = EngineFixture.shell(script) { $0.addedCapabilities = [.sysAdmin, .mknod] }
            let found1 = try await fixture.run(container)
            #expect(found1.output == "done")
            // A privileged container has them all.
            let all = EngineFixture.shell("mount -t tmpfs none /mnt && mknod /mnt/disk b 7 0 && head -c 0 /mnt/disk && echo opened") { $0.privileged = true }
            let found2 = try await fixture.run(all)
            #expect(found2.output == "opened")
        }
    }

    /// The controller of version 1 does the same where the kernel takes no program.
    @Test(.enabled(if: HostFile.exists("/sys/fs/cgroup/devices/devices.allow"), "needs the devices controller of cgroup v1"))
    func theDevicesControllerHasTheSameRules() throws {
        let name = "berth-test-devices-\(getpid())"
        let host = try CgroupHost.prepare(name: name, filter: nil)
        defer { host.removeOwn() }
        let run = RunID(now: WallClock.now(), random: 1)
        let group = try host.make(run, limits: ResourceLimits(), allDevices: false)
        let path = try #require(group.v1.first { $0.hasPrefix("devices:") }).dropFirst("devices:".count)
        let rules = try HostFile.text("\(path)/devices.list").split(separator: "\n").map(String.init)
        #expect(Set(rules) == Set(DeviceFilter.rules))
        #expect(host.remove(run.description))
    }

    @Test func noSignalIsIgnoredOrBlockedInside() async throws {
        try await EngineFixture.with { fixture in
            // As whatever started us may have left them.
            for number in [32, 33, 40] { Self.dispose(number, UnsafeMutableRawPointer(bitPattern: 1)) }
            defer { for number in [32, 33, 40] { Self.dispose(number, nil) } }
            for initProcess in [false, true] {
                var container = ContainerSpec(root: .host)
                container.command = ["grep", "-E", "^Sig(Ign|Blk):", "/proc/self/status"]
                container.initProcess = initProcess
                let found3 = try await fixture.run(container)
                #expect(found3.output == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000")
            }
        }
    }

    /// rt_sigaction by the kernel's own call: the C library refuses to touch 32 and 33.
    private static func dispose(_ number: Int, _ handler: UnsafeMutableRawPointer?) {
        typealias Call = @convention(c) (Int, Int, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, Int) -> Int
        guard let symbol = dlsym(nil, "syscall") else { return }
        var action: (UnsafeMutableRawPointer?, UInt, UnsafeMutableRawPointer?, UInt64) = (handler, 0, nil, 0)
        #if arch(x86_64)
            let call = 13
        #else
            let call = 134
        #endif
        _ = withUnsafeMutableBytes(of: &action) { unsafeBitCast(symbol, to: Call.self)(call, number, $0.baseAddress, nil, 8) }
    }

    @Test func theInitsStatusPipeIsClosedToItsContainer() async throws {
        try await EngineFixture.with { fixture in
            // A wait status of 0, written by the container's root where its init writes.
            let forge = "printf '\\0\\0\\0\\0' > /proc/1/fd/0 && echo FORGED; exit 7"
            let (status, output, _) = try await fixture.run(EngineFixture.shell(forge) { $0.initProcess = true })
            #expect(status.ending == .exited(code: 7))
            #expect(!output.contains("FORGED"), "\(output)")
        }
    }

    /// Where a container has a limit of processor time, what it writes costs the shim little more.
    @Test func aFloodOfLogCostsTheHostNoProcessor() async throws {
        try await EngineFixture.with { fixture in
            let flood = EngineFixture.shell("exec yes a line of some forty characters, again and again") {
                $0.limits.cpuMillis = 200
                $0.initProcess = true
            }
            let request = await fixture.request(flood, timeout: .seconds(3))
            _ = try await fixture.engine.launch(request)
            let facts = try #require(RunDirectory(path: fixture.engine.paths.run(request.id)).facts)
            var ticks: Int64 = 0
            while await fixture.counter.status(request.id) == nil {
                if let text = try? HostFile.text("/proc/\(facts.shim)/stat"), let close = text.lastIndex(of: ")") {
                    let fields = text[text.index(after: close)...].split(separator: " ")
                    if fields.count > 12, let user = Int64(fields[11]), let system = Int64(fields[12]) { ticks = max(ticks, user + system) }
                }
                usleep(20_000)
            }
            await fixture.engine.settle(request.id)
            // The bound is a tenth of 0.2 processors over 3 s, 60 ms, and what it may be ahead. Without it, it is about a second.
            #expect(ticks <= 40, "\(ticks * 10) ms")
        }
    }

    @Test func aCapabilityThatRootLacksIsNamed() async throws {
        try await EngineFixture.with { fixture in
            let lacking = Capability.allCases.filter { fixture.engine.hostCapabilities >> UInt64($0.number) & 1 == 0 }
            // Privileged is all that root has here.
            let found4 = try await fixture.run(EngineFixture.shell("exit 0", { $0.privileged = true }))
            #expect(found4.status.ending == .exited(code: 0))
            guard let one = lacking.first else { return }
            let container = EngineFixture.shell("true") { $0.addedCapabilities = [one] }
            await #expect { try await fixture.engine.prepare(container) { _ in } } throws: {
                "\($0)".contains("cap_add \(one.rawValue): root does not have it")
            }
        }
    }

    /// Whether this kernel has project quotas of ext4: not every one that tests run on has.
    static let hasQuotas: Bool = {
        let text = (try? HostFile.text("/proc/filesystems")) ?? ""
        return text.contains("ext4")
            && (HostFile.exists("/lib/modules") && EngineFixture.shellOnHost("modprobe quota_v2 && grep -q quota_v2 /proc/modules") == 0)
    }()

    @Test(.enabled(if: LockInTests.hasQuotas, "needs project quotas of ext4")) func aWritableLayerTakesWhatItMay() async throws {
        try await EngineFixture.withDisk(size: "300M", features: "-O project,quota -E quotatype=prjquota", options: ",prjquota") { fixture, _ in
            let fill = "head -c 100000000 /dev/zero > /big; stat -c %s /big"
            let small = try await fixture.run(EngineFixture.shell(fill) { $0.writableLayerBytes = 20 << 20 })
            let size = small.output.split(separator: "\n").last.flatMap { Int64($0) } ?? 0
            #expect(size > 10 << 20 && size <= 20 << 20, "\(small.output)")
            // Nor by leaving the project that is counted: by its number, or by what new files take over of their directory.
            let leave =
                "mkdir /d; chattr -p 0 /d 2>/dev/null && echo LEFT; chattr -P /d 2>/dev/null && echo LEFT; head -c 100000000 /dev/zero > /d/big; stat -c %s /d/big"
            let out = try await fixture.run(EngineFixture.shell(leave) { $0.writableLayerBytes = 20 << 20 })
            #expect(!out.output.contains("LEFT") && (out.output.split(separator: "\n").last.flatMap { Int64($0) } ?? .max) <= 20 << 20, "\(out.output)")
            // By default a quarter of the disk, and each run anew.
            for _ in 0..<2 {
                let usual = try await fixture.run(EngineFixture.shell(fill))
                let size = usual.output.split(separator: "\n").last.flatMap { Int64($0) } ?? 0
                #expect(size > 40 << 20 && size < 80 << 20, "\(usual.output)")
            }
        }
    }

    @Test func aLimitThatCannotBeKeptIsRefused() async throws {
        try await EngineFixture.with { fixture in
            guard fixture.engine.quota.usual == nil else { return }
            let container = EngineFixture.shell("true") { $0.writableLayerBytes = 20 << 20 }
            await #expect { try await fixture.engine.prepare(container) { _ in } } throws: { "\($0)".contains("needs project quotas") }
        }
    }
}
