internal import Dispatch
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Synchronization
internal import WorkloadModel

/// Keeps the state disk from being filled by containers, so that the history can be written and jobs go on.
///
/// When the free space falls below a floor, the runs that take it are frozen: they are not stopped, and write no more. They are
/// thawed when there is space again, when they are stopped, and when the daemon ends; until then they are named. (QEMU pauses a
/// virtual machine in the same way when its disk's storage is full.) A reserve below the floor is out of the reach of a container
/// that takes all at once.
///
/// Nobody is frozen by guess. What a run took, in places that it alone can write to, is measured against an earlier measurement, and
/// counts only when all that is measured explains at least half of what is gone. Otherwise, below three quarters of the floor, the runs go
/// on in turns (``DiskTrial``), and those are frozen in whose turns the space goes. Large runs that do not grow are not frozen, and none is when something outside of the runs takes the space.
final class DiskGuard: Sendable {
    /// A run, and where it can write on the state disk.
    struct Entry {
        let workload: String
        let paths: [String]
        /// Whether its command runs. While it is set up, it is not frozen: the launch would wait.
        var hasStarted = false
    }

    /// What all runs took at one time.
    struct Sample {
        /// Free space with the reserve, in bytes.
        var free: Int64
        let at: ContinuousClock.Instant
        /// How long it took to measure.
        let cost: Duration
        var use: DiskUse
    }

    struct Frozen {
        let workload: String
        /// What it took of late, in bytes; `nil` when that is not known.
        let grown: Int64?
    }

    struct State {
        var runs: [RunID: Entry] = [:]
        var frozen: [RunID: Frozen] = [:]
        /// The sample that growth is measured from, and the one that takes its place a minute later.
        var earlier: Sample?
        var later: Sample?
        /// The free space when takers were last looked for, or the most since then.
        var freeWhenJudged: Int64?
        /// Before it, takers are not looked for again.
        var nextJudgement: ContinuousClock.Instant?
        /// How much more space has to go before takers are looked for again.
        var step: Int64 = DiskGuard.smallestStep
        /// Runs that were told to end: they are frozen only when there is hardly any space left.
        var ending: Set<RunID> = []
        /// The file system keeps no space for a file.
        var hasNoReserve = false
        /// Whether the timer runs.
        var isWatching = false
        /// The daemon ends: nothing is frozen any more.
        var isLeaving = false
    }

    static let smallestStep: Int64 = 1 << 20

    let directory: String
    let runs: String
    let freezer: RunFreezer
    let cgroups: CgroupHost
    let log: Logger
    let reserve: DiskReserve
    private let floor: Int64?
    let state = Mutex(State())
    let queue = DispatchQueue(label: "berth.disk", qos: .userInitiated)
    /// The runs that are frozen, whenever that changes. For one reader.
    let changes: AsyncStream<Set<RunID>>
    private let changeSink: AsyncStream<Set<RunID>>.Continuation

