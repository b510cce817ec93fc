/// What became of a due time.
public enum DueResult: String, Sendable, Codable, CaseIterable {
    /// `skipped` was decided by a rule of the job or its recipe; `missed` passed while nothing could be decided.
    case ran, skipped, missed
}

/// Why a due time was skipped or missed.
public enum DueReason: String, Sendable, Codable, CaseIterable {
    // Skipped:
    /// A run of the job was going.
    case overlap
    /// The run before it is frozen, because it fills the disk.
    case diskFull = "disk full"
    /// The job was paused.
    case paused
    /// The job's pool had no place.
    case poolFull = "pool full"
    /// The schedule's `except` names the day.
    case excluded
    /// The start came later than the job's `deadline` allows.
    case deadline
    /// A job that it comes `after` did not end as it must.
    case after
    /// A service that it depends on was not as it must be, and did not come to be in time.
    case dependency
    /// Its recipe was changed or taken away while the due time waited for its start.
    case withdrawn
    // Missed:
    /// The daemon did not run, or handled the due time too late.
    case daemonDown = "daemon down"
    /// The host has booted since.
    case hostOff = "host off"
    /// The wall clock jumped, or the host slept.
    case clockJump = "clock jump"
    /// The history could not be written, so nothing could start.
    case historyUnwritable = "history not writable"
    /// The history was lost, and this is a copy from before: whether it ran is not known.
    case historyLost = "history lost"
    /// The time zone of its schedule was not to be found.
    case zoneMissing = "zone missing"
}
