import EngineAPI
import Foundation
import Glibc
import HostOS
import Logging
import Synchronization
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// What a recipe names of the host is what is mounted, whatever containers do to it meanwhile (CVE-2017-1002101,
/// CVE-2021-25741, CVE-2018-15664), and nothing of Berth's own is.
@Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
struct MountSourceTests {
    /// A container that prints what it finds at /m.
    private static func look(_ source: String, readOnly: Bool = true, privileged: Bool = false) -> ContainerSpec {
        EngineFixture.shell("if [ -d /m ]; then ls /m; else cat /m; fi") {
            $0.mounts = [VolumeMount(source: .bind(source), target: "/m", readOnly: readOnly)]
            $0.privileged = privileged
        }
    }

    private static func refusal(_ fixture: EngineFixture, _ container: ContainerSpec) async -> String? {
        do {
            _ = try await fixture.run(container)
            return nil
        } catch { return "\(error)" }
    }

    @Test("CVE-2017-1002101, CVE-2021-25741: a link that a container put in the way is not followed") func aLinkThatAContainerPutInTheWayIsNotFollowed()
        async throws
    {
        try await EngineFixture.with { fixture in
            fixture.scratch.write("secret/canary", "outside")
            fixture.scratch.write("data/sub/inside", "")
            let swap = EngineFixture.shell("rm -r /data/sub; ln -s \(fixture.scratch.path)/secret /data/sub") {
                $0.mounts = [VolumeMount(source: .bind("\(fixture.scratch.path)/data"), target: "/data", readOnly: false)]
            }
            let sub = Self.look("\(fixture.scratch.path)/data/sub")
            let found1 = try await fixture.run(sub)
            #expect(found1.output == "inside")
            _ = try await fixture.run(swap)
            #expect(await Self.refusal(fixture, sub)?.contains("leads through the link 'sub' in \(fixture.scratch.path)/data") == true)
            // Nor by a second name of the directory, such as a bind mount of the host, nor through what lies below the link.
            #expect(await Self.refusal(fixture, Self.look("\(fixture.scratch.path)/data/sub/canary")) != nil)
            try HostFile.makeDirectories("\(fixture.scratch.path)/alias")
            try #require(mount("\(fixture.scratch.path)/data", "\(fixture.scratch.path)/alias", nil, UInt(MS_BIND), nil) == 0)
            defer { umount2("\(fixture.scratch.path)/alias", Int32(MNT_DETACH)) }
            #expect(await Self.refusal(fixture, Self.look("\(fixture.scratch.path)/alias/sub"))?.contains("leads through the link") == true)
        }
    }

    @Test func aPartOfAWritableDirectoryThatIsMountedElsewhereIsKnown() async throws {
        try await EngineFixture.with { fixture in
            fixture.scratch.write("secret/canary", "outside")
            fixture.scratch.write("data/part/x", "")
            try HostFile.makeDirectories("\(fixture.scratch.path)/alias")
            try #require(mount("\(fixture.scratch.path)/data/part", "\(fixture.scratch.path)/alias", nil, UInt(MS_BIND), nil) == 0)
            defer { umount2("\(fixture.scratch.path)/alias", Int32(MNT_DETACH)) }
            await fixture.engine.share([Self.look("\(fixture.scratch.path)/data", readOnly: false)])
            symlink("\(fixture.scratch.path)/secret", "\(fixture.scratch.path)/data/part/link")
            #expect(await Self.refusal(fixture, Self.look("\(fixture.scratch.path)/alias/link"))?.contains("leads through the link") == true)
        }
    }

    @Test func linksThatNoContainerCanWriteAreFollowed() async throws {
        try await EngineFixture.with { fixture in
            fixture.scratch.write("disk/film", "")
            symlink("disk", "\(fixture.scratch.path)/media")
            symlink("../disk/../disk/film", "\(fixture.scratch.path)/disk/again")
            await fixture.engine.share([Self.look("\(fixture.scratch.path)/elsewhere", readOnly: false)])
            let found2 = try await fixture.run(Self.look("\(fixture.scratch.path)/media"))
            #expect(found2.output == "again\nfilm")
            #expect(await Self.refusal(fixture, Self.look("\(fixture.scratch.path)/nowhere"))?.contains("is not there") == true)
            // A loop ends.
            symlink("loop", "\(fixture.scratch.path)/loop")
            #expect(await Self.refusal(fixture, Self.look("\(fixture.scratch.path)/loop"))?.contains("more links than") == true)
        }
    }

