/// One run; the names are those of the database's view `runs`.
public struct RunInfo: Codable, Sendable {
    public var run_id: String
    public var project: String
    public var name: String
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

    public init(
        run_id: String, project: String, name: String, kind: String, trigger: String, attempt: Int, due_at: String?, started_at: String?,
        finished_at: String?, duration_ms: Int64?, state: String, outcome: String?, exit_code: Int?, signal: Int?, oom_killed: Bool,
        reason: String?, cpu_ms: Int64?, memory_peak_bytes: Int64?, io_read_bytes: Int64?, io_write_bytes: Int64?, log_bytes: Int64?,
        log_dropped_bytes: Int64?, image: String?, recipe_digest: String, engine: String, caused_by: String? = nil, changes: String? = nil
    ) {
        self.run_id = run_id
        self.project = project
        self.name = name
        self.kind = kind
        self.trigger = trigger
        self.attempt = attempt
        self.due_at = due_at
        self.started_at = started_at
        self.finished_at = finished_at
        self.duration_ms = duration_ms
        self.state = state
        self.outcome = outcome
        self.exit_code = exit_code
        self.signal = signal
        self.oom_killed = oom_killed
        self.reason = reason
        self.cpu_ms = cpu_ms
        self.memory_peak_bytes = memory_peak_bytes
        self.io_read_bytes = io_read_bytes
        self.io_write_bytes = io_write_bytes
        self.log_bytes = log_bytes
        self.log_dropped_bytes = log_dropped_bytes
        self.image = image
        self.recipe_digest = recipe_digest
        self.engine = engine
        self.caused_by = caused_by
        self.changes = changes
    }
}

/// What is changed for one run by hand.
public struct RunUpload: Codable, Sendable {
    /// Added to the job's environment, or in place of what it has.
    public var environment: [String: String]
    /// In place of the job's command.
    public var command: [String]?
    /// The past due time that it is to run for, in RFC 3339.
    public var dueAt: String?

    public init(environment: [String: String] = [:], command: [String]? = nil, dueAt: String? = nil) {
        self.environment = environment
        self.command = command
        self.dueAt = dueAt
    }
}
