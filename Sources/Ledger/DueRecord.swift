public import Schedules
public import WorkloadModel

/// What became of a due time, or of a stretch of them.
public struct DueRecord: Hashable, Sendable {
    /// The job whose due time it is.
    public let workload: WorkloadID
    /// The due time; of a stretch the last.
    public let dueAt: Timestamp
    /// The first of a stretch; the same as `dueAt` for a single one.
    public let firstDueAt: Timestamp
    /// One result for the whole stretch.
    public let result: DueResult
    /// Why it was skipped or missed; `nil` when it ran.
    public let reason: DueReason?
    /// How many due times the record stands for.
    public let count: Int64
    /// The run that was started for it; `nil` when there is none.
    public let runID: RunID?
    /// Wall times that a clock change moved to this due time, for people to read.
    public let note: String?
    /// ``JobRecord/era``.
    public let era: Int

    /// All of its fields; without `firstDueAt` it stands for `dueAt` alone.
    public init(
        workload: WorkloadID, dueAt: Timestamp, firstDueAt: Timestamp? = nil, result: DueResult, reason: DueReason? = nil, count: Int64 = 1,
        runID: RunID? = nil, note: String? = nil, era: Int = 0
    ) {
        self.workload = workload
        self.dueAt = dueAt
        self.firstDueAt = firstDueAt ?? dueAt
        self.result = result
        self.reason = reason
        self.count = count
        self.runID = runID
        self.note = note
        self.era = era
    }
}
