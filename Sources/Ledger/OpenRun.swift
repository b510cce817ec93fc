public import Schedules
public import WorkloadModel

/// A run that the history has not closed.
public struct OpenRun: Hashable, Sendable {
    public let id: RunID
    public let workload: WorkloadID
    public let kind: WorkloadKind
    public let trigger: Trigger
    public let attempt: Int
    public let dueAt: Timestamp?
    public let decidedAt: Timestamp
    public let state: RunState
    public let startedAt: Timestamp?
    public let bootID: String
    public let fingerprint: String
    public let arrivals: [Arrival]
    public let changes: String?
    /// ``ServiceRecord/generation`` that it was started for; 0 for a job.
    public let generation: Int
    /// Why it is to end; `nil` when nobody asked. Whoever finds the run goes on with its stop.
    public var stopReason: String?

    public init(
        id: RunID, workload: WorkloadID, kind: WorkloadKind, trigger: Trigger, attempt: Int, dueAt: Timestamp?, decidedAt: Timestamp,
        state: RunState, startedAt: Timestamp?, bootID: String, fingerprint: String,
        arrivals: [Arrival] = [], changes: String? = nil, generation: Int = 0, stopReason: String? = nil
    ) {
        self.generation = generation
        self.stopReason = stopReason
        self.id = id
        self.workload = workload
        self.kind = kind
        self.trigger = trigger
        self.attempt = attempt
        self.dueAt = dueAt
        self.decidedAt = decidedAt
        self.state = state
        self.startedAt = startedAt
        self.bootID = bootID
        self.fingerprint = fingerprint
        self.arrivals = arrivals
        self.changes = changes
    }
}