    /// A source that changes between a directory and a link to / while containers are launched: 10,000 launches by hand
    /// (BERTH_RACE_RUNS), some hundred on each landing.
    @Test("CVE-2018-15664: a race for the source mounts nothing else", .timeLimit(.minutes(15))) func aRaceForTheSourceMountsNothingElse() async throws {
        let runs = ProcessInfo.processInfo.environment["BERTH_RACE_RUNS"].flatMap { Int($0) } ?? 200
        try await EngineFixture.with { fixture in
            let data = "\(fixture.scratch.path)/data"
            fixture.scratch.write("data/sub/inside", "")
            fixture.scratch.write("data/link.d/x", "")
            await fixture.engine.share([Self.look(data, readOnly: false)])
            let goes = Mutex(true)
            typealias Exchange = @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
            let exchange = unsafeBitCast(try #require(dlsym(nil, "renameat2")), to: Exchange.self)
            let swapper = Thread {
                symlink("/", "\(data)/other")
                while goes.withLock({ $0 }) {
                    // Exchanged at once, so that one of the two is always there (RENAME_EXCHANGE).
                    _ = exchange(AT_FDCWD, "\(data)/sub", AT_FDCWD, "\(data)/other", 2)
                }
            }
            swapper.start()
            defer { goes.withLock { $0 = false } }
            var counts = (inside: 0, refused: 0, outside: 0)
            for _ in 0..<runs {
                do {
                    let (_, output, _) = try await fixture.run(Self.look("\(data)/sub"))
                    if output == "inside" { counts.inside += 1 } else { counts.outside += 1 }
                } catch { counts.refused += 1 }
            }
            print("race: \(runs) runs, \(counts.inside) inside, \(counts.refused) refused, \(counts.outside) outside")
            #expect(counts.outside == 0)
            #expect(counts.inside > 0 && counts.refused > 0, "the race was none: \(counts)")
        }
    }

    @Test(arguments: [false, true]) func nothingOfBerthsOwnIsMounted(privileged: Bool) async throws {
        try await EngineFixture.with { fixture in
            fixture.scratch.write("state/berth.db", "history")
            fixture.scratch.write("state/images/overlay/layer/file", "layer")
            fixture.scratch.write("run/berth.sock", "socket")
            let own = ["state", "run", "state/berth.db", "run/berth.sock", "run/runs", "state/volumes", "state/images", "state/images/overlay/layer"]
            for path in own {
                let mount = Self.look("\(fixture.scratch.path)/\(path)", privileged: privileged)
                #expect(await Self.refusal(fixture, mount)?.contains("Berth's own files") == true, "\(path)")
                await #expect(throws: EngineError.self, "\(path) at 'up'") { try await fixture.engine.prepare(mount) { _ in } }
            }
            // The same under other names: a bind mount of the host, of the whole and of a part, a link, a hard link.
            for (index, path) in ["state", "state/images/overlay", "run/berth.sock"].enumerated() {
                let alias = "\(fixture.scratch.path)/alias\(index)"
                if path.hasSuffix("sock") { fixture.scratch.write("alias\(index)", "") } else { try HostFile.makeDirectories(alias) }
                try #require(mount("\(fixture.scratch.path)/\(path)", alias, nil, UInt(MS_BIND), nil) == 0)
                defer { umount2(alias, Int32(MNT_DETACH)) }
                #expect(await Self.refusal(fixture, Self.look(alias, privileged: privileged))?.contains("Berth's own files") == true, "\(path)")
                if !path.hasSuffix("sock") {
                    var root = ContainerSpec(root: .directory(alias))
                    root.command = ["/bin/true"]
                    #expect(await Self.refusal(fixture, root)?.contains("Berth's own files") == true, "\(path) as a root file system")
                }
            }
            symlink("state", "\(fixture.scratch.path)/link")
            #expect(await Self.refusal(fixture, Self.look("\(fixture.scratch.path)/link/berth.db"))?.contains("Berth's own files") == true)
            link("\(fixture.scratch.path)/state/berth.db", "\(fixture.scratch.path)/hard")
            #expect(await Self.refusal(fixture, Self.look("\(fixture.scratch.path)/hard"))?.contains("Berth's own files") == true)
        }
    }

    /// What lies above Berth's own directories may be mounted; in their place the container finds nothing, by whatever name.
    @Test(arguments: [false, true]) func whatLiesAboveShowsNothingOfBerthsOwn(privileged: Bool) async throws {
        try await EngineFixture.with { fixture in
            fixture.scratch.write("state/berth.db", "history")
            fixture.scratch.write("other", "seen")
            try HostFile.makeDirectories("\(fixture.scratch.path)/alias")
            try #require(mount("\(fixture.scratch.path)/state", "\(fixture.scratch.path)/alias", nil, UInt(MS_BIND), nil) == 0)
            defer { umount2("\(fixture.scratch.path)/alias", Int32(MNT_DETACH)) }
            for readOnly in [true, false] {
                let container = EngineFixture.shell("cat /m/other; ls -A /m/state /m/alias /m/run; cat /m/state/berth.db /m/alias/berth.db 2>/dev/null; true") {
                    $0.mounts = [VolumeMount(source: .bind(fixture.scratch.path), target: "/m", readOnly: readOnly)]
                    $0.privileged = privileged
                }
                let found3 = try await fixture.run(container)
                #expect(found3.output == "seen/m/alias:\n\n/m/run:\n\n/m/state:")
            }
        }
    }

    /// On hosts with systemd every mount is shared: what is mounted in the container must not be mounted on the host.
    @Test func whatAContainerMountsIsNotMountedOnTheHost() async throws {
        try await EngineFixture.with { fixture in
            let shared = "\(fixture.scratch.path)/shared"
            fixture.scratch.write("shared/below/file", "")
            try #require(mount(shared, shared, nil, UInt(MS_BIND), nil) == 0 && mount(nil, shared, nil, UInt(MS_SHARED), nil) == 0)
            defer { umount2(shared, Int32(MNT_DETACH)) }
            let container = EngineFixture.shell("mount -t tmpfs none /m/below && touch /m/below/inside && ls /m/below") {
                $0.mounts = [VolumeMount(source: .bind(shared), target: "/m", readOnly: false)]
                $0.temporaryFileSystems = [TemporaryFileSystem(target: "/m/other", sizeBytes: 1 << 20)]
                $0.addedCapabilities = [.sysAdmin]
            }
            let request = await fixture.request(container)
            _ = try await fixture.engine.launch(request)
            _ = try await fixture.end(of: request.id)
            let found = await fixture.text(request)
            await fixture.engine.settle(request.id)
            #expect(found == "inside")
            #expect(HostFile.names(in: "\(shared)/below") == ["file"])
            #expect(!MountTable.read().contains { $0.target.hasPrefix(shared + "/") }, "a mount of the container is on the host")
        }
    }

    /// A disk of its own below the state directory, and one below a directory that a container can write to, count as what is above.
    @Test func disksBelowCountAsWhatIsAboveThem() async throws {
        try await EngineFixture.with { fixture in
            let path = fixture.scratch.path
            for directory in ["disk/sub", "data/disk", "elsewhere"] { try HostFile.makeDirectories("\(path)/\(directory)") }
            func disk(_ target: String) -> Bool { mount("none", "\(path)/\(target)", "tmpfs", 0, nil) == 0 }
            try #require(disk("state/volumes") && disk("disk"))
            try #require(mount("\(path)/disk", "\(path)/data/disk", nil, UInt(MS_BIND), nil) == 0)
            try #require(mount("\(path)/state/volumes", "\(path)/elsewhere", nil, UInt(MS_BIND), nil) == 0)
            defer { for target in ["elsewhere", "data/disk", "disk", "state/volumes"] { umount2("\(path)/\(target)", Int32(MNT_DETACH)) } }
            for own in ["state/volumes", "elsewhere"] {
                #expect(await Self.refusal(fixture, Self.look("\(path)/\(own)"))?.contains("Berth's own files") == true, "\(own)")
            }
            await fixture.engine.share([Self.look("\(path)/data", readOnly: false)])
            symlink("/etc", "\(path)/disk/link")
            #expect(await Self.refusal(fixture, Self.look("\(path)/disk/link"))?.contains("leads through the link") == true)
        }
    }

    /// A container that replaces its directory by a link does not make the link's target count as writable: the mounts of other
    /// containers would be refused.
    @Test func aLinkThatAContainerMadeAddsNoWritableDirectory() async throws {
        try await EngineFixture.with { fixture in
            let path = fixture.scratch.path
            fixture.scratch.write("data/sub/inside", "")
            fixture.scratch.write("disk/film", "")
            symlink("disk", "\(path)/media")
            symlink("data/sub", "\(path)/s")
            await fixture.engine.share([
                Self.look("\(path)/data", readOnly: false), Self.look("\(path)/data/sub", readOnly: false), Self.look("\(path)/s", readOnly: false),
            ])
            try FileManager.default.removeItem(atPath: "\(path)/data/sub")
            symlink("/", "\(path)/data/sub")
            let film = try await fixture.run(Self.look("\(path)/media"))
            #expect(film.output == "film")
        }
    }

    /// The directory that a live container was given counts as writable when a link in its path is changed, and after a restart; a
    /// path that a recipe named does so for good.
    @Test func writableDirectoriesAreKnownAfterALinkChangesAndAfterARestart() async throws {
        try await EngineFixture.with { fixture in
            let path = fixture.scratch.path
            fixture.scratch.write("v1/x", "")
            fixture.scratch.write("v2/x", "")
            symlink("v1", "\(path)/current")
            let request = await fixture.request(
                EngineFixture.shell("ln -s /etc /m/link; echo linked; sleep 1000") {
                    $0.mounts = [VolumeMount(source: .bind("\(path)/current"), target: "/m", readOnly: false)]
                    $0.stopGracePeriod = .milliseconds(100)
                })
            _ = try await fixture.engine.launch(request)
            for _ in 0..<1000 where await fixture.text(request).isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            unlink("\(path)/current")
            symlink("v2", "\(path)/current")
            let engines = [
                fixture.engine,
                try NativeEngine(paths: fixture.engine.paths, cgroupName: fixture.groupName, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }),
            ]
            for engine in engines {
                if engine !== fixture.engine { _ = try await engine.observe() }
                await #expect { try await engine.prepare(Self.look("\(path)/v1/link")) { _ in } } throws: { "\($0)".contains("leads through the link") }
            }
            await fixture.engine.stop(request.id)
            _ = try await fixture.end(of: request.id)
            await fixture.engine.settle(request.id)
            // Its name is known for good.
            symlink("/etc", "\(path)/v2/link")
            let later = try NativeEngine(
                paths: fixture.engine.paths, cgroupName: fixture.groupName, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            await #expect { try await later.prepare(Self.look("\(path)/v2/link")) { _ in } } throws: { "\($0)".contains("leads through the link") }
            try await later.prepare(Self.look("\(path)/current")) { _ in }
        }
    }

    /// A list that cannot be read is kept, and what recipes name from then on is known.
    @Test func aListOfWritableDirectoriesThatCannotBeReadIsPutAside() async throws {
        try await EngineFixture.with { fixture in
            let path = fixture.scratch.path
            fixture.scratch.write("state/writable.json", "[\"torn")
            let engine = try NativeEngine(
                paths: fixture.engine.paths, cgroupName: fixture.groupName, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let aside = HostFile.names(in: "\(path)/state/quarantine")
            #expect(aside.count == 1 && (try? HostFile.text("\(path)/state/quarantine/\(aside[0])")) == "[\"torn")
            try HostFile.makeDirectories("\(path)/data")
            await engine.share([Self.look("\(path)/data", readOnly: false)])
            #expect(try HostFile.text("\(path)/state/writable.json").contains("data"))
        }
    }

    /// A server that does not answer keeps no other launch waiting: what containers can write to there is known by its location.
    @Test(.timeLimit(.minutes(2))) func aServerThatDoesNotAnswerKeepsNobodyWaiting() async throws {
        try await EngineFixture.with { fixture in
            let path = fixture.scratch.path
            try HostFile.makeDirectories("\(path)/server/sub")
            fixture.scratch.write("data/film", "")
            // A file system whose process answers its mount, and nothing afterwards.
            fixture.scratch.write(
                "serve.py",
                """
                import ctypes, os, struct, sys, time
                fd = os.open("/dev/fuse", os.O_RDWR)
                options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
                libc = ctypes.CDLL(None, use_errno=True)
                assert libc.mount(b"silent", sys.argv[1].encode(), b"fuse.silent", 0, options) == 0, ctypes.get_errno()
                request = os.read(fd, 1 << 17)
                unique = struct.unpack_from("<IIQ", request)[2]
                body = struct.pack("<IIIIHHIIHHI", 7, 31, 0, 0, 16, 12, 131072, 1, 1, 0, 0) + bytes(28)
                os.write(fd, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)
                print("ready", flush=True)
                time.sleep(1000)
                """)
            let server = Process()
            server.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
            server.arguments = ["\(path)/serve.py", "\(path)/server"]
            let output = Pipe()
            server.standardOutput = output
            try server.run()
            defer {
                kill(server.processIdentifier, SIGKILL)
                server.waitUntilExit()
                umount2("\(path)/server", Int32(MNT_DETACH))
            }
            try #require(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).hasPrefix("ready"))
            symlink("server", "\(path)/media")
            await fixture.engine.share([Self.look("\(path)/server/sub", readOnly: false), Self.look("\(path)/media/other", readOnly: false)])
            let film = try await fixture.run(Self.look("\(path)/data"))
            #expect(film.output == "film")
            try await fixture.engine.prepare(Self.look("\(path)/data")) { _ in }
        }
    }

    /// Places behind a server are known by their location: on the mount that they are really on, wherever that is.
    @Test func placesBehindServersAreKnownByTheirLocation() {
        let mounts = MountTable.parse(
            """
            20 1 8:1 / / rw - ext4 /dev/sda1 rw
            21 20 0:40 / /net rw - autofs systemd-1 rw
            22 21 0:41 /export /net rw - nfs4 server:/export rw
            23 22 8:2 /films /net/disk rw - ext4 /dev/sda2 rw
            24 20 0:42 / /auto rw - autofs systemd-1 rw
            25 24 8:3 / /auto rw - ext4 /dev/sda3 rw
            26 20 0:43 / /later rw - autofs systemd-1 rw
            """)
        let servers = MountTable.unanswering(mounts)
        #expect(Set(servers.map(\.target)) == ["/net", "/net/disk"])
        func location(_ path: String) -> HostLocation { HostLocation(unopened: path, servers) }
        #expect(location("/net/data/sub") == HostLocation(device: "0:41", path: "/export/data/sub"))
        #expect(location("/net") == HostLocation(device: "0:41", path: "/export"))
        #expect(location("/net/disk/sub") == HostLocation(device: "8:2", path: "/films/sub"))
        #expect(location("/net/a/../b") == HostLocation(device: "0:41", path: "/export"))
        var writable = WritableDirectories()
        #expect(writable.isEmpty)
        writable.insert(unasked: location("/net/data"))
        #expect(!writable.isEmpty && writable.contains(location("/net/data/link")) && !writable.contains(location("/net/other")))
    }

    /// With `rootfs: host` Berth's own files are hidden where the file system has them, whatever is mounted above.
    @Test func ownFilesAreHiddenBelowOtherMounts() async throws {
        let scratch = Scratch("own")
        try HostFile.makeDirectories("\(scratch.path)/real")
        try HostFile.makeDirectories("\(scratch.path)/seen")
        try #require(mount("\(scratch.path)/real", "\(scratch.path)/seen", nil, UInt(MS_BIND), nil) == 0)
        defer { umount2("\(scratch.path)/seen", Int32(MNT_DETACH)) }
        // Where mounts are shared, as systemd has them, it would be covered with the other one.
        try #require(mount("none", "\(scratch.path)/seen", nil, UInt(MS_PRIVATE), nil) == 0)
        try await EngineFixture.with(paths: EnginePaths(state: "\(scratch.path)/seen/state", runtime: "\(scratch.path)/run", shim: Requirement.shim)) {
            fixture in
            let script = "ls -A \(scratch.path)/real/state \(scratch.path)/seen/state"
            let nothing = "\(scratch.path)/real/state:\n\n\(scratch.path)/seen/state:"
            #expect(try await fixture.run(EngineFixture.shell(script)).output == nothing)
            try #require(mount("none", "\(scratch.path)/real", "tmpfs", 0, nil) == 0)
            defer { umount2("\(scratch.path)/real", Int32(MNT_DETACH)) }
            let covered = try await fixture.run(EngineFixture.shell(script))
            #expect(covered.status.ending == .exited(code: 0) && covered.output == nothing, "\(covered)")
        }
    }

    /// With SYS_ADMIN a cover over Berth's own files could be unmounted: such a mount is refused, and `rootfs: host` needs no cover.
    @Test func aContainerWithSysAdminCannotUncoverBerthsOwnFiles() async throws {
        try await EngineFixture.with { fixture in
            let all = Set(Capability.allCases.filter { fixture.engine.hostCapabilities >> UInt64($0.number) & 1 == 1 })
            for capability in ["SYS_ADMIN", "ALL"] {
                var above = Self.look(fixture.scratch.path)
                above.addedCapabilities = capability == "ALL" ? all : [.sysAdmin]
                #expect(await Self.refusal(fixture, above)?.contains("could uncover them: refused") == true)
                await #expect(throws: EngineError.self, "at 'up'") { try await fixture.engine.prepare(above) { _ in } }
                var host = EngineFixture.shell(
                    "cd \(fixture.scratch.path); umount state run 2>/dev/null; mkdir /m && mount --bind / /m && ls -A state run /m$PWD/state /m$PWD/run; rmdir state; ls"
                )
                host.addedCapabilities = above.addedCapabilities
                let found = try await fixture.run(host)
                let place = "/m\(fixture.scratch.path)"
                #expect(found.output == "\(place)/run:\n\n\(place)/state:\n\nrun:\n\nstate:\nrun", "\(found.output)")
            }
        }
    }

    /// By handle every file of a disk is in reach of whoever has one mount of it, as /etc/hosts is one ("shocker").
    @Test(arguments: [[Capability.dacReadSearch], [.dacReadSearch, .sysAdmin]]) func noFileIsOpenedByHandle(capabilities: [Capability]) async throws {
        try await EngineFixture.with { fixture in
            // name_to_handle_at gives a handle that is right; open_by_handle_at is what would open it.
            let script = """
                import ctypes
                libc = ctypes.CDLL(None, use_errno=True)
                class Handle(ctypes.Structure): _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_char * 128)]
                handle, mount = Handle(128), ctypes.c_int()
                fd = libc.open(b"/m", 0)
                named = libc.syscall(303, fd, b"file", ctypes.byref(handle), ctypes.byref(mount), 0)
                print(fd >= 0, libc.syscall(304, fd, ctypes.byref(handle), 0), ctypes.get_errno())
                """
            fixture.scratch.write("data/file", "secret")
            let found = try await fixture.run(
                EngineFixture.shell("exec python3 -c '\(script)'") {
                    $0.addedCapabilities = Set(capabilities)
                    $0.mounts = [VolumeMount(source: .bind("\(fixture.scratch.path)/data"), target: "/m", readOnly: true)]
                })
            #expect(found.output == "True -1 1", "\(found.output)")
        }
    }

    /// With SYS_ADMIN a container makes its read-only mount writable: links in that directory are its own, too.
    @Test func aMountThatCanBeRemountedCountsAsWritable() async throws {
        try await EngineFixture.with { fixture in
            let path = fixture.scratch.path
            try HostFile.makeDirectories("\(path)/data")
            let container = EngineFixture.shell("mount -o remount,bind,rw /m && ln -s /etc /m/link; echo done; sleep 1000") {
                $0.addedCapabilities = [.sysAdmin]
                $0.mounts = [VolumeMount(source: .bind("\(path)/data"), target: "/m", readOnly: true)]
                $0.stopGracePeriod = .milliseconds(100)
            }
            let request = await fixture.request(container)
            _ = try await fixture.engine.launch(request)
            for _ in 0..<1000 where await fixture.text(request).isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            #expect(HostFile.link("\(path)/data/link") == "/etc")
            for _ in 0..<2 {
                await #expect { try await fixture.engine.prepare(Self.look("\(path)/data/link")) { _ in } } throws: {
                    "\($0)".contains("leads through the link")
                }
                // The second time it has ended.
                await fixture.engine.stop(request.id)
                _ = try await fixture.end(of: request.id)
                await fixture.engine.settle(request.id)
            }
        }
    }

    /// A plain user can write to a volume that is new: it has the owner of the image's directory at its place, or is the user's.
    @Test func aPlainUserCanWriteToItsNewVolume() async throws {
        try await EngineFixture.with { fixture in
            let root = "\(fixture.scratch.path)/image"
            try #require(
                EngineFixture.shellOnHost(
                    "mkdir -p \(root)/bin \(root)/lib/state \(root)/plain && cp $(command -v busybox) \(root)/bin/sh && chown 33:34 \(root)/lib/state && chmod 2770 \(root)/lib/state"
                ) == 0)
            func look(_ volume: String, _ target: String, user: String) async throws -> String {
                var container = ContainerSpec(root: .directory(root))
                container.command = ["/bin/sh", "-c", "stat -c '%u:%g %a' \(target); touch \(target)/file && echo wrote && rm \(target)/file"]
                container.environment = [:]
                container.user = user
                container.mounts = [VolumeMount(source: .volume(volume), target: target, readOnly: false)]
                return try await fixture.run(container).output
            }
            #expect(try await look("a", "/srv/data", user: "1000:1000") == "1000:1000 755\nwrote")
            // It keeps its owner when it is empty again.
            #expect(try await look("a", "/srv/data", user: "1001:1001").hasPrefix("1000:1000 755"))
            #expect(try await look("b", "/lib/state", user: "33:34") == "33:34 2770\nwrote")
            #expect(try await look("c", "/plain", user: "1000").hasPrefix("0:0 755"))
            #expect(try await look("d", "/srv/data", user: "0") == "0:0 755\nwrote")
        }
    }

