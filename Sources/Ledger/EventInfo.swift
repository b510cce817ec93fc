internal import WorkloadModel
internal import Schedules
/// Something that happened, as people see it: a row of the view `events`, and a message of the control socket.
public struct EventInfo: Codable, Sendable, Hashable {
    public var at: String
    public var project: String?
    public var name: String?
    public var run_id: String?
    public var kind: String
    public var actor: String
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
