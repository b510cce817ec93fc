internal import CLinux
internal import Dispatch
public import EngineAPI
internal import Foundation
internal import Glibc
internal import HostOS
internal import Logging
internal import Schedules
internal import Synchronization
public import WorkloadModel

extension NativeEngine {
    /// Prepares the control groups for moves into them; returns before that is done.
    public func expectLaunches() async { launches.addOperation { [cgroups] in cgroups.warmUp() } }

    /// Starts a run under a shim of its own, and returns when its command is released.
    ///
    /// - Returns: when that was, and its image as `IMAGE@sha256:DIGEST`
    /// - Throws: ``EngineError``; then nothing of the command ran
    public func launch(_ run: RunRequest) async throws(EngineError) -> Launched {
        let image: Image? = if let source = run.container.image { try images.image(source, for: run.id) } else { nil }
        do throws(EngineError) {
            let startedAt = try await launch(run, image)
            return Launched(
                at: startedAt, image: image.flatMap { image in run.container.image.map { "\($0)@sha256:\(image.id)" } }, health: healthCheck(of: run, image))
        } catch {
            images.drop(run.id)
            throw error
        }
    }

    private func launch(_ run: RunRequest, _ image: Image?) async throws(EngineError) -> Timestamp {
        let container = run.container
        try checkLimits(container)
        let capabilities = try capabilities(of: container)
        let filter = try await filter(of: container, capabilities)
        try await seedVolumes(run, image)
        let network = try await networks?.take(run) ?? (container.network == .host ? .host : .none)
        FailPoint.placeTaken.pass()
        do throws(EngineError) { return try await launch(run, image, Sandbox(filter: filter, capabilities: capabilities, network: network)) } catch {
            await networks?.leave(run.id)
            throw error
        }
    }

    /// What a sandbox is made of, beside files.
    struct Sandbox {
        let filter: [UInt8]
        let capabilities: UInt64
        let network: NetworkPlace
    }

    private func launch(_ run: RunRequest, _ image: Image?, _ sandbox: Sandbox) async throws(EngineError) -> Timestamp {
        let result: Result<Timestamp, EngineError> = await withCheckedContinuation { continuation in
            launches.addOperation { [self] in
                continuation.resume(
                    returning: Result { () throws(EngineError) in
                        do throws(EngineError) { return try start(run, image, sandbox) } catch {
                            guard disk.makeRoom() else { throw error }
                            return try start(run, image, sandbox)
                        }
                    })
            }
        }
        return try result.get()
    }

    func filter(of container: ContainerSpec, _ capabilities: UInt64) async throws(EngineError) -> [UInt8] {
        container.privileged ? [] : try await filters.filter(capabilities: capabilities, filterOptions(of: container))
    }

    private func filterOptions(of container: ContainerSpec) -> SeccompFilters.Options {
        var options: SeccompFilters.Options = container.allowsSocketcall ?? false ? [.socketcall] : []
        if quota.usual != nil { options.insert(.fixedProjects) }
        return options
    }

    /// Makes the filters that the first launches of these containers would have to wait for, each once. One that fails, fails at the
    /// launch.
    func makeFilters(for containers: [ContainerSpec]) async {
        var wanted: [SeccompFilters.Options: Set<UInt64>] = [:]
        for container in containers where !container.privileged {
            if let own = try? capabilities(of: container) { wanted[filterOptions(of: container), default: []].insert(own) }
        }
        for (options, all) in wanted { for capabilities in all { _ = try? await filters.filter(capabilities: capabilities, options) } }
    }

