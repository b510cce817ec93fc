public import Schedules
public import WorkloadModel

/// A start that is decided but not due yet, or waits for its turn.
public struct PendingStart: Hashable, Sendable, Codable {
    /// Why the run will be started.
    public var trigger: Trigger
    /// The due time that the run is for; `nil` when it is for none.
    public var dueAt: Timestamp?
    /// The run's attempt; 1 for the first try.
    public var attempt: Int
    /// The earliest instant at which it may start: after the jitter of a due time, or the pause before a retry.
    public var notBefore: Timestamp
    /// Whether it waits for the job to be idle; a due time that only waits for its jitter to be over does not.
    public var queued: Bool
    /// The ends that set it off, in a chain of jobs; `nil` is none.
    public var arrivals: [Arrival]?
    /// What somebody changed for it.
    public var changes: RunChanges?
    /// Of a retry: the run that is tried again.
    public var retryOf: RunID?
    /// How that run ended; `nil` also in a record of a release that did not keep it.
    public var retriedOutcome: Outcome?
    /// Of a due time: what a clock change did to it, for the history.
    public var note: String?
    /// Since when it waits for services that its job depends on, which were started for it; `nil` when it does not.
    public var needsSince: Timestamp?

    /// All of its fields but `retriedOutcome` and `needsSince`, which are `nil`.
    public init(
        trigger: Trigger, dueAt: Timestamp?, attempt: Int = 1, notBefore: Timestamp, queued: Bool, arrivals: [Arrival]? = nil,
        changes: RunChanges? = nil, retryOf: RunID? = nil, note: String? = nil
    ) {
        self.trigger = trigger
        self.dueAt = dueAt
        self.attempt = attempt
        self.notBefore = notBefore
        self.queued = queued
        self.arrivals = arrivals
        self.changes = changes
        self.retryOf = retryOf
        self.note = note
    }
}
