internal import Dispatch
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Synchronization
internal import WorkloadModel

/// Keeps the state disk from being filled by containers, so that the history can be written and jobs go on.
///
/// When its free space falls below a floor, the containers that took it of late are frozen: they are not stopped, and write no
/// more. They go on by themselves once there is space again, or when they are to end; until then they are named. (QEMU pauses
/// a virtual machine in the same way when its disk's storage is full.)
///
/// Who took it is seen by comparing with an earlier look, which is taken while the space runs low. A container that is large
/// and does not grow is left alone, and so are all when it is none of them that takes the space.
final class DiskGuard: Sendable {
    /// A run, and where it can write on the state disk.
    private struct Entry {
        let workload: String
        let paths: [String]
    }

    /// All runs at one time.
    private struct Look {
        let free: Int64
        let at: ContinuousClock.Instant
        let use: DiskUse
    }

    private struct State {
        var runs: [RunID: Entry] = [:]
        var frozen: [RunID: Frozen] = [:]
        /// Runs whose processes this guard holds, those among them that are only looked at.
        var halted: Set<RunID> = []
        /// Runs that are to end, and are not frozen until then.
        var leaving: [RunID: ContinuousClock.Instant] = [:]
        /// What is compared with; the earlier of two, and `nil` while there is space enough.
        var earlier: Look?
        var later: Look?
        /// The free space at the last judgement.
        var judged: Int64?
        var isWatching = false
    }

    private struct Frozen {
        let workload: String
        let grown: Int64
        /// The signals that waited for its processes when all had come to a halt; `nil` until then.
        var waiting: [pid_t: UInt64]?
    }

