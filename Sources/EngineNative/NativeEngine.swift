internal import CLinux
@preconcurrency internal import Dispatch
public import EngineAPI
internal import Foundation
internal import Glibc
internal import HostOS
public import Logging
internal import Schedules
internal import Synchronization
public import WorkloadModel

/// Runs containers on this host's kernel: one shim a run.
public final class NativeEngine: ContainerEngine {
    /// What the engine is called in the history.
    public static let name = "native"
    /// Always `native`.
    public var name: String { NativeEngine.name }
    /// Ends of runs as they happen, also of those whose shim is gone. For one reader.
    public let exits: AsyncStream<EngineExit>
    let exitSink: AsyncStream<EngineExit>.Continuation
    /// What gives containers their networks; without it they have a loopback interface only.
    public let networks: (any PlaceProvider)?
    let paths: EnginePaths
    let cgroups: CgroupHost
    let images: ImageStore
    let filters: SeccompFilters
    let disk: DiskGuard
    let quota: LayerQuota
    let ownFiles: OwnFiles
    /// Directories of the host that containers can write to, and could.
    let shared: SharedDirectories
    /// The capabilities that root has here, as the kernel's bit mask.
    let hostCapabilities: UInt64
    let log: Logger
    /// This boot of the host.
    public let bootID: String
    /// The shim's program, copied into memory and sealed: a container that gets hold of it cannot change it, and an upgrade
    /// on disk does not mix two releases.
    let program: Int32
    let shimErrors: Int32
    let shims: ForkServer
    let watches = Mutex<[RunID: Watch]>([:])
    /// Set-up is work for the kernel; more of it at once than this only waits there.
    let launches: OperationQueue
    let cleanups: OperationQueue
    /// The beginnings of probes.
    let probes: OperationQueue
    /// Copies into volumes, which may take long.
    let copies: OperationQueue
    let queue = DispatchQueue(label: "berth.exits")
    /// One copy into a volume at a time.
    let seeds = Turns<String>()

    /// Which volumes live runs have.
    let volumeUses = Mutex<[RunID: VolumeUse]>([:])
    /// Volumes that are being saved, restored or removed.
    let busyVolumes = Mutex<Set<String>>([])

    /// Runs whose shims are gone, or are told to stop and may go.
    let shimless = Mutex<[RunID: ShimlessRun]>([:])

    /// What all logs together may take of the disk, in bytes.
    let mostLogBytes: Int64

    /// A process whose end is the end of a run.
    struct Watch: Sendable {
        let pidfd: Int32
        let source: any DispatchSourceRead
        /// A shim's own end is an end that was written down; of a container without one it is not.
        let isShim: Bool
    }

