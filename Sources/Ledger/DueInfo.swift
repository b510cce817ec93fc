/// What became of a due time, or of a stretch of them, as people see it: a row of the view `due_times`, and a message of the control
/// socket.
public struct DueInfo: Codable, Sendable, Hashable {
    public var project: String
    public var name: String
    public var due_at: String
    public var first_due_at: String
    public var result: String
    public var reason: String?
    public var count: Int64
    public var run_id: String?
    public var note: String?
}
