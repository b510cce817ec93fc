public import Schedules

/// Who asked for a change on the control socket, and what was answered.
public struct AuditRecord: Sendable, Hashable {
    /// When it was answered.
    public let at: Timestamp
    /// As `uid 1000`.
    public let who: String
    /// What they may.
    public let role: String
    /// The method of HTTP.
    public let method: String
    /// What it was asked of, as `/v1/workloads/shop/backup/run`.
    public let path: String
    /// The answer's status in HTTP; of a recipe that is applied, 200 says that it was begun, and the event `applied` that it is in force.
    public let status: Int
    /// Why it was refused.
    public let note: String?

    /// All of its fields.
    public init(at: Timestamp, who: String, role: String, method: String, path: String, status: Int, note: String?) {
        self.at = at
        self.who = who
        self.role = role
        self.method = method
        self.path = path
        self.status = status
        self.note = note
    }
}

/// The same, as it is told.
public struct AuditInfo: Codable, Sendable, Hashable {
    /// RFC 3339 in UTC.
    public let at: String
    /// As `uid 1000`.
    public let who: String
    /// What they may.
    public let role: String
    /// The method of HTTP.
    public let method: String
    /// What it was asked of.
    public let path: String
    /// The answer's status in HTTP.
    public let status: Int
    /// Why it was refused.
    public let note: String?
}
