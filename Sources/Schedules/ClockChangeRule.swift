/// What a schedule does where clocks are set (`dst:` in a recipe).
public enum ClockChangeRule: String, Sendable, Hashable, Codable, CaseIterable {
    /// As Debian's cron: a fixed time that a gap swallows is due at the first instant after it; one that is shown twice
    /// is due the first time; expressions with `*` in hour or minute follow real time.
    case cron
    /// A time in a gap is not due; one that is shown twice is due the first time.
    case skip
    /// A time that is shown twice is due both times; gaps as `cron`.
    case twice
}