    /// More mounts than the shim takes are an error, and end nothing.
    @Test func thousandsOfMountsAreRefused() async throws {
        try await EngineFixture.with { fixture in
            fixture.scratch.write("in/file", "")
            let many = EngineFixture.shell("true") { container in
                container.mounts = (0..<70_000).map { VolumeMount(source: .bind("\(fixture.scratch.path)/in"), target: "/m\($0)", readOnly: true) }
            }
            #expect(await Self.refusal(fixture, many)?.contains("4096 mounts") == true)
            #expect(await Self.refusal(fixture, Self.look("\(fixture.scratch.path)/in")) == nil)
        }
    }

    /// Below a state directory that is a link, `rootfs: host` works as below any other, and hides it.
    @Test func aStateDirectoryThatIsALinkIsHiddenAsAnyOther() async throws {
        let real = Scratch("real")
        let paths = EnginePaths(state: "\(real.path)/link", runtime: "\(real.path)/run", shim: Requirement.shim)
        try HostFile.makeDirectories("\(real.path)/state")
        symlink("state", "\(real.path)/link")
        try await EngineFixture.with(paths: paths) { fixture in
            real.write("state/berth.db", "history")
            let (status, output, _) = try await fixture.run(EngineFixture.shell("ls -A \(real.path)/state; ls \(real.path)"))
            #expect(status.ending == .exited(code: 0) && output == "link\nrun\nstate")
        }
    }

