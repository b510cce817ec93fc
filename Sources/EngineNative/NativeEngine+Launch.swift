internal import CLinux
internal import Dispatch
public import EngineAPI
internal import Foundation
internal import Glibc
internal import Logging
internal import Schedules
public import WorkloadModel

extension NativeEngine {
    public func expectLaunches() async { launches.addOperation { [cgroups] in cgroups.warmUp() } }

    public func launch(_ run: RunRequest) async throws(EngineError) -> Launched {
        let container = run.container
        let image: Image? = if case .image(let source) = container.root { try images.image(source) } else { nil }
        let filter = container.privileged ? [] : try await filters.filter(capabilities: Capability.mask(container.capabilities))
        let result: Result<Timestamp, EngineError> = await withCheckedContinuation { continuation in
            launches.addOperation { [self] in
                continuation.resume(returning: Result { () throws(EngineError) in try start(run, image, filter) })
            }
        }
        let imageName: String? = if case .image(let source) = container.root, let image { "\(source)@sha256:\(image.id)" } else { nil }
        return Launched(at: try result.get(), image: imageName)
    }

    /// Blocks for the few milliseconds that it takes.
    private func start(_ run: RunRequest, _ image: Image?, _ filter: [UInt8]) throws(EngineError) -> Timestamp {
        let directory = RunDirectory(path: paths.run(run.id))
        if HostFile.exists(directory.path) {
            // An earlier attempt at the same run. If it came to be, it is not started again.
            if let startedAt = directory.startedAt { return startedAt }
            guard directory.waitUntilUnlocked(milliseconds: 35_000) else { throw .sandbox("run \(run.id) is being set up by somebody else") }
            if let startedAt = directory.startedAt { return startedAt }
            HostFile.removeFlat(directory.path)
            clean(run.id.description)
        }
        do {
            try HostFile.makeDirectory(directory.path)
            try HostFile.makeDirectories(paths.logs(run.workload))
            let group = try cgroups.make(run.id, limits: run.container.limits)
            let spec = try spec(run, image, filter, group)
            return try startShim(run.id, spec)
        } catch {
            HostFile.removeFlat(directory.path)
            _ = cgroups.remove(run.id.description)
            throw error as? EngineError ?? .sandbox("\(error)")
        }
    }

    /// Starts a shim, gives it its spec, and lets it go on once it has made the sandbox.
    private func startShim(_ run: RunID, _ spec: [UInt8]) throws(EngineError) -> Timestamp {
        var ours: Int32 = -1
        var theirs: Int32 = -1
        guard clinux_socket_pair(&ours, &theirs) == 0 else { throw .host("no socket for the shim: \(String(cString: strerror(errno)))") }
        defer { if ours >= 0 { close(ours) } }
        func abandon(_ pid: pid_t, _ pidfd: Int32) {
            close(ours)
            ours = -1
            NativeEngine.end(pid, pidfd)
        }
        var pid: pid_t = 0
        let spawned = clinux_spawn(program, "berth-shim", "run", theirs, shimErrors, &pid)
        let code = errno
        close(theirs)
        guard spawned == 0 else { throw .host("the shim \(paths.shim) cannot be started: \(String(cString: strerror(code)))") }
        var limit = timeval(tv_sec: 40, tv_usec: 0)
        setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let pidfd = clinux_pidfd_open(pid)
        guard pidfd >= 0 else {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw .host("the shim cannot be watched: \(String(cString: strerror(errno)))")
        }
        guard NativeEngine.send(ours, spec) else {
            let sentence = NativeEngine.receive(ours).sentence
            abandon(pid, pidfd)
            throw .sandbox(sentence ?? "the shim ended before it had read its spec")
        }
        let created = NativeEngine.receive(ours)
        guard created.kind == UInt8(ascii: "C") else {
            abandon(pid, pidfd)
            throw .sandbox(created.sentence ?? "the shim ended while it set the sandbox up")
        }
        let now = WallClock.now()
        guard NativeEngine.send(ours, [UInt8(ascii: "G")]) else {
            abandon(pid, pidfd)
            throw .sandbox("the shim ended before the command was released")
        }
        // 'S', or 'E' once the run has begun: either way its end will be written down.
        let started = NativeEngine.receive(ours)
        if started.kind != UInt8(ascii: "S"), RunDirectory(path: paths.run(run)).startedAt == nil {
            abandon(pid, pidfd)
            throw .sandbox(started.sentence ?? "the shim ended before the command was released")
        }
        watch(run, pidfd: pidfd, isShim: true, child: pid)
        return now
    }