    private let directory: String
    /// Where the runs' facts are, below directories of their own.
    private let runsDirectory: String
    private let cgroups: CgroupHost
    private let log: Logger
    private let floorOverride: Int64?
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "berth.disk", qos: .userInitiated)
    /// The runs that are frozen, whenever that changes. For one reader.
    let changes: AsyncStream<Set<RunID>>
    private let changeSink: AsyncStream<Set<RunID>>.Continuation

    /// - Parameters:
    ///   - directory: on the disk that is watched
    ///   - runs: where each run has a directory
    ///   - floor: bytes that stay free; `nil` chooses by the disk's size
    init(directory: String, runs: String, floor: Int64?, cgroups: CgroupHost, log: Logger) {
        self.directory = directory
        self.cgroups = cgroups
        self.log = log
        runsDirectory = runs
        floorOverride = floor
        (changes, changeSink) = AsyncStream.makeStream(of: Set<RunID>.self, bufferingPolicy: .bufferingNewest(1))
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

    /// - Parameter paths: directories and files on the state disk that the run can write to
    func add(_ run: RunID, workload: String, paths: [String]) {
        let start = state.withLock { state in
            state.runs[run] = Entry(workload: workload, paths: paths)
            defer { state.isWatching = true }
            return !state.isWatching
        }
        if start { queue.async { [self] in look(last: nil, pause: 250) } }
    }

    /// Of a run that an earlier daemon started: one that it froze goes on, and is looked at anew.
    func takeUp(_ run: RunID, workload: String, paths: [String]) {
        if HostFile.exists(mark(run)) { thaw(run) }
        add(run, workload: workload, paths: paths)
    }

    func remove(_ run: RunID) {
        let frozen = state.withLock { state in
            state.runs[run] = nil
            state.leaving[run] = nil
            state.halted.remove(run)
            return state.frozen.removeValue(forKey: run) != nil
        }
        if frozen { tell() }
    }

    /// A run is to end: it goes on, so that it can end as it likes.
    func letGo(_ run: RunID) {
        let frozen = state.withLock { state in
            guard state.runs[run] != nil else { return false }
            state.leaving[run] = .now
            return state.frozen.removeValue(forKey: run) != nil
        }
        guard frozen else { return }
        thaw(run)
        tell()
    }

    /// The daemon goes, and its containers stay: nobody would let them go on.
    func letAllGo() {
        let frozen = state.withLock { state in
            defer { state.frozen = [:] }
            state.runs = [:]
            return state.frozen
        }
        for run in frozen.keys { thaw(run) }
    }

    /// Refuses what would need space that is not there.
    func check() throws(EngineError) {
        guard let space = DiskGuard.space(of: directory) else { return }
        let least = floor(space) / 4
        guard space.free < least else { return }
        let names = state.withLock { $0.frozen.map { DiskGuard.words($0.key, $0.value) } }
        throw .host(
            "the disk of \(directory) has only \(ByteText.text(space.free)) free"
                + (names.isEmpty ? "; nothing is started until there is more" : "; it is taken by \(names.sorted().joined(separator: ", "))"))
    }

    /// Refuses to bring in what would take the disk below its floor.
    ///
    /// - Parameter what: what is brought in, in words
    func checkRoom(_ what: String) throws(EngineError) {
        guard let space = DiskGuard.space(of: directory), space.free < floor(space) else { return }
        throw .image(
            "\(what) is not brought in: the disk of \(directory) has only \(ByteText.text(space.free)) free, and \(ByteText.text(floor(space))) are kept for the history"
        )
    }

    /// What there is to say to people; empty when all is well.
    var notices: [String] {
        let frozen = state.withLock { $0.frozen }
        var notices = frozen.sorted { ($0.value.workload, $0.key) < ($1.value.workload, $1.key) }.map {
            "\(DiskGuard.words($0.key, $0.value)) fills the disk of \(directory), and is frozen until there is space: stop it, or free some"
        }
        if frozen.isEmpty, let space = DiskGuard.space(of: directory), space.free < floor(space) {
            notices.append("the disk of \(directory) has only \(ByteText.text(space.free)) free, and no container is seen to take it")
        }
        return notices
    }

    private func floor(_ space: Space) -> Int64 { floorOverride ?? DiskGuard.floor(total: space.total) }

    private static func words(_ run: RunID, _ use: Frozen) -> String { "\(use.workload) (run \(run), \(ByteText.text(use.grown)) of late)" }

    // MARK: Looking

    /// How often is a matter of how fast the space goes: a disk takes some 2 GB in a second, and the floor is 128 MiB or more.
    private func look(last: Int64?, pause: Int) {
        let isOver = state.withLock { state in
            guard state.runs.isEmpty else { return false }
            state.isWatching = false
            (state.earlier, state.later, state.judged) = (nil, nil, nil)
            return true
        }
        if isOver { return }
        var isMoving = false
        let space = DiskGuard.space(of: directory)
        if let space {
            let floor = floor(space)
            endThoseToldTo()
            if space.free > floor * 3 {
                state.withLock { ($0.earlier, $0.later, $0.judged) = (nil, nil, nil) }
            } else {
                remember(space.free)
            }
            if space.free < floor { judge(space.free, floor) } else if space.free > floor + floor / 4 { release() }
            isMoving = space.free < floor * 8 && abs(space.free - (last ?? space.free)) > 256 << 10
        }
        let next = isMoving ? 10 : min(250, pause * 2)
        queue.asyncAfter(deadline: .now() + .milliseconds(next)) { [self] in look(last: space?.free, pause: next) }
    }

    /// Looks at all runs when the space begins to run low, and every minute from then on; who grew is judged over the last one
    /// to two minutes.
    private func remember(_ free: Int64) {
        let (earlier, later) = state.withLock { ($0.earlier, $0.later) }
        if let last = later ?? earlier, .now - last.at < .seconds(60) { return }
        guard let use = use(state.withLock { $0.runs }) else { return }
        let look = Look(free: free, at: .now, use: use)
        state.withLock { state in
            if state.earlier == nil { state.earlier = look } else { (state.earlier, state.later) = (state.later ?? state.earlier, look) }
        }
    }

    private func use(_ runs: [RunID: Entry]) -> DiskUse? {
        guard let device = FileIdentity(path: directory)?.device else { return nil }
        return DiskUse(runs.mapValues(\.paths), on: device) { cgroups.processes(of: $0) }
    }

    /// Freezes who took the space.
    private func judge(_ free: Int64, _ floor: Int64) {
        let (all, runs, base, judged) = state.withLock { state in
            state.leaving = state.leaving.filter { .now - $0.value < .seconds(60) }
            return (state.runs, state.runs.filter { state.frozen[$0.key] == nil && state.leaving[$0.key] == nil }, state.earlier, state.judged)
        }
        // Not again before more of it is gone: who took it is frozen, or is none of ours.
        guard let base, !runs.isEmpty, free < (judged ?? base.free) - (1 << 20) else { return }
        // With little left there is no time: all wait until it is known who it is.
        let isPressing = free < floor / 2
        if isPressing { for run in runs.keys { freeze(run) } }
        // Those that are frozen or leave have their share in what a place grew, too.
        let growth = (use(all)?.growth(since: base.use) ?? [:]).filter { runs[$0.key] != nil }
        let guilty = DiskGuard.guilty(growth)
        for run in runs.keys where !guilty.contains(run) && isPressing { thaw(run) }
        let held = state.withLock { state in
            state.judged = free
            let held = guilty.filter { state.runs[$0] != nil && state.leaving[$0] == nil }
            for run in held { state.frozen[run] = Frozen(workload: runs[run]?.workload ?? "?", grown: growth[run] ?? 0) }
            return held
        }
        for run in guilty.subtracting(held) { thaw(run) }
        guard !held.isEmpty else { return }
        for run in held {
            freeze(run)
            log.error(
                "a container fills the state disk; it is frozen until there is space",
                metadata: [
                    "workload": "\(runs[run]?.workload ?? "?")", "run": "\(run)", "grown": "\(growth[run] ?? 0)", "free": "\(free)", "disk": "\(directory)",
                ])
        }
        tell()
    }

    /// Who took the space: of those that grew, the largest that together are more than half of it.
    static func guilty(_ growth: [RunID: Int64]) -> Set<RunID> {
        let grown = growth.filter { $0.value > 256 << 10 }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let sum = grown.reduce(0) { $0 + $1.value }
        var found: Set<RunID> = []
        var counted: Int64 = 0
        for (run, bytes) in grown where counted * 2 <= sum {
            found.insert(run)
            counted += bytes
        }
        return found
    }

    /// A frozen process that somebody sends a signal to is to end, or to be told something: it goes on. Stops by the shim at a
    /// run's time limit come in this way, and those of people; with control groups of version 1 even a kill waits for it. What a
    /// container sent to itself before it was frozen does not count.
    private func endThoseToldTo() {
        for (run, frozen) in state.withLock({ $0.frozen }) where cgroups.hasHalted(run) {
            let waiting = cgroups.processes(of: run).reduce(into: [pid_t: UInt64]()) { $0[$1] = HostProcess.pendingSignals($1) & DiskGuard.ending }
            guard let before = frozen.waiting else {
                state.withLock { $0.frozen[run]?.waiting = waiting }
                continue
            }
            if waiting.contains(where: { $0.value & ~(before[$0.key] ?? 0) != 0 }) { letGo(run) }
        }
    }

    /// Signals that people and stop sequences send, as the kernel's bit mask; timers and children's ends are none.
    private static let ending: UInt64 = {
        var mask = [SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH].reduce(UInt64(0)) { $0 | 1 << UInt64($1 - 1) }
        // systemd as a container's first process ends by SIGRTMIN+3.
        mask |= 1 << UInt64(34 + 3 - 1)
        return mask
    }()

    private func release() {
        let frozen = state.withLock { state in
            defer {
                state.frozen = [:]
                state.judged = nil
            }
            return state.frozen
        }
        guard !frozen.isEmpty else { return }
        for (run, use) in frozen {
            thaw(run)
            log.notice("there is space again; the container goes on", metadata: ["workload": "\(use.workload)", "run": "\(run)"])
        }
        tell()
    }

    private func tell() { changeSink.yield(state.withLock { Set($0.frozen.keys) }) }

    // MARK: Freezing

    /// Says that it is this guard which froze a run; one that an admin froze is not thawed.
    private func mark(_ run: RunID) -> String { "\(runsDirectory)/\(run)/frozen" }

    private func freeze(_ run: RunID) {
        if !HostFile.exists(mark(run)) {
            if cgroups.isFrozen(run) { return }
            try? HostFile.replace(mark(run), with: "", durable: false)
        }
        state.withLock { _ = $0.halted.insert(run) }
        cgroups.freeze(run, true)
    }

    private func thaw(_ run: RunID) {
        let isHeld = state.withLock { $0.halted.remove(run) != nil }
        guard isHeld || HostFile.exists(mark(run)) else { return }
        cgroups.freeze(run, false)
        unlink(mark(run))
    }
}