    /// - Parameters:
    ///   - directory: on the disk that is watched; the reserve is made in it
    ///   - runs: where each run has a directory
    ///   - floor: bytes that stay free; `nil` chooses by the disk's size
    init(directory: String, runs: String, floor: Int64?, cgroups: CgroupHost, log: Logger) {
        self.directory = directory
        self.runs = runs
        self.cgroups = cgroups
        self.log = log
        self.floor = floor
        freezer = RunFreezer(directory: runs, cgroups: cgroups)
        reserve = DiskReserve(file: "\(directory)/reserve")
        (changes, changeSink) = AsyncStream.makeStream(of: Set<RunID>.self, bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: Runs come and go

    /// - Parameters:
    ///   - paths: directories and files on the state disk that the run can write to
    ///   - empty: those of them in which nothing is yet
    func add(_ run: RunID, workload: String, paths: [String], empty: [String]) {
        let start = state.withLock { state in
            state.runs[run] = Entry(workload: workload, paths: paths)
            state.earlier?.use.add(run, paths: paths, empty: empty)
            state.later?.use.add(run, paths: paths, empty: empty)
            defer { state.isWatching = true }
            return !state.isWatching
        }
        if start { queue.async { [self] in look(last: nil, pause: 250) } }
    }

    /// A run that was added goes on to its command.
    func started(_ run: RunID) { state.withLock { $0.runs[run]?.hasStarted = true } }

    /// Adds a run that an earlier daemon started, and thaws it when that daemon froze it.
    func adopt(_ run: RunID, workload: String, paths: [String]) {
        freezer.thaw(run)
        add(run, workload: workload, paths: paths, empty: [])
        started(run)
    }

    func remove(_ run: RunID) {
        let frozen = state.withLock { state in
            let paths = state.runs.removeValue(forKey: run)?.paths ?? []
            state.earlier?.use.forget(paths)
            state.later?.use.forget(paths)
            state.ending.remove(run)
            return state.frozen.removeValue(forKey: run) != nil
        }
        freezer.forget(run)
        if frozen { report() }
    }

    /// Thaws a run that is told to end, so that it can end in its own way.
    func exempt(_ run: RunID) {
        let frozen = state.withLock { state in
            guard state.runs[run] != nil else { return false }
            state.ending.insert(run)
            return state.frozen.removeValue(forKey: run) != nil
        }
        // It may be frozen only while all are measured.
        freezer.thaw(run)
        if frozen { report() }
    }

    /// Thaws all runs, for a daemon that ends and leaves them running. Nothing is frozen afterwards.
    func thawAll() {
        let runs = state.withLock { state in
            state.isLeaving = true
            state.frozen = [:]
            return state.runs.keys
        }
        for run in runs { freezer.thaw(run) }
    }

    /// Freezes a run unless it has ended, was told to end, or the daemon ends: a thaw for one of these reasons is not undone.
    ///
    /// - Parameter evenEnding: also one that was told to end
    func freeze(_ run: RunID, evenEnding: Bool) {
        state.withLock { state in
            guard state.runs[run] != nil, !state.isLeaving, evenEnding || !state.ending.contains(run) else { return }
            freezer.freeze(run)
        }
    }

    // MARK: Space

    /// The disk's free space, the reserve counted in, and its limits; `nil` when it cannot be asked.
    var space: (free: Int64, beside: Int64, limits: DiskLimits)? {
        guard let space = DiskSpace(of: directory) else { return nil }
        return (space.free + reserve.held, space.free, DiskLimits(space, floor: floor))
    }

    /// Sees that a launch finds space, by giving the reserve back when there is no other.
    func checkForLaunch() throws(EngineError) {
        guard let space else { return }
        if space.beside < space.limits.portion { reserve.release(space.limits.portion) }
        guard space.free < space.limits.portion else { return }
        let names = state.withLock { $0.frozen.map { DiskGuard.words($0.key, $0.value) } }
        throw .host(
            "the disk of \(directory) has only \(ByteText.text(space.free)) free"
                + (names.isEmpty ? "; nothing is started until there is more" : "; it is taken by \(names.sorted().joined(separator: ", "))"))
    }

    /// After a launch failed: gives some of the reserve back when that may be why.
    ///
    /// - Returns: whether there is space now that was not there before
    func makeRoom() -> Bool { space.map { $0.beside < $0.limits.portion && reserve.release($0.limits.portion) } ?? false }

    /// Refuses to bring in more when the free space is below the floor.
    ///
    /// - Parameter what: what is brought in, for the message
    func checkForImport(_ what: String) throws(EngineError) {
        guard let space, space.free < space.limits.floor else { return }
        throw .image(
            "\(what) is not brought in: the disk of \(directory) has only \(ByteText.text(space.free)) free, and \(ByteText.text(space.limits.floor)) are kept for the history"
        )
    }

    /// What there is to say to people; empty when all is well.
    var notices: [String] {
        let frozen = state.withLock { $0.frozen }
        var notices = frozen.sorted { ($0.value.workload, $0.key) < ($1.value.workload, $1.key) }.map {
            "\(DiskGuard.words($0.key, $0.value)) fills the disk of \(directory), and is frozen until there is space: stop it, or free some"
        }
        if frozen.isEmpty, let space, space.free < space.limits.floor {
            notices.append("the disk of \(directory) has only \(ByteText.text(space.free)) free, and no container is seen to take it")
        }
        return notices
    }

    private static func words(_ run: RunID, _ frozen: Frozen) -> String {
        "\(frozen.workload) (run \(run)\(frozen.grown.map { ", \(ByteText.text($0)) of late" } ?? ""))"
    }

    func report() { changeSink.yield(state.withLock { Set($0.frozen.keys) }) }
}
