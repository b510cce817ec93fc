public import Schedules
public import WorkloadModel

/// Something that happened and that a person may ask about later.
public struct EventRecord: Hashable, Sendable {
    public let at: Timestamp
    public let project: ProjectName?
    public let workload: WorkloadName?
    public let runID: RunID?
    /// A word: `applied`, `stopped-by-user`, `clock-set`, ...
    public let kind: String
    /// Who did it: `uid 0`, `berthd`.
    public let actor: String
    public let text: String

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
