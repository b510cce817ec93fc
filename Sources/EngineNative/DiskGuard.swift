internal import Dispatch
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Synchronization
internal import WorkloadModel

/// Keeps the state disk from being filled by containers, so that the history can be written and jobs go on.
///
/// When its free space falls below a floor, the containers whose writable layers or volumes take it are frozen: they are not
/// stopped, and write no more. They go on by themselves once there is space again; until then they are named. (QEMU pauses a
/// virtual machine in the same way when its disk's storage is full.)
final class DiskGuard: Sendable {
    /// What takes space: a run's writable layer, and the volumes that it can write to.
    struct Use: Sendable {
        let run: RunID
        let workload: String
        let bytes: Int64
    }

    private struct State {
        var runs: [RunID: (workload: String, paths: [String])] = [:]
        var frozen: [RunID: Use] = [:]
        var last: [RunID: Int64] = [:]
        /// The free space when somebody was last looked for; `nil` when there was enough since.
        var lookedAt: Int64?
        var isWatching = false
    }

    private let directory: String
    private let cgroups: CgroupHost
    private let log: Logger
    private let floorOverride: Int64?
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "berth.disk", qos: .userInitiated)

    /// - Parameters:
    ///   - directory: on the disk that is watched
    ///   - floor: bytes that stay free; `nil` chooses by the disk's size
    init(directory: String, floor: Int64?, cgroups: CgroupHost, log: Logger) {
        self.directory = directory
        self.cgroups = cgroups
        self.log = log
        floorOverride = floor
    }

    struct Space: Sendable {
        let free: Int64
        let total: Int64
    }

    /// `nil` when the disk cannot be asked.
    static func space(of directory: String) -> Space? {
        var info = statvfs()
        guard statvfs(directory, &info) == 0 else { return nil }
        return Space(free: Int64(info.f_bavail) * Int64(info.f_frsize), total: Int64(info.f_blocks) * Int64(info.f_frsize))
    }

    /// A twentieth of the disk, at least 128 MiB and at most 1 GiB, and never more than a quarter.
    static func floor(total: Int64) -> Int64 { min(total / 4, max(128 << 20, min(1 << 30, total / 20))) }

    // MARK: Runs come and go

    /// - Parameter paths: directories on the state disk that the run can write to
    func add(_ run: RunID, workload: String, paths: [String]) {
        let start = state.withLock { state in
            state.runs[run] = (workload, paths)
            defer { state.isWatching = true }
            return !state.isWatching
        }
        if start { queue.async { [self] in look() } }
    }

    func remove(_ run: RunID) {
        state.withLock { state in
            state.runs[run] = nil
            state.frozen[run] = nil
            state.last[run] = nil
        }
    }

    /// Refuses what would need space that is not there.
    func check() throws(EngineError) {
        guard let space = DiskGuard.space(of: directory) else { return }
        let least = (floorOverride ?? DiskGuard.floor(total: space.total)) / 4
        guard space.free < least else { return }
        let names = state.withLock { $0.frozen.values.map(DiskGuard.words) }
        throw .host(
            "the disk of \(directory) has only \(ByteText.text(space.free)) free"
                + (names.isEmpty ? "; nothing is started until there is more" : "; it is taken by \(names.sorted().joined(separator: ", "))"))
    }

    /// What there is to say to people; empty when all is well.
    var notices: [String] {
        state.withLock { state in
            state.frozen.values.sorted { $0.workload < $1.workload }.map {
                "\(DiskGuard.words($0)) fills the disk of \(directory), and is frozen until there is space: stop it, or free some"
            }
        }
    }

    private static func words(_ use: Use) -> String { "\(use.workload) (run \(use.run), \(ByteText.text(use.bytes)))" }

    // MARK: Looking

    private func look() {
        guard state.withLock({ !$0.runs.isEmpty }) else {
            state.withLock { $0.isWatching = false }
            return
        }
        var pause = 250
        if let space = DiskGuard.space(of: directory) {
            let floor = floorOverride ?? DiskGuard.floor(total: space.total)
            if space.free < floor { hold(space.free) } else if space.free > floor + floor / 4 { release() }
            // Near the floor a fast writer would be past it before the next look.
            if space.free < floor * 8 { pause = space.free < floor * 3 ? 5 : 25 }
        }
        queue.asyncAfter(deadline: .now() + .milliseconds(pause)) { [self] in look() }
    }

    /// Freezes all, looks who takes the space, and lets the others go on.
    private func hold(_ free: Int64) {
        let (runs, last, lookedAt) = state.withLock { state in
            (state.runs.filter { state.frozen[$0.key] == nil }, state.last, state.lookedAt)
        }
        // Nobody is held up again before more of it is gone: who took it is frozen, or is none of ours.
        if let lookedAt, free > lookedAt - (1 << 20) { return }
        guard !runs.isEmpty else { return }
        for run in runs.keys { cgroups.freeze(run, true) }
        let uses = runs.map { run, entry in Use(run: run, workload: entry.workload, bytes: entry.paths.reduce(0) { $0 + DiskUse.bytes(below: $1) }) }
        let guilty = DiskGuard.guilty(uses, last)
        for use in uses where !guilty.contains(use.run) { cgroups.freeze(use.run, false) }
        state.withLock { state in
            state.last = Dictionary(uses.map { ($0.run, $0.bytes) }, uniquingKeysWith: max)
            state.lookedAt = free
            for use in uses where guilty.contains(use.run) && state.runs[use.run] != nil { state.frozen[use.run] = use }
        }
        for use in uses where guilty.contains(use.run) {
            log.error(
                "a container fills the state disk; it is frozen until there is space",
                metadata: ["workload": "\(use.workload)", "run": "\(use.run)", "bytes": "\(use.bytes)", "free": "\(free)", "disk": "\(directory)"])
        }
    }

    /// Who took the space: those that grew since the last look; at the first look the one that has most.
    static func guilty(_ uses: [Use], _ last: [RunID: Int64]) -> Set<RunID> {
        let grown = uses.filter { use in last[use.run].map { use.bytes - $0 > 1 << 20 } ?? false }
        if !grown.isEmpty { return Set(grown.map(\.run)) }
        guard let largest = uses.max(by: { $0.bytes < $1.bytes }), largest.bytes > 4 << 20 else { return [] }
        return [largest.run]
    }

    private func release() {
        let frozen = state.withLock { state in
            defer {
                state.frozen = [:]
                state.last = [:]
                state.lookedAt = nil
            }
            return state.frozen
        }
        for (run, use) in frozen {
            cgroups.freeze(run, false)
            log.notice("there is space again; the container goes on", metadata: ["workload": "\(use.workload)", "run": "\(run)"])
        }
    }
}

