internal import WorkloadModel
internal import Schedules
/// Something that happened, as people see it: a row of the view `events`, and a message of the control socket.
public struct EventInfo: Codable, Sendable, Hashable {
    /// When it happened, RFC 3339 in UTC with milliseconds.
    public var at: String
    /// The name of the project that it is about; `nil` when it concerns the whole daemon.
    public var project: String?
    /// The name of the service or job inside the project; `nil` when it concerns none or all.
    public var name: String?
    /// The id of the run that it is about; `nil` when it is about none.
    public var run_id: String?
    /// A word for programs, such as `applied`, `stopped` or `clock-set`.
    public var kind: String
    /// Who did it: `uid 0`, `berthd`.
    public var actor: String
    /// What happened, in words.
    public var text: String

    /// The record as people see it.
    public init(_ record: EventRecord) {
        at = record.at.description
        project = record.project?.description
        name = record.workload?.description
        run_id = record.runID?.description
        kind = record.kind
        actor = record.actor
        text = record.text
    }
}
