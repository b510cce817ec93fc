/// A probe of a service, as people see it: a row of the view `probes`, and a part of a message of the control socket.
public struct ProbeInfo: Codable, Sendable, Hashable {
    /// When it began, RFC 3339 in UTC with milliseconds.
    public var at: String
    /// The run that was asked.
    public var run_id: String
    /// How long it took.
    public var duration_ms: Int64
    /// Of its command; `nil` when that did not end by itself.
    public var exit_code: Int32?
    /// Why there is no exit code.
    public var failure: String?
    /// The beginning of what it wrote.
    public var output: String
}
