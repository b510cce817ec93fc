/// What became of a due time, or of a stretch of them, as people see it: a row of the view `due_times`, and a message of the control
/// socket.
public struct DueInfo: Codable, Sendable, Hashable {
    /// The project of the job.
    public var project: String
    /// The name of the job inside the project.
    public var name: String
    /// The due time, of a stretch the last, RFC 3339 in UTC with milliseconds.
    public var due_at: String
    /// The first due time of a stretch, RFC 3339 in UTC with milliseconds; the same as `due_at` for a single one.
    public var first_due_at: String
    /// `ran`, `skipped` or `missed`.
    public var result: String
    /// Why it was skipped or missed, words of ``WorkloadModel/DueReason`` such as `overlap` or `daemon down`; `nil` when it ran.
    public var reason: String?
    /// How many due times the row stands for.
    public var count: Int64
    /// The id of the run that was started for it, or that caught it up; `nil` when there is none.
    public var run_id: String?
    /// Wall times that a clock change moved to this due time, in words; `nil` when there are none.
    public var note: String?
}
