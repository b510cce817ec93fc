/// What Berth keeps on its disk, in bytes.
public struct DiskInfo: Codable, Sendable {
    /// The rows of the history, and what they may take.
    public var historyBytes, mostHistoryBytes: Int64
    /// All logs, and what they may take.
    public var logBytes, mostLogBytes: Int64
    /// All volumes whose files were counted.
    public var volumeBytes: Int64
    /// Copies of the history, newest first.
    public var snapshots: [SnapshotInfo]

    /// All of its fields.
    public init(
        historyBytes: Int64, mostHistoryBytes: Int64, logBytes: Int64, mostLogBytes: Int64, volumeBytes: Int64, snapshots: [SnapshotInfo]
    ) {
        self.historyBytes = historyBytes
        self.mostHistoryBytes = mostHistoryBytes
        self.logBytes = logBytes
        self.mostLogBytes = mostLogBytes
        self.volumeBytes = volumeBytes
        self.snapshots = snapshots
    }
}

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
