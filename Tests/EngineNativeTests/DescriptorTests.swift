import EngineAPI
import Foundation
import Glibc
import HostOS
import Schedules
import Synchronization
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// CVE-2024-21626 and its kind: what the container's first process holds of the host, right before each step that resolves a
/// path of an image, a volume or a recipe. A build of the shim stops there (`make hooks`).
@Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
struct DescriptorTests {
    struct Held: Hashable {
        let pid: pid_t
        let step: String
    }

    /// A child of a shim of ours that has stopped.
    private static func held() -> Held? {
        for name in HostFile.names(in: "/proc") {
            guard let pid = pid_t(name), let step = try? HostFile.text("/proc/\(pid)/comm"), step.hasPrefix("hold:") else { continue }
            // The child of a shim, or with `init` a child of that; the shim is a child of our server.
            var ancestors = 0
            var above = parent(pid)
            while let process = above, process != getpid(), process > 1, ancestors < 5 {
                above = parent(process)
                ancestors += 1
            }
            guard above == getpid() else { continue }
            return Held(pid: pid, step: step.dropFirst(5).trimmingCharacters(in: .whitespacesAndNewlines))
        }
        return nil
    }

    private static func parent(_ pid: pid_t) -> pid_t? {
        guard let text = try? HostFile.text("/proc/\(pid)/status") else { return nil }
        return text.split(separator: "\n").first { $0.hasPrefix("PPid:") }.flatMap { pid_t($0.dropFirst(5).filter { !$0.isWhitespace }) }
    }

    /// Where ".." leads from a path, up to the top.
    private static func top(_ path: String) -> FileIdentity? { FileIdentity(path: path + String(repeating: "/..", count: 40)) }

    /// What a process holds that is neither a pipe nor inside its own root; a bind's source that is not attached yet is a tree of
    /// its own, with nothing above it.
    private static func hostsOwn(_ pid: pid_t) -> [String] {
        var found: [String] = []
        let root = FileIdentity(path: "/proc/\(pid)/root")
        if root == FileIdentity(path: "/") || root == nil { found.append("its root is the host's") }
        if top("/proc/\(pid)/cwd/.") != root { found.append("its working directory is outside of its root") }
        for name in HostFile.names(in: "/proc/\(pid)/fd") {
            let path = "/proc/\(pid)/fd/\(name)"
            var buffer = [CChar](repeating: 0, count: 4097)
            let length = readlink(path, &buffer, 4096)
            let link = String(decoding: buffer[..<max(0, length)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if link.hasPrefix("pipe:") { continue }
            var info = stat()
            guard stat(path, &info) == 0 else { continue }
            if info.st_mode & S_IFMT == S_IFDIR {
                let top = top(path + "/.")
                if top != root, top != FileIdentity(info) { found.append("\(name): \(link), from which '..' leads to the host") }
            } else if info.st_mode & S_IFMT == S_IFSOCK {
                found.append("\(name): \(link)")
            } else {
                // A file is inside when its mount is among those of the process, or is attached nowhere.
                let mount = (try? HostFile.text("/proc/\(pid)/fdinfo/\(name)"))?.split(separator: "\n").first { $0.hasPrefix("mnt_id:") }
                let id = mount.flatMap { Int($0.dropFirst(7).filter { !$0.isWhitespace }) }
                let mounts = MountTable.parse((try? HostFile.text("/proc/self/mountinfo", limit: 16 << 20)) ?? "")
                if mounts.contains(where: { $0.id == id }) { found.append("\(name): \(link), on a mount of the host") }
            }
        }
        return found
    }

    @Test("CVE-2024-21626: nothing of the host is held where a foreign path is resolved", .timeLimit(.minutes(5)), arguments: [false, true])
    func nothingOfTheHostIsHeldWhereAForeignPathIsResolved(initProcess: Bool) async throws {
        try await EngineFixture.with(shim: "\(Requirement.programs)/berth-shim-hooks") { fixture in
            fixture.scratch.write("in/file", "given")
            let container = EngineFixture.shell("cat /in/file") {
                $0.mounts = [
                    VolumeMount(source: .volume("data"), target: "/data", readOnly: false),
                    VolumeMount(source: .bind("\(fixture.scratch.path)/in"), target: "/in", readOnly: true),
                    VolumeMount(source: .bind("\(fixture.scratch.path)/in/file"), target: "/in/one", readOnly: true),
                ]
                $0.temporaryFileSystems = [TemporaryFileSystem(target: "/quick", sizeBytes: 1 << 20)]
                $0.workingDirectory = "/work/here"
                $0.user = "1000:1000"
                $0.initProcess = initProcess
            }
            fixture.scratch.write("in/one", "")
            let request = await fixture.request(container)
            // On a thread of its own: tests beside this one may hold all others, and the sandbox has half a minute.
            let seen = Mutex((steps: [String](), found: [String](), isOver: false))
            let watcher = Thread {
                while !seen.withLock({ $0.isOver }) {
                    guard let held = Self.held() else {
                        usleep(2000)
                        continue
                    }
                    let found = Self.hostsOwn(held.pid).map { "at '\(held.step)': \($0)" }
                    seen.withLock {
                        $0.steps.append(held.step)
                        $0.found += found
                    }
                    kill(held.pid, SIGUSR1)
                    // It has gone on when it has another name.
                    for _ in 0..<2000 where (try? HostFile.text("/proc/\(held.pid)/comm"))?.hasPrefix("hold:\(held.step)") == true { usleep(500) }
                }
            }
            watcher.start()
            defer { seen.withLock { $0.isOver = true } }
            _ = try await fixture.engine.launch(request)
            // The last stop, with an init, is after the launch.
            let status = try await fixture.end(of: request.id)
            let (steps, found, _) = seen.withLock { $0 }
            #expect(found.isEmpty, "it holds \(found)")
            #expect(Set(steps).isSuperset(of: ["dev", "proc", "sys", "target", "user", "workdir", "exec"]), "\(steps)")
            #expect(status.ending == .exited(code: 0))
            #expect(await fixture.text(request) == "given")
            await fixture.engine.settle(request.id)
        }
    }
}
