public import Schedules
public import WorkloadModel

/// Something that happened and that a person may ask about later.
public struct EventRecord: Hashable, Sendable {
    /// When it happened, or was noticed.
    public let at: Timestamp
    /// The project that it is about; `nil` when it concerns the whole daemon.
    public let project: ProjectName?
    /// The service or job of the project; `nil` when it concerns none or all.
    public let workload: WorkloadName?
    /// The run that it is about; `nil` when it is about none.
    public let runID: RunID?
    /// A word: `applied`, `stopped`, `clock-set`, ...
    public let kind: String
    /// Who did it: `uid 0`, `berthd`.
    public let actor: String
    /// What happened, in words.
    public let text: String

    /// All of its fields.
    public init(
        at: Timestamp, project: ProjectName? = nil, workload: WorkloadName? = nil, runID: RunID? = nil, kind: String, actor: String, text: String
    ) {
        self.at = at
        self.project = project
        self.workload = workload
        self.runID = runID
        self.kind = kind
        self.actor = actor
        self.text = text
    }
}
