public import Schedules
public import WorkloadModel

/// What must be on disk before anything is done about it. Those of one decision are one transaction.
public enum Write: Hashable, Sendable {
    indirect case openRun(RunOpening)
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
    case removeWorkload(WorkloadID, WorkloadKind)
    case event(EventRecord)
    /// The boot in which the daemon last ran.
    case boot(String)
}

/// What is to be done in the world. Each may be done again after a crash without harm.
public enum Effect: Hashable, Sendable {
    /// Starts a run; does nothing when a run of that id was started before.
    indirect case launch(RunRequest)
    /// Begins the stop sequence of a run.
    case stop(RunID)
    /// The run's end is booked: what the engine still holds of it can go.
    case settle(RunID)
}

/// What an event leads to: writes first, durable, then effects.
public struct Decision: Hashable, Sendable {
    public var writes: [Write] = []
    public var effects: [Effect] = []
    public var reply = Reply.done

    public init() {}

    public var isEmpty: Bool { writes.isEmpty && effects.isEmpty }
}

/// What somebody who asked is told.
public enum Reply: Hashable, Sendable {
    case done
    case run(RunID)
    /// It waits for its turn.
    case queued
    /// The sentence says why not.
    case refused(String)
    case unknown(WorkloadID)
}
