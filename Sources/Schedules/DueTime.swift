/// One instant at which a job is due.
public struct DueTime: Sendable, Hashable {
    /// The due time itself: what `BERTH_DUE_AT` says and the history keeps. Whole seconds.
    public let at: Timestamp
    /// Wall times that do not exist on that day because clocks are set forward, and that this due time stands for.
    public let moved: [CivilTime]
    /// Whether the schedule's `except` names this day: the due time is accounted for, but nothing runs.
    public let excluded: Bool
    /// How long after `at` the run may start at the earliest, from `jitter` and `spread`.
    public let delay: Duration

    /// - Parameter at: whole seconds
    /// - Parameter delay: zero or more
    public init(at: Timestamp, moved: [CivilTime] = [], excluded: Bool = false, delay: Duration = .zero) {
        self.at = at
        self.moved = moved
        self.excluded = excluded
        self.delay = delay
    }
}
