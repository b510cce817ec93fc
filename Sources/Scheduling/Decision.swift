public import Ledger
internal import Schedules
public import WorkloadModel

/// What is to be done in the world. Each may be done again after a crash without harm.
public enum Effect: Hashable, Sendable {
    /// Starts a run; does nothing when a run of that id was started before.
    indirect case launch(RunRequest)
    /// Asks a run whether it works; the answer comes as an event.
    indirect case probe(RunRequest, HealthCheck)
    /// Begins the stop sequence of a run.
    case stop(RunID)
    /// The run's end is booked: what the engine still holds of it can go.
    case settle(RunID)
}

/// What an event leads to: writes first, durable, then effects.
public struct Decision: Hashable, Sendable {
    /// In the order in which they are to be written, in one transaction.
    public var writes: [Write] = []
    /// Carried out in order, once the writes are durable.
    public var effects: [Effect] = []
    /// For the one who asked; `done` where nobody did.
    public var reply = Reply.done

    /// A decision that does nothing.
    public init() {}

    /// Whether there is nothing to write and nothing to do; the reply does not count.
    public var isEmpty: Bool { writes.isEmpty && effects.isEmpty }
}

/// What somebody who asked is told.
public enum Reply: Hashable, Sendable {
    /// It was done, or there was nothing to refuse.
    case done
    /// The run that was started.
    case run(RunID)
    /// It waits for its turn.
    case queued
    /// The sentence says why not.
    case refused(String)
    /// There is no service or job of this name.
    case unknown(WorkloadID)
}
