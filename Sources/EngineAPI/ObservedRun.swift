public import Schedules
public import WorkloadModel

/// What an engine found of a run whose end is not booked.
public enum ObservedRun: Hashable, Sendable {
    /// Its shim lives, or its container lives without one: the engine watches it and will report its end.
    /// `health` is its health check; `nil` when it has none.
    case alive(startedAt: Timestamp, health: HealthCheck? = nil)
    /// It ended.
    case exited(ExitStatus)
    /// It was prepared, and nothing of it ever ran.
    case notStarted
}