    private static func end(_ pid: pid_t, _ pidfd: Int32) {
        // It cleans up by itself once its socket is closed or it has said why; only one that hangs is killed.
        for _ in 0..<400 {
            if waitpid(pid, nil, WNOHANG) == pid {
                close(pidfd)
                return
            }
            usleep(5000)
        }
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
        close(pidfd)
    }

    private static func send(_ fd: Int32, _ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { return false }
            rest = rest.dropFirst(sent)
        }
        return true
    }

    private static func receive(_ fd: Int32) -> (kind: UInt8?, sentence: String?) {
        var buffer = [UInt8](repeating: 0, count: 1024)
        var got: Int
        repeat { got = buffer.withUnsafeMutableBytes { recv(fd, $0.baseAddress, $0.count, 0) } } while got < 0 && errno == EINTR
        guard got > 0 else { return (nil, nil) }
        return (buffer[0], buffer[0] == UInt8(ascii: "E") ? String(decoding: buffer[1..<got], as: UTF8.self) : nil)
    }

    // MARK: The spec

    private func spec(_ run: RunRequest, _ image: Image?, _ filter: [UInt8], _ group: CgroupHost.Group) throws -> [UInt8] {
        let container = run.container
        var spec = LaunchSpec()
        spec.add(.runID, run.id.description)
        spec.add(.runDirectory, paths.run(run.id))
        spec.add(.logBase, paths.log(run.id, run.workload))
        if let cap = container.logBytes { spec.add(.logCap, UInt64(cap)) }
        spec.add(.bootID, bootID)
        spec.add(.scratch, "\(paths.scratch)/\(run.id)")
        if let group = group.v2 { spec.add(.cgroupV2, group) }
        for group in group.v1 { spec.add(.cgroupV1, group) }
        try addRoot(run, image, &spec)
        for word in try command(container, image) { spec.add(.argument, word) }
        for variable in environment(run, image) { spec.add(.environment, variable) }
        spec.add(.workingDirectory, container.workingDirectory ?? image?.workingDirectory.flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "/")
        if let user = container.user ?? image?.user, !user.isEmpty { spec.add(.user, user) }
        spec.add(.hostname, container.hostname ?? run.workload.name.description)
        spec.add(.readOnly, container.readOnlyRoot)
        spec.add(.hostNetwork, container.network == .host)
        spec.add(.initProcess, container.initProcess)
        spec.add(.capabilities, Capability.mask(container.capabilities))
        if !container.privileged { spec.add(.seccomp, filter) }
        spec.add(.privileged, container.privileged)
        spec.add(.sharedMemoryBytes, UInt64(max(0, container.sharedMemoryBytes)))
        for limit in container.resourceLimits { spec.addLimit(resource: limit.resource.number, soft: limit.soft, hard: limit.hard) }
        spec.add(.stopSignal, UInt64(container.stopSignal ?? image?.stopSignal.flatMap(StopSignal.number) ?? SIGTERM))
        spec.add(.graceMilliseconds, UInt64(max(0, container.stopGracePeriod.wholeMilliseconds)))
        if let timeout = run.timeout { spec.add(.timeoutMilliseconds, UInt64(max(1, timeout.wholeMilliseconds))) }
        try addMounts(run, &spec)
        return spec.bytes
    }

    private func addRoot(_ run: RunRequest, _ image: Image?, _ spec: inout LaunchSpec) throws {
        switch run.container.root {
        case .image:
            spec.add(.layersDirectory, images.layersDirectory)
            for layer in image?.layers ?? [] { spec.add(.lower, layer) }
        case .directory(let path):
            for own in [paths.state, paths.runtime] where NativeEngine.shows(path, own) {
                throw EngineError.sandbox("the root file system \(path) holds Berth's own files (\(own)): refused")
            }
            spec.add(.layersDirectory, "/")
            // A mount's options end a path at ':' and ','.
            spec.add(.lower, path.map { ":,\\".contains($0) ? "\\\($0)" : "\($0)" }.joined())
        case .host:
            spec.add(.layersDirectory, "/")
            spec.add(.lower, "/")
            for disk in MountTable.hostDisks() { spec.addBind(disk, disk, [.readOnly]) }
            // Sockets and secrets of the host's own services are in /run; nothing of it is for a container.
            spec.addTemporary("/run", size: nil, mode: 0o755)
        }
        // Other runs' files and the history are no container's business, even where the host's files are its root.
        if image == nil { for hidden in [paths.state, paths.runtime] { spec.add(.hide, hidden) } }
    }

    private func command(_ container: ContainerSpec, _ image: Image?) throws -> [String] {
        // As Compose: an own entrypoint drops the image's command.
        let entrypoint = container.entrypoint ?? image?.entrypoint ?? []
        let command = container.command ?? (container.entrypoint == nil ? image?.command ?? [] : [])
        let words = entrypoint + command
        guard let first = words.first, !first.isEmpty else { throw EngineError.command("the image names no command, and the recipe has none") }
        return words
    }

    private func environment(_ run: RunRequest, _ image: Image?) -> [String] {
        var values: [String: String] = [:]
        for entry in image?.environment ?? [] {
            let pair = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2 { values[String(pair[0])] = String(pair[1]) }
        }
        for (name, value) in run.container.environment { values[name] = value.revealed }
        values["HOSTNAME"] = values["HOSTNAME"] ?? run.container.hostname ?? run.workload.name.description
        values["BERTH_RUN_ID"] = run.id.description
        values["BERTH_TRIGGER"] = run.trigger.rawValue
        values["BERTH_ATTEMPT"] = String(run.attempt)
        if run.kind == .job {
            values["BERTH_JOB"] = run.workload.name.description
            values["BERTH_DUE_AT"] = run.dueAt?.description
            values["BERTH_LAST_OUTCOME"] = run.lastOutcome?.rawValue
            if let last = run.arrivals.last {
                values["BERTH_CAUSED_BY"] = last.run.description
                values["BERTH_AFTER"] = run.arrivals.map { "\($0.job)=\($0.outcome.rawValue)" }.joined(separator: ",")
            }
        }
        return values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }

    /// Whether a container that sees one path sees another.
    private static func shows(_ source: String, _ own: String) -> Bool {
        let (outer, inner) = (HostFile.real(source), HostFile.real(own))
        return outer == inner || inner.hasPrefix(outer == "/" ? "/" : outer + "/")
    }

    private func addMounts(_ run: RunRequest, _ spec: inout LaunchSpec) throws {
        let container = run.container
        if container.root != .host {
            spec.addBind("\(paths.etc)/hosts", "/etc/hosts", [.readOnly, .file])
            let resolver = container.network == .host && HostFile.exists("/etc/resolv.conf") ? "/etc/resolv.conf" : "\(paths.etc)/resolv.conf"
            spec.addBind(resolver, "/etc/resolv.conf", [.readOnly, .file])
        }
        // Parents before children, whatever the recipe's order: a longer path cannot be the parent of a shorter one.
        var temporaries = container.temporaryFileSystems.sorted { $0.target.count < $1.target.count }[...]
        func addTemporaries(shorterThan length: Int) {
            while let next = temporaries.first, next.target.count < length {
                spec.addTemporary(next.target, size: next.sizeBytes, mode: next.mode)
                temporaries.removeFirst()
            }
        }
        defer { addTemporaries(shorterThan: .max) }
        for mount in container.mounts.sorted(by: { $0.target.count < $1.target.count }) {
            addTemporaries(shorterThan: mount.target.count)
            let source: String
            switch mount.source {
            case .bind(let path): source = path
            case .volume(let name):
                source = paths.volume(name, of: run.workload.project)
                try HostFile.makeDirectories("\(paths.volumes)/\(run.workload.project)")
                try HostFile.makeDirectory(source, mode: 0o755)
            }
            guard HostFile.exists(source) else { throw EngineError.sandbox("the mount's source \(source) is not there") }
            if HostFile.real(source) == "/", !container.privileged {
                throw EngineError.sandbox(
                    "the mount of / would bring the kernel's own files of the host: mount the directories that are needed, or say 'privileged: true'")
            }
            for own in [paths.state, paths.runtime] where NativeEngine.shows(source, own) {
                let (outer, inner) = (HostFile.real(source), HostFile.real(own))
                guard outer != inner else { throw EngineError.sandbox("the mount of \(source) would show Berth's own files to the container: refused") }
                // What lies above them may be seen; in their place the container finds an empty directory.
                spec.add(.hide, (mount.target == "/" ? "" : mount.target) + inner.dropFirst(outer == "/" ? 0 : outer.count))
            }
            var flags: LaunchSpec.MountFlags = mount.readOnly ? [.readOnly] : []
            if !HostFile.isDirectory(source) { flags.insert(.file) } else if case .bind = mount.source { flags.insert(.recursive) }
            spec.addBind(source, mount.target, flags)
        }
    }
}

enum StopSignal {
    private static let names: [String: Int32] = [
        "HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15, "WINCH": 28, "PWR": 30,
    ]

    /// A signal as an image names it; `nil` when it is none.
    static func number(_ text: String) -> Int32? {
        let upper = text.uppercased()
        let bare = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
        if bare.hasPrefix("RTMIN+") { return Int32(bare.dropFirst(6)).flatMap { (0...30).contains($0) ? 34 + $0 : nil } }
        return names[bare] ?? Int32(bare).flatMap { (1...64).contains($0) ? $0 : nil }
    }
}

enum WallClock {
    static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