/// Space that files take.
enum DiskUse {
    /// The most entries that are counted.
    private static let most = 200_000

    /// Bytes of disk below a directory; of what is counted, when it is very much. Links are not followed.
    static func bytes(below path: String) -> Int64 {
        var sum: Int64 = 0
        var left = most
        var pending = [open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)]
        while let fd = pending.popLast() {
            guard fd >= 0 else { continue }
            guard let stream = fdopendir(fd) else {
                close(fd)
                continue
            }
            defer { closedir(stream) }
            while left > 0, let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
                if name == "." || name == ".." { continue }
                left -= 1
                var info = stat()
                guard fstatat(dirfd(stream), name, &info, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
                sum += Int64(info.st_blocks) * 512
                // Directories wait open; of more than some hundred only the files beside them count.
                if info.st_mode & S_IFMT == S_IFDIR, pending.count < 256 {
                    pending.append(openat(dirfd(stream), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
                }
            }
        }
        return sum
    }
}

/// Sizes in words.
enum ByteText {
    static func text(_ bytes: Int64) -> String {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] as [(String, Int64)]
        for (name, size) in units where bytes >= size {
            let tenths = bytes * 10 / size
            return "\(tenths / 10).\(tenths % 10) \(name)"
        }
        return "\(bytes) bytes"
    }
}
