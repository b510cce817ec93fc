public import Schedules
public import WorkloadModel

/// What must be on disk before anything is done about it. Those of one decision are one transaction.
public enum Write: Hashable, Sendable {
    /// A run is decided: it is starting.
    indirect case openRun(Run)
    /// `image` is what the engine ran it from; `nil` changes nothing.
    case runStarted(RunID, at: Timestamp, image: String?)
    /// A run is to end, once those that `after` lists have ended. It is written down before the first signal, and honoured by whoever finds the run next.
    case stopRequested(RunID, at: Timestamp, reason: String, after: [RunID])
    /// A run has ended; the reason is in words, `nil` when there is nothing to say. A run that is closed already stays as it is.
    indirect case closeRun(RunID, Outcome, ExitStatus, reason: String?)
    /// A due time, or a stretch of them, has its result.
    case due(DueRecord)
    /// The run that catches a missed due time up.
    case dueCaughtUp(WorkloadID, dueAt: Timestamp, RunID)
    /// The present state of one copy of a service, in place of the one before.
    case service(ServiceRecord)
    /// The present state of a job, in place of the one before.
    case job(JobRecord)
    /// A probe of a service's run, kept with the last few of it.
    indirect case probe(InstanceID, RunID, Probe)
    /// One copy of a service is not kept any more.
    case removeService(InstanceID)
    /// A job is not kept any more.
    case removeJob(WorkloadID)
    /// Something happened that a person may ask about later.
    case event(EventRecord)
    /// The boot in which the daemon last ran.
    case boot(String)
    /// ``StoredState/era``.
    case era(Int)
    /// What follows from ``StoredState/copiedAt`` is decided.
    case copyTakenUp
}

extension [Write] {
    /// Whether one of them begins a run.
    package var openRuns: Bool { contains { if case .openRun = $0 { true } else { false } } }
}