    @Test func theKernelsOwnFilesOfTheHostAreForPrivilegedContainers() async throws {
        try await EngineFixture.with { fixture in
            symlink("/", "\(fixture.scratch.path)/top")
            for path in ["/", "\(fixture.scratch.path)/top"] { #expect(await Self.refusal(fixture, Self.look(path))?.contains("the mount of /") == true) }
        }
    }

    /// Places in /dev that Compose files name on purpose.
    @Test("CVE-2019-19921, CVE-2025-31133: nothing is mounted over /proc, /sys and /dev, but places in /dev by name")
    func aPlaceInDevIsMountedWhenTheRecipeNamesIt() async throws {
        try await EngineFixture.with { fixture in
            let container = EngineFixture.shell("echo kept > /dev/shm/file; ls /dev/shm; stat -f -c %b /dev/shm") {
                $0.mounts = [VolumeMount(source: .volume("shm"), target: "/dev/shm", readOnly: false)]
            }
            let found4 = try await fixture.run(container)
            #expect(found4.output.hasPrefix("file\n"))
            for target in ["/dev", "/dev/null", "/dev/pts", "/proc/sys", "/sys/fs/cgroup"] {
                let over = EngineFixture.shell("true") { $0.mounts = [VolumeMount(source: .volume("v"), target: target, readOnly: false)] }
                #expect(await Self.refusal(fixture, over) != nil, "\(target)")
            }
        }
    }
}
