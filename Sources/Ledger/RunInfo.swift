/// One run as people see it: a row of the database's view `runs`, and a message of the control socket.
public struct RunInfo: Codable, Sendable, Hashable {
    public var run_id: String
    public var project: String
    public var name: String
    /// Which of a service's copies; 0 is the only one. `nil` from a daemon of a release that has no copies.
    public var slot: Int?
    public var kind: String
    public var trigger: String
    public var attempt: Int
    public var due_at: String?
    public var started_at: String?
    public var finished_at: String?
    public var duration_ms: Int64?
    public var state: String
    public var outcome: String?
    public var exit_code: Int?
    public var signal: Int?
    public var oom_killed: Bool
    public var reason: String?
    public var cpu_ms: Int64?
    public var memory_peak_bytes: Int64?
    public var io_read_bytes: Int64?
    public var io_write_bytes: Int64?
    public var log_bytes: Int64?
    public var log_dropped_bytes: Int64?
    public var image: String?
    public var recipe_digest: String
    public var engine: String
    public var caused_by: String?
    public var changes: String?
}
