/// A copy of the history.
public struct SnapshotInfo: Codable, Sendable {
    /// The file, on the daemon's host.
    public var path: String
    /// Bytes.
    public var size: Int64
    /// When it was begun, RFC 3339 in UTC.
    public var at: String

    /// All of its fields.
    public init(path: String, size: Int64, at: String) {
        self.path = path
        self.size = size
        self.at = at
    }
}
