internal import Dispatch
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Synchronization
internal import WorkloadModel

/// Keeps the state disk from being filled by containers, so that the history can be written and jobs go on.
///
/// When the free space falls below a floor, the runs that grew most in the last one to two minutes are frozen: they are not
/// stopped, and write no more. They are thawed when there is space again, when they are stopped, and when the daemon ends; until
/// then they are named. (QEMU pauses a virtual machine in the same way when its disk's storage is full.)
///
/// Growth is the difference between two samples of what each run takes. Samples are taken only while the free space is below
/// three floors: a run that takes the space faster than that is not found. A large run that does not grow is not frozen, and none
/// is when the space goes to something outside of the runs.
final class DiskGuard: Sendable {
    /// A run, and where it can write on the state disk.
    private struct Entry {
        let workload: String
        let paths: [String]
    }

    /// What all runs took at one time.
    private struct Sample {
        let free: Int64
        let at: ContinuousClock.Instant
        let use: DiskUse
    }

    private struct State {
        var runs: [RunID: Entry] = [:]
        var frozen: [RunID: Frozen] = [:]
        /// Runs that were told to end, and when: they are not frozen for ``DiskGuard/exemption``.
        var exempted: [RunID: ContinuousClock.Instant] = [:]
        /// The sample that growth is measured from; `nil` while there is space enough.
        var earlier: Sample?
        /// The sample that takes its place a minute later.
        var later: Sample?
        /// The free space when growth was last measured below the floor.
        var freeWhenMeasured: Int64?
        /// Whether the timer runs.
        var isWatching = false
    }

    private struct Frozen {
        let workload: String
        let grown: Int64
        /// The signals that were pending for its processes when all were frozen; `nil` before that.
        var pending: [pid_t: UInt64]?
    }

