public import Ledger
internal import Schedules
public import WorkloadModel

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
