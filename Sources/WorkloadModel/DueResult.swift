/// What became of a due time.
public enum DueResult: String, Sendable, Codable, CaseIterable {
    case ran, skipped, missed
}

/// Why a due time was skipped or missed.
public enum DueReason: String, Sendable, Codable, CaseIterable {
    // Skipped:
    case overlap
    /// The run before it is frozen, because it fills the disk.
    case diskFull = "disk full"
    case paused
    case poolFull = "pool full"
    case excluded
    case deadline
    /// A job that it comes `after` did not end as it must.
    case after
    /// Its recipe was changed or taken away while the due time waited for its start.
    case withdrawn
    // Missed:
    case daemonDown = "daemon down"
    case hostOff = "host off"
    case clockJump = "clock jump"
    /// The history could not be written, so nothing could start.
    case historyUnwritable = "history not writable"
    /// The time zone of its schedule was not to be found.
    case zoneMissing = "zone missing"
}
