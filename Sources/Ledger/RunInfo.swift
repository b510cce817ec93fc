/// One run as people see it: a row of the database's view `runs`, and a message of the control socket.
public struct RunInfo: Codable, Sendable, Hashable {
    /// The run's id, 16 characters; see ``WorkloadModel/RunID``.
    public var run_id: String
    /// The project of its service or job.
    public var project: String
    /// The name of its service or job inside the project.
    public var name: String
    /// Which of a service's copies; 0 is the only one. `nil` from a daemon of a release that has no copies.
    public var slot: Int?
    /// `service` or `job`.
    public var kind: String
    /// Why it was started, a word of ``WorkloadModel/Trigger``: `schedule`, `manual`, `retry`, `catch-up`, `rerun`, `after`, `start` or `restart`.
    public var trigger: String
    /// 1 for the first try. Of a service, one more than its failures in a row before.
    public var attempt: Int
    /// The due time that it runs for, RFC 3339 in UTC with milliseconds; `nil` when it is for none.
    public var due_at: String?
    /// When its command was released, RFC 3339 in UTC with milliseconds; `nil` while it is starting, and when the command never ran.
    public var started_at: String?
    /// When it ended, or was found to have ended, RFC 3339 in UTC with milliseconds; `nil` before that.
    public var finished_at: String?
    /// Milliseconds from `started_at` to `finished_at` on the wall clock; `nil` when either is missing.
    public var duration_ms: Int64?
    /// `starting`, `running` or `finished`.
    public var state: String
    /// How it ended, a word of ``WorkloadModel/Outcome``: `succeeded`, `failed`, `timed-out`, `oom-killed`, `stopped`, `start-error` or `lost`. `nil`
    /// before that.
    public var outcome: String?
    /// The command's exit code; `nil` when a signal ended it, it never ran, nobody saw its end, or it has not ended.
    public var exit_code: Int?
    /// The number of the signal that ended the command; `nil` when none did.
    public var signal: Int?
    /// Whether the kernel killed a process of the container for want of memory, whatever the outcome.
    public var oom_killed: Bool
    /// Why it ended so, in words; `nil` before the end, and when there is nothing to say, as of a success.
    public var reason: String?
    /// Processor time, in milliseconds; `nil` before the end, 0 when it is not known. So are the sizes below.
    public var cpu_ms: Int64?
    /// The most memory at once, in bytes; `nil` before the end.
    public var memory_peak_bytes: Int64?
    /// Bytes read from block devices; `nil` before the end.
    public var io_read_bytes: Int64?
    /// Bytes written to block devices; `nil` before the end.
    public var io_write_bytes: Int64?
    /// Bytes of its log; `nil` before the end.
    public var log_bytes: Int64?
    /// Bytes of its log that were let go for the log's size cap or for a full disk; `nil` before the end.
    public var log_dropped_bytes: Int64?
    /// The image that it runs from, as the recipe names it, and once started with `@sha256:` and its digest; `nil` without an image.
    public var image: String?
    /// SHA-256 of the text of the recipe that it is run by, in hexadecimal.
    public var recipe_digest: String
    /// The name of the engine that ran it: `native`.
    public var engine: String
    /// In a chain of jobs, the id of the run whose end, the latest of several, set it off; `nil` for others.
    public var caused_by: String?
    /// Of a retry or a rerun, the id of the run that it tries again; `nil` for others, and for those of a release that did not say.
    public var retry_of: String?
    /// What was changed for it by hand, in words, without the values of variables; `nil` when nothing was.
    public var changes: String?
}
