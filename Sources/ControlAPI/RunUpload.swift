/// What is changed for one run by hand.
public struct RunUpload: Codable, Sendable {
    /// Added to the job's environment, or in place of what it has.
    public var environment: [String: String]
    /// In place of the job's command.
    public var command: [String]?
    /// The past due time that it is to run for, in RFC 3339.
    public var dueAt: String?

    /// All of its fields.
    public init(environment: [String: String] = [:], command: [String]? = nil, dueAt: String? = nil) {
        self.environment = environment
        self.command = command
        self.dueAt = dueAt
    }
}
