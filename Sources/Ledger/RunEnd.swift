public import Schedules
public import WorkloadModel

/// The end of a run, as far as what follows depends on it.
public struct RunEnd: Hashable, Sendable, Codable {
    /// The run that ended.
    public let run: RunID
    /// Why it was started.
    public let trigger: Trigger
    /// Its attempt; 1 for the first try.
    public let attempt: Int
    /// The due time that it was for; `nil` when it was for none.
    public let dueAt: Timestamp?
    /// How it ended.
    public let outcome: Outcome
    /// Whether somebody wanted it to end.
    public let stopped: Bool
    /// The ends that set it off, in a chain of jobs; `nil` is none.
    public let arrivals: [Arrival]?
    /// What somebody changed for it.
    public let changes: RunChanges?
    /// ``Run/forgottenChanges``.
    public let forgottenChanges: String?

    /// The end of `run`, with this outcome.
    public init(_ run: Run, _ outcome: Outcome) {
        self.run = run.id
        trigger = run.trigger
        attempt = run.attempt
        dueAt = run.dueAt
        self.outcome = outcome
        stopped = run.stopReason != nil
        arrivals = run.arrivals.isEmpty ? nil : run.arrivals
        changes = run.changes
        forgottenChanges = run.forgottenChanges
    }
}