    private let directory: String
    private let freezer: RunFreezer
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
        freezer = RunFreezer(directory: runs, cgroups: cgroups)
        floorOverride = floor
        (changes, changeSink) = AsyncStream.makeStream(of: Set<RunID>.self, bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: Runs come and go

    /// - Parameter paths: directories and files on the state disk that the run can write to
    func add(_ run: RunID, workload: String, paths: [String]) {
        let start = state.withLock { state in
            state.runs[run] = Entry(workload: workload, paths: paths)
            defer { state.isWatching = true }
            return !state.isWatching
        }
        if start { queue.async { [self] in check(last: nil, pause: 250) } }
    }

    /// Adds a run that an earlier daemon started, and thaws it when that daemon froze it.
    func adopt(_ run: RunID, workload: String, paths: [String]) {
        freezer.thaw(run)
        add(run, workload: workload, paths: paths)
    }

    func remove(_ run: RunID) {
        let frozen = state.withLock { state in
            state.runs[run] = nil
            state.exempted[run] = nil
            return state.frozen.removeValue(forKey: run) != nil
        }
        freezer.forget(run)
        if frozen { report() }
    }

    /// Thaws a run that is told to end, so that it can end in its own way, and does not freeze it again meanwhile.
    func exempt(_ run: RunID) {
        let frozen = state.withLock { state in
            guard state.runs[run] != nil else { return false }
            state.exempted[run] = .now
            return state.frozen.removeValue(forKey: run) != nil
        }
        guard frozen else { return }
        freezer.thaw(run)
        report()
    }

    /// Thaws all runs, for a daemon that ends and leaves them running.
    func thawAll() {
        let frozen = state.withLock { state in
            defer { state.frozen = [:] }
            state.runs = [:]
            return state.frozen
        }
        for run in frozen.keys { freezer.thaw(run) }
    }

    /// Refuses a launch when the free space is below a quarter of the floor.
    func checkForLaunch() throws(EngineError) {
        guard let space = DiskSpace(of: directory) else { return }
        let least = floor(space) / 4
        guard space.free < least else { return }
        let names = state.withLock { $0.frozen.map { DiskGuard.words($0.key, $0.value) } }
        throw .host(
            "the disk of \(directory) has only \(ByteText.text(space.free)) free"
                + (names.isEmpty ? "; nothing is started until there is more" : "; it is taken by \(names.sorted().joined(separator: ", "))"))
    }

    /// Refuses to bring in more when the free space is below the floor.
    ///
    /// - Parameter what: what is brought in, for the message
    func checkForImport(_ what: String) throws(EngineError) {
        guard let space = DiskSpace(of: directory), space.free < floor(space) else { return }
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
        if frozen.isEmpty, let space = DiskSpace(of: directory), space.free < floor(space) {
            notices.append("the disk of \(directory) has only \(ByteText.text(space.free)) free, and no container is seen to take it")
        }
        return notices
    }

    private func floor(_ space: DiskSpace) -> Int64 { floorOverride ?? space.usualFloor }

    private static func words(_ run: RunID, _ use: Frozen) -> String { "\(use.workload) (run \(run), \(ByteText.text(use.grown)) of late)" }

    // MARK: Watching

    /// How long a run that was told to end is not frozen.
    private static let exemption = Duration.seconds(60)

    /// Looks at the free space, and asks for the next look: in 10 ms while the space changes and is low, else in up to 250 ms.
    ///
    /// - Parameters:
    ///   - last: the free space at the last look
    ///   - pause: how long that was ago, in milliseconds
    private func check(last: Int64?, pause: Int) {
        let isOver = state.withLock { state in
            guard state.runs.isEmpty else { return false }
            state.isWatching = false
            (state.earlier, state.later, state.freeWhenMeasured) = (nil, nil, nil)
            return true
        }
        if isOver { return }
        var isMoving = false
        let space = DiskSpace(of: directory)
        if let space {
            let floor = floor(space)
            exemptSignalled()
            if space.free > floor * 3 {
                state.withLock { ($0.earlier, $0.later, $0.freeWhenMeasured) = (nil, nil, nil) }
            } else {
                sample(space.free)
            }
            if space.free < floor { freezeGrowing(space.free, floor) } else if space.free > floor + floor / 4 { thawForSpace() }
            isMoving = space.free < floor * 8 && abs(space.free - (last ?? space.free)) > 256 << 10
        }
        let next = isMoving ? 10 : min(250, pause * 2)
        queue.asyncAfter(deadline: .now() + .milliseconds(next)) { [self] in check(last: space?.free, pause: next) }
    }

    /// Takes a sample when the space begins to run low, and every minute from then on, so that growth is measured over the last
    /// one to two minutes.
    private func sample(_ free: Int64) {
        let (earlier, later) = state.withLock { ($0.earlier, $0.later) }
        if let last = later ?? earlier, .now - last.at < .seconds(60) { return }
        guard let use = use(state.withLock { $0.runs }) else { return }
        let sample = Sample(free: free, at: .now, use: use)
        state.withLock { state in
            if state.earlier == nil { state.earlier = sample } else { (state.earlier, state.later) = (state.later ?? state.earlier, sample) }
        }
    }

    private func use(_ runs: [RunID: Entry]) -> DiskUse? {
        guard let device = FileIdentity(path: directory)?.device else { return nil }
        return DiskUse(runs.mapValues(\.paths), on: device) { cgroups.processes(of: $0) }
    }

    /// Freezes the runs that grew most.
    private func freezeGrowing(_ free: Int64, _ floor: Int64) {
        let (all, runs, base, measured) = state.withLock { state in
            state.exempted = state.exempted.filter { .now - $0.value < DiskGuard.exemption }
            return (state.runs, state.runs.filter { state.frozen[$0.key] == nil && state.exempted[$0.key] == nil }, state.earlier, state.freeWhenMeasured)
        }
        // Only once another mebibyte is gone: otherwise the runs that took the space are frozen already, or it is not a run.
        guard let base, !runs.isEmpty, free < (measured ?? base.free) - (1 << 20) else { return }
        // Below half of the floor, measuring may take longer than the space lasts: all are frozen until it is done.
        let isPressing = free < floor / 2
        if isPressing { for run in runs.keys { freezer.freeze(run) } }
        // Frozen and exempted runs are measured too: what they wrote to a shared place is not put down to others.
        let growth = (use(all)?.growth(since: base.use) ?? [:]).filter { runs[$0.key] != nil }
        let largest = DiskUse.largestGrowths(growth)
        for run in runs.keys where !largest.contains(run) && isPressing { freezer.thaw(run) }
        // Runs may have ended, or have been told to end, meanwhile.
        let chosen = state.withLock { state in
            state.freeWhenMeasured = free
            let chosen = largest.filter { state.runs[$0] != nil && state.exempted[$0] == nil }
            for run in chosen { state.frozen[run] = Frozen(workload: runs[run]?.workload ?? "?", grown: growth[run] ?? 0) }
            return chosen
        }
        for run in largest.subtracting(chosen) { freezer.thaw(run) }
        guard !chosen.isEmpty else { return }
        for run in chosen {
            freezer.freeze(run)
            log.error(
                "a container fills the state disk; it is frozen until there is space",
                metadata: [
                    "workload": "\(runs[run]?.workload ?? "?")", "run": "\(run)", "grown": "\(growth[run] ?? 0)", "free": "\(free)", "disk": "\(directory)",
                ])
        }
        report()
    }

    /// Exempts runs that were sent a signal while they were frozen: the shim stops a run so at its time limit, and people may do
    /// so by hand. With control groups of version 1 even SIGKILL waits for the thaw. Signals that were pending before the freeze
    /// do not count.
    private func exemptSignalled() {
        for (run, frozen) in state.withLock({ $0.frozen }) where cgroups.hasHalted(run) {
            let pending = cgroups.processes(of: run).reduce(into: [pid_t: UInt64]()) { $0[$1] = HostProcess.pendingSignals($1) & DiskGuard.stopSignals }
            guard let before = frozen.pending else {
                state.withLock { $0.frozen[run]?.pending = pending }
                continue
            }
            if pending.contains(where: { $0.value & ~(before[$0.key] ?? 0) != 0 }) { exempt(run) }
        }
    }

    /// Signals that stop sequences and people send, as the kernel's bit mask.
    private static let stopSignals: UInt64 = {
        var mask = [SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH].reduce(UInt64(0)) { $0 | 1 << UInt64($1 - 1) }
        // systemd as a container's first process ends by SIGRTMIN+3.
        mask |= 1 << UInt64(34 + 3 - 1)
        return mask
    }()

    private func thawForSpace() {
        let frozen = state.withLock { state in
            defer {
                state.frozen = [:]
                state.freeWhenMeasured = nil
            }
            return state.frozen
        }
        guard !frozen.isEmpty else { return }
        for (run, use) in frozen {
            freezer.thaw(run)
            log.notice("there is space again; the container goes on", metadata: ["workload": "\(use.workload)", "run": "\(run)"])
        }
        report()
    }

    private func report() { changeSink.yield(state.withLock { Set($0.frozen.keys) }) }
}