    /// Makes ready what all runs share.
    ///
    /// - Throws: ``EngineError/host(_:)``
    /// - Parameters:
    ///   - diskFloor: bytes of the state disk that containers leave free; `nil` chooses by its size
    ///   - imageSeconds: of processor time, that bringing one image in may take
    ///   - keepImages: how long images stay that nothing needs any more
    ///   - mostLogBytes: what all logs together may take of the disk
    ///   - networks: makes what containers have of networks; `nil` for none but their own loopback interface
    public init(
        paths: EnginePaths, cgroupName: String, diskFloor: Int64? = nil, imageSeconds: Int = 1800, keepImages: Duration = .zero,
        mostLogBytes: Int64 = .max, networks: (any PlaceProvider)? = nil, log: Logger
    ) throws(EngineError) {
        self.networks = networks
        self.mostLogBytes = mostLogBytes
        self.paths = paths
        self.log = log
        (exits, exitSink) = AsyncStream.makeStream(of: EngineExit.self)
        bootID = HostProcess.bootID()
        do {
            for directory in [paths.runs, paths.logs, paths.scratch, paths.volumes, paths.images, paths.runQuarantine, paths.etc] {
                try HostFile.makeDirectories(directory)
            }
            cgroups = try CgroupHost.prepare(name: cgroupName)
            let bytes = try HostFile.bytes(paths.shim, limit: 64 << 20)
            program = bytes.withUnsafeBytes { clinux_sealed_file("berth-shim", $0.baseAddress, $0.count) }
            guard program >= 0 else { throw HostFile.Failure(path: paths.shim, action: "copy to memory", code: errno) }
            shimErrors = open("\(paths.runtime)/shim.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard shimErrors >= 0 else { throw HostFile.Failure(path: "\(paths.runtime)/shim.log", action: "open", code: errno) }
            try HostFile.replace("\(paths.etc)/hosts", with: "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n", mode: 0o644, durable: false)
            try HostFile.replace("\(paths.etc)/resolv.conf", with: "", mode: 0o644, durable: false)
        } catch { throw .host("\(error)") }
        shims = ForkServer(program: program, errors: shimErrors)
        disk = DiskGuard(directory: paths.state, runs: paths.runs, floor: diskFloor, cgroups: cgroups, log: log)
        quota = LayerQuota(directory: paths.scratch)
        // The folders in them too: each may be a link to a place elsewhere.
        ownFiles = try OwnFiles([paths.state, paths.runtime, paths.runs, paths.volumes, paths.images, paths.scratch, paths.logs, paths.runQuarantine])
        shared = SharedDirectories(file: "\(paths.state)/writable.json", quarantine: "\(paths.state)/quarantine", log: log)
        hostCapabilities = HostProcess.permittedCapabilities()
        disk.prepare()
        images = ImageStore(
            directory: paths.images, runDirectory: "\(paths.runtime)/images", processorSeconds: imageSeconds, keep: keepImages, disk: disk, cgroups: cgroups,
            log: log)
        filters = SeccompFilters(shimPath: paths.shim)
        launches = OperationQueue()
        launches.maxConcurrentOperationCount = max(2, 2 * ProcessInfo.processInfo.activeProcessorCount)
        launches.name = "berth.launches"
        cleanups = OperationQueue()
        cleanups.maxConcurrentOperationCount = 2
        cleanups.name = "berth.cleanups"
        probes = OperationQueue()
        probes.maxConcurrentOperationCount = 4
        probes.name = "berth.probes"
        copies = OperationQueue()
        copies.maxConcurrentOperationCount = 2
        copies.name = "berth.copies"
        keepRuntimeReserve()
        if !cgroups.missing.isEmpty {
            log.warning("cgroup controllers are missing", metadata: ["controllers": "\(cgroups.missing.joined(separator: " "))"])
        }
    }

    /// How many bytes the disk of a directory has; `nil` when it cannot be asked.
    public static func diskBytes(_ directory: String) -> Int64? { DiskSpace(of: directory)?.total.bytes }

    /// The most bytes of a directory's disk that containers can be told to leave free; `nil` when it cannot be asked.
    public static func mostDiskFloor(_ directory: String) -> Int64? { DiskSpace(of: directory).map { DiskLimits($0, .bytes, floor: .max).floor } }

    /// Checks what a container asks of this host, and brings its image into the store.
    ///
    /// - Returns: the image's digest, SHA-256 in hexadecimal; `nil` when the container has no image
    /// - Throws: ``EngineError/image(_:)`` when the image or the root directory cannot be had, ``EngineError/host(_:)`` for limits and capabilities that
    ///   the host cannot give, ``EngineError/sandbox(_:)`` for a mount's source
    @discardableResult
    public func prepare(
        _ container: ContainerSpec, pull: PullPolicy = .missing, progress: @escaping @Sendable (String) -> Void
    ) async throws(EngineError) -> String? {
        if case .directory(let path) = container.root, !HostFile.isDirectory(path) {
            throw .image("the root file system \(path) is not a directory")
        }
        try check(container)
        return if let image = container.image { try await images.bring(image, pull, progress: progress) } else { nil }
    }

    /// Refuses limits that would not hold: a container that takes all memory takes it from the others.
    func checkLimits(_ container: ContainerSpec) throws(EngineError) {
        if let problem = cgroups.problem(with: container.limits, container.tuning?.value) { throw .host(problem) }
        guard let tuning = container.tuning?.value else { return }
        if let missing = tuning.capabilitiesOfDevices.first {
            throw .host("this host gives no device of the kind '\(missing)' to containers: GPUs are not supported yet")
        }
        for device in tuning.devices { _ = try nodes(of: device) }
    }

    /// Lets the store remove images again that ``prepare(_:progress:)`` returned.
    public func release(_ images: [String]) { self.images.release(images) }

    /// The digest that the container's image has at its source now, SHA-256 in hexadecimal; `nil` when it has none.
    ///
    /// - Throws: ``EngineError/image(_:)`` when the source cannot be read, ``EngineError/host(_:)`` when skopeo cannot be run
    public func imageDigest(of container: ContainerSpec, pull: PullPolicy = .missing) async throws(EngineError) -> String? {
        if let image = container.image { try await images.digest(image, pull) } else { nil }
    }

    /// Keeps what the registry takes in a file of the state directory, which only root can read.
    ///
    /// - Throws: ``EngineError/image(_:)`` with the registry's own words
    public func signIn(_ registry: String, user: String, password: String) async throws(EngineError) {
        try await images.signIn(registry, user: user, password: password)
    }

    /// The images of the store, ascending by name.
    ///
    /// - Throws: ``EngineError/image(_:)`` when the store cannot be read
    public func imageList() async throws(EngineError) -> [StoredImageStatus] { try images.list() }

    /// The digest of the container's image in the store, SHA-256 in hexadecimal; `nil` when the container has no image or the store does not have it.
    public func readyImage(of container: ContainerSpec) -> String? { container.image.flatMap { try? images.image($0).id } }

    /// Removes images of the store that none of these containers and no run needs.
    ///
    /// - Parameters:
    ///   - which: those of them that are to go
    ///   - containers: asked before each removal; `nil` keeps the images
    /// - Returns: what was removed, ascending by name
    @discardableResult
    public func removeImages(_ which: ImageRemoval, except containers: @escaping @Sendable () async -> [ContainerSpec]?) async -> [StoredImageStatus] {
        await images.remove(which) { await containers().map { Set($0.compactMap(\.image)) } }
    }

    /// Refuses what a container asks for and cannot have.
    private func check(_ container: ContainerSpec) throws(EngineError) {
        try checkLimits(container)
        _ = try capabilities(of: container)
        try quota.check(container)
        guard container.namesHostPaths else { return }
        let binds = container.mounts.filter { if case .bind = $0.source { true } else { false } }
        let mounts = MountTable.read()
        let writable = shared.current(mounts)
        for file in container.files?.value ?? [] { if case .file(let path) = file.source { _ = try content(of: path, writable) } }
        for mount in binds {
            guard case .bind(let path) = mount.source else { continue }
            try makeSource(mount, path, writable)
            _ = try check(try HostPlace.open(path, writable: writable), container, mounts)
        }
    }

    /// Notes what these containers can write to of the host, makes their system call filters, and starts the fork server.
    public func share(_ containers: [ContainerSpec]) async {
        shims.begin()
        shared.note(containers.flatMap(\.writableDirectories))
        await makeFilters(for: containers)
    }

    /// A sentence for each thing about the state disk that people are to know; empty when all is well.
    public var notices: [String] { disk.notices + (networks?.notices ?? []) }

    /// The runs that are frozen because they fill the state disk: all of them, whenever that changes. For one reader.
    public var frozenRuns: AsyncStream<Set<RunID>> { disk.changes }

    /// Tells the run's shim to begin the stop sequence; of a run whose shim is gone, the engine carries it out itself.
    public func stop(_ run: RunID) async {
        disk.exempt(run)
        let directory = RunDirectory(path: paths.run(run))
        // A shim may end before it has done what it is told, or has ended and is found gone in a moment.
        if directory.facts != nil { shimless.withLock { $0[run, default: ShimlessRun()].isToStop = true } }
        if directory.isLocked, directory.tell("stop") { return }
        // No shim is there to carry a stop sequence out.
        stopWithoutShim(run, timedOut: false)
    }

    /// Removes the run's directory, control group and writable layer, and returns after that; what cannot be removed is logged. The run's log stays.
    public func settle(_ run: RunID) async {
        await withCheckedContinuation { continuation in
            cleanups.addOperation { [self] in
                let directory = RunDirectory(path: paths.run(run))
                shimless.withLock { $0[run] = nil }
                if HostFile.exists(directory.path) {
                    // The shim may still be removing the writable layer.
                    _ = directory.waitUntilUnlocked(milliseconds: 2000)
                    HostFile.removeFlat(directory.path)
                }
                FailPoint.recordRemoved.pass()
                keepRuntimeReserve()
                clean(run.description)
                continuation.resume()
            }
        }
        await networks?.leave(run)
        FailPoint.placeLeft.pass()
    }

    /// Space that is given up where the runtime directory's disk is full when a shim writes down how a run ended; made anew once there is room.
    func keepRuntimeReserve() {
        let path = "\(paths.runtime)/reserve"
        guard !HostFile.exists(path) else { return }
        let fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { return }
        if posix_fallocate(fd, 0, 1 << 20) != 0 { unlink(path) }
        close(fd)
    }

    /// Removes what a run may have left behind beside its directory.
    func clean(_ run: String) {
        if !cgroups.remove(run) { log.error("a control group cannot be removed", metadata: ["run": "\(run)"]) }
        let scratch = "\(paths.scratch)/\(run)"
        if HostFile.exists(scratch) { removeTree(scratch) }
        quota.release(scratch)
    }

    func removeTree(_ path: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: paths.shim)
        process.arguments = ["remove-tree", path]
        do {
            try process.run()
            process.waitUntilExit()
        } catch {
            log.error("a run's files cannot be removed", metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }

    /// The files of the run's log, in the order of their text, and what is missing between the first and the rest.
    public func log(of run: RunID, workload: WorkloadID) async -> RunLog {
        let base = paths.log(run, workload)
        var files = ["\(base).log"].filter(HostFile.exists)
        let directory = paths.logs(workload)
        let pieces = HostFile.names(in: directory).compactMap { name -> Int? in
            name.hasPrefix("\(run).log.") ? Int(name.dropFirst("\(run).log.".count)) : nil
        }
        files += pieces.sorted().map { "\(base).log.\($0)" }
        let dropped = (try? HostFile.text("\(base).dropped"))?.split(whereSeparator: \.isWhitespace).compactMap { Int64($0) } ?? []
        return RunLog(files: files, droppedBytes: dropped.first ?? 0, droppedLines: dropped.count > 1 ? dropped[1] : 0)
    }

    /// Removes the logs of these runs, and log directories that are empty then.
    public func forget(_ runs: [(RunID, WorkloadID)]) async {
        let byDirectory = Dictionary(grouping: runs) { paths.logs($0.1) }.mapValues { Set($0.map(\.0.description)) }
        await withCheckedContinuation { continuation in
            cleanups.addOperation {
                for (directory, gone) in byDirectory {
                    // A run's files begin with its id.
                    for name in HostFile.names(in: directory) where gone.contains(String(name.prefix(16))) { unlink("\(directory)/\(name)") }
                    rmdir(directory)
                }
                continuation.resume()
            }
        }
    }

    /// Thaws the runs that this engine froze, for a daemon that ends and leaves them running.
    public func thawAll() { disk.thawAll() }

    /// Removes Berth's own control groups, when nothing is in them; the next start makes them again.
    public func removeGroups() { cgroups.removeOwn() }
}
