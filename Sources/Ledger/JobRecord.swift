public import Schedules
public import WorkloadModel

/// What the history keeps of a job's present state.
public struct JobRecord: Hashable, Sendable {
    /// The job that it is of.
    public let id: WorkloadID
    /// Whether somebody paused it: due times are skipped until it is resumed.
    public var paused: Bool
    /// Every due time up to here is accounted for: it has a row, or waits in `pending`.
    public var cursor: Timestamp
    /// The boot whose `@reboot` is done.
    public var bootID: String
    /// How its last run ended; `nil` when none has.
    public var lastOutcome: Outcome?
    /// Runs that ended like the last one, in a row, by success and failure.
    public var streak: Int
    /// Starts that are decided and have no run yet.
    public var pending: [PendingStart]
    /// Of the jobs that it comes after, the ends that count for its next start; the latest is last. Without a schedule, those
    /// that were as they must be since a chain last started it; with one, those since a due time of it began to wait.
    public var arrivals: [Arrival]
    /// It rises when the job's due times begin anew because the clock was set far back. A job that is removed and added again starts in a
    /// higher era. A due time has one row in each era.
    public var era: Int
    /// How far due times were accounted for before the clock was set far back: those up to here are not missed once more
    /// when the clock comes forward again.
    public var seen: Timestamp?
    /// Ends of its runs that came while its recipe could not be read. Another attempt, or the start of jobs that come
    /// after it, is decided once it can.
    public var unheard: [RunEnd]

    /// All of its fields.
    public init(
        id: WorkloadID, paused: Bool = false, cursor: Timestamp, bootID: String, lastOutcome: Outcome? = nil, streak: Int = 0,
        pending: [PendingStart] = [], arrivals: [Arrival] = [], era: Int = 0, seen: Timestamp? = nil, unheard: [RunEnd] = []
    ) {
        self.id = id
        self.paused = paused
        self.cursor = cursor
        self.bootID = bootID
        self.lastOutcome = lastOutcome
        self.streak = streak
        self.pending = pending
        self.arrivals = arrivals
        self.era = era
        self.seen = seen
        self.unheard = unheard
    }
}
