internal import Dispatch
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Synchronization
internal import WorkloadModel

/// Keeps the state disk from being filled by containers, so that the history can be written and jobs go on.
///
/// When its free bytes or inodes fall below a floor, the runs that take it are frozen: they are not stopped, and write no more. They are
/// thawed when there are enough again, when they are stopped, and when the daemon ends; until then they are named. (QEMU pauses a
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
        /// With the reserve.
        var free: DiskAmount
        let at: ContinuousClock.Instant
        /// How long it took to measure.
        let cost: Duration
        var use: DiskUse
    }

    struct Frozen {
        let workload: String
        /// What it takes.
        let quantity: DiskQuantity
        /// How much of it it took of late; `nil` when that is not known.
        let grown: Int64?
    }

    /// What the disk has free.
    struct Space {
        let quantity: DiskQuantity
        /// With the reserve.
        let free: Int64
        /// Without it.
        let beside: Int64
        let limits: DiskLimits
    }

    /// How the search for those who take one quantity stands.
    struct Search {
        /// What was free when takers were last looked for, or the most since then.
        var freeWhenJudged: Int64?
        /// How much more has to go before takers are looked for again.
        var step: Int64
    }

    struct State {
        var runs: [RunID: Entry] = [:]
        var frozen: [RunID: Frozen] = [:]
        /// The sample that growth is measured from, and the one that takes its place a minute later.
        var earlier: Sample?
        var later: Sample?
        var searches: [DiskQuantity: Search] = [:]
        /// Before it, takers are not looked for again.
        var nextJudgement: ContinuousClock.Instant?
        /// Runs that were told to end: they are frozen only when there is hardly any space left.
        var ending: Set<RunID> = []
        /// When a reserve could not be taken, it is tried again.
        var nextReserve: [DiskQuantity: ContinuousClock.Instant] = [:]
        /// Whether the timer runs.
        var isWatching = false
        /// The daemon ends: nothing is frozen any more.
        var isLeaving = false
    }

    let directory: String
    let runs: String
    let freezer: RunFreezer
    let cgroups: CgroupHost
    let log: Logger
    private let byteReserve: ByteReserve
    private let inodeReserve: InodeReserve
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
        byteReserve = ByteReserve(file: "\(directory)/reserve")
        inodeReserve = InodeReserve(directory: "\(directory)/reserve.d")
        (changes, changeSink) = AsyncStream.makeStream(of: Set<RunID>.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Takes the reserve, before anything runs that could take it.
    func prepare() { for quantity in DiskQuantity.allCases { space(quantity).map(keepReserve) } }

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

    func reserve(_ quantity: DiskQuantity) -> any DiskReserve {
        switch quantity {
        case .bytes: byteReserve
        case .inodes: inodeReserve
        }
    }

    /// `nil` when the disk cannot be asked, or does not count that.
    func space(_ quantity: DiskQuantity) -> Space? {
        guard let space = DiskSpace(of: directory), space.total[quantity] > 0 else { return nil }
        let free = space.free[quantity]
        let limits = DiskLimits(space, quantity, floor: quantity == .bytes ? floor : nil)
        return Space(quantity: quantity, free: free + reserve(quantity).held, beside: free, limits: limits)
    }

    /// Gives some of the reserve back when hardly anything is free beside it.
    ///
    /// - Returns: whether there is space now that was not there before
    @discardableResult func provide(_ quantity: DiskQuantity) -> Bool {
        guard let space = space(quantity), space.beside < space.limits.portion else { return false }
        return reserve(quantity).release(space.limits.portion)
    }

    /// Sees that a launch finds space, by giving the reserve back when there is no other.
    func checkForLaunch() throws(EngineError) {
        for quantity in DiskQuantity.allCases {
            provide(quantity)
            guard let space = space(quantity), space.free < space.limits.portion else { continue }
            let names = state.withLock { $0.frozen.filter { $1.quantity == quantity }.map { DiskGuard.words($0.key, $0.value) } }
            throw .host(
                left(space.free, quantity)
                    + (names.isEmpty ? "; nothing is started until there is more" : "; it is taken by \(names.sorted().joined(separator: ", "))"))
        }
    }

    /// After a launch failed: gives some of the reserve back when that may be why.
    ///
    /// - Returns: whether there is space now that was not there before
    func makeRoom() -> Bool { DiskQuantity.allCases.reduce(false) { provide($1) || $0 } }

    /// Refuses to bring in more when the free space is below the floor.
    ///
    /// - Parameter what: what is brought in, for the message
    func checkForImport(_ what: String) throws(EngineError) {
        for quantity in DiskQuantity.allCases {
            guard let space = space(quantity), space.free < space.limits.floor else { continue }
            throw .image(
                "\(what) is not brought in: \(left(space.free, quantity)), and \(quantity.text(space.limits.floor)) are kept for the history")
        }
    }

    /// Whether little more is free than what is kept for the history: the next image may not find room.
    var isShort: Bool {
        DiskQuantity.allCases.contains { quantity in space(quantity).map { $0.free < 2 * $0.limits.floor } ?? false }
    }

    /// What there is to say to people; empty when all is well.
    var notices: [String] {
        let frozen = state.withLock { $0.frozen }
        return frozen.sorted { ($0.value.workload, $0.key) < ($1.value.workload, $1.key) }.map {
            let (does, until) =
                switch $0.value.quantity {
                case .bytes: ("fills", "there is space")
                case .inodes: ("takes the inodes of", "some are free")
                }
            return "\(DiskGuard.words($0.key, $0.value)) \(does) the disk of \(directory), and is frozen until \(until): stop it, or remove files"
        }
            + DiskQuantity.allCases.compactMap { quantity in
                guard !frozen.values.contains(where: { $0.quantity == quantity }), let space = space(quantity), space.free < space.limits.floor else {
                    return nil
                }
                return "\(left(space.free, quantity)), and no container is seen to take \(quantity == .bytes ? "it" : "them"): remove files, or give it more"
            }
    }

    private func left(_ free: Int64, _ quantity: DiskQuantity) -> String { "the disk of \(directory) has only \(quantity.text(free)) free" }

    private static func words(_ run: RunID, _ frozen: Frozen) -> String {
        "\(frozen.workload) (run \(run)\(frozen.grown.map { ", \(frozen.quantity.text($0)) of late" } ?? ""))"
    }

    func report() { changeSink.yield(state.withLock { Set($0.frozen.keys) }) }
}
