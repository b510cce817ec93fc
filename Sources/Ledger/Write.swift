public import Schedules
public import WorkloadModel

/// What must be on disk before anything is done about it. Those of one decision are one transaction.
public enum Write: Hashable, Sendable {
    /// A run is decided: it is starting.
    indirect case openRun(Run)
    /// `image` is what the engine ran it from; `nil` changes nothing.
    case runStarted(RunID, at: Timestamp, image: String?)
    /// A run is to end. It is written down before the first signal, and honoured by whoever finds the run next.
    case stopRequested(RunID, at: Timestamp, reason: String)
    indirect case closeRun(RunID, Outcome, ExitStatus, reason: String?)
    case due(DueRecord)
    /// The run that catches a missed due time up.
    case dueCaughtUp(WorkloadID, dueAt: Timestamp, RunID)
    case service(ServiceRecord)
    case job(JobRecord)
    case removeService(InstanceID)
    case removeJob(WorkloadID)
    case event(EventRecord)
    /// The boot in which the daemon last ran.
    case boot(String)
}