    /// Blocks for the few milliseconds that it takes.
    private func start(_ run: RunRequest, _ image: Image?, _ sandbox: Sandbox) throws(EngineError) -> Timestamp {
        let directory = RunDirectory(path: paths.run(run.id))
        if HostFile.exists(directory.path) {
            // An earlier attempt at the same run. If it came to be, it is not started again.
            if let startedAt = directory.startedAt { return startedAt }
            guard directory.waitUntilUnlocked(milliseconds: 35_000) else { throw .sandbox("run \(run.id) is being set up by somebody else") }
            if let startedAt = directory.startedAt { return startedAt }
            HostFile.removeFlat(directory.path)
            clean(run.id.description)
        }
        // A failed attempt drops it.
        images.hold(image?.id ?? "", for: run.id)
        try disk.checkForLaunch()
        do {
            try HostFile.makeDirectory(directory.path)
            try FailPoint.directoryMade.hit()
            try HostFile.makeDirectories(paths.logs(run.workload))
            // First what may be refused: what the recipe names is opened and looked at before anything is made for the run.
            let volumes = Set(mounts(of: run, image).compactMap { path(of: $0, run).map { id(of: $0) } })
            volumeUses.withLock { $0[run.id] = VolumeUse(workload: run.workload.description, volumes: volumes) }
            var (spec, note) = try makeSpec(run, image, sandbox)
            note.volumes = volumes.sorted()
            try FailPoint.specMade.hit()
            try quota.prepare("\(paths.scratch)/\(run.id)", run.container)
            let tuning = run.container.tuning?.value
            let devices = try tuning.map { tuning throws(EngineError) in try addDevices(tuning, &spec) } ?? []
            let group = try cgroups.make(run.id, limits: run.container.limits, tuning: tuning, allDevices: run.container.privileged, devices: devices)
            try FailPoint.groupMade.hit()
            if let group = group.v2 { try spec.add(.cgroupV2, group) }
            for group in group.v1 { try spec.add(.cgroupV1, group) }
            // Before the run can begin: its end removes it from both again.
            try directory.keep(note)
            shared.began(run.id, note.writable)
            disk.add(run.id, workload: note.workload, paths: note.paths, empty: note.empty)
            return try startShim(run.id, spec)
        } catch {
            forget(run.id)
            HostFile.removeFlat(directory.path)
            rmdir("\(paths.scratch)/\(run.id)")
            _ = cgroups.remove(run.id.description)
            throw error as? EngineError ?? .sandbox("\(error)")
        }
    }

    /// Starts a shim, gives it its spec and the places that it names, and lets it go on once it has made the sandbox.
    private func startShim(_ run: RunID, _ spec: LaunchSpec) throws(EngineError) -> Timestamp {
        let (socket, pidfd) = try shims.shim(timeout: NativeEngine.longestSetUp)
        var control = socket
        defer { if control >= 0 { close(control) } }
        func abandon() {
            // It cleans up by itself once this is closed, or it has said why; only one that hangs is killed.
            close(control)
            control = -1
            end(pidfd, run)
        }
        func reach(_ step: FailPoint) throws(EngineError) {
            do throws(FailPoint.Failure) { try step.hit() } catch {
                abandon()
                throw .sandbox("\(error)")
            }
        }
        try reach(.shimStarted)
        let descriptors = spec.places.map(\.descriptor)
        guard NativeEngine.send(control, spec.bytes), clinux_send_descriptors(control, descriptors, descriptors.count) == 0 else {
            let sentence = NativeEngine.receive(control).sentence
            abandon()
            throw .sandbox(sentence ?? "the shim ended before it had read its spec")
        }
        try reach(.beforeCreated)
        let created = NativeEngine.receive(control)
        guard created.kind == UInt8(ascii: "C") else {
            abandon()
            throw .sandbox(created.sentence ?? "the shim ended while it set the sandbox up")
        }
        try reach(.created)
        let now = WallClock.now()
        try reach(.beforeGo)
        guard NativeEngine.send(control, [UInt8(ascii: "G")]) else {
            abandon()
            throw .sandbox("the shim ended before the command was released")
        }
        // 'S', or 'E' once the run has begun: either way its end will be written down.
        let started = NativeEngine.receive(control)
        if started.kind != UInt8(ascii: "S"), RunDirectory(path: paths.run(run)).startedAt == nil {
            abandon()
            throw .sandbox(started.sentence ?? "the shim ended before the command was released")
        }
        FailPoint.started.pass()
        disk.started(run)
        watch(run, pidfd: pidfd, isShim: true)
        return now
    }

    /// How long a shim may take to set a sandbox up: longer than it gives itself.
    private static let longestSetUp = Duration.seconds(40)

    /// Waits until a shim has ended, and closes its pidfd.
    private func end(_ pidfd: Int32, _ run: RunID) {
        func hasEnded() -> Bool {
            var ended = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
            var count: Int32
            repeat { count = poll(&ended, 1, 2000) } while count < 0 && errno == EINTR
            return count > 0
        }
        if !hasEnded() {
            clinux_pidfd_signal(pidfd, SIGKILL)
            if !hasEnded() { log.error("a shim that failed cannot be killed", metadata: ["run": "\(run)"]) }
        }
        close(pidfd)
    }

    static func send(_ fd: Int32, _ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { return false }
            rest = rest.dropFirst(sent)
        }
        return true
    }

    static func receive(_ fd: Int32) -> (kind: UInt8?, sentence: String?) {
        var buffer = [UInt8](repeating: 0, count: 1024)
        var got: Int
        repeat { got = buffer.withUnsafeMutableBytes { recv(fd, $0.baseAddress, $0.count, 0) } } while got < 0 && errno == EINTR
        guard got > 0 else { return (nil, nil) }
        return (buffer[0], buffer[0] == UInt8(ascii: "E") ? String(decoding: buffer[1..<got], as: UTF8.self) : nil)
    }
}
