public import Schedules
public import WorkloadModel

/// What the history keeps of a service's present state.
public struct ServiceRecord: Hashable, Sendable {
    public enum Phase: String, Sendable, Codable, CaseIterable {
        case starting, running, stopping
        /// Waits for its next start after it ended.
        case backoff
        /// Somebody stopped it.
        case stopped
        /// It ended, and its policy does not start it again.
        case exited
        /// It failed as often in a row as its policy allows.
        case failed
    }

    public let id: WorkloadID
    /// Whether it is to be on; a user's stop sets it to false, and that survives everything.
    public var wanted: Bool
    public var phase: Phase
    public var since: Timestamp
    /// Starts after the first, since the recipe asked for it.
    public var restarts: Int
    /// Failures in a row; it sets the pause before the next start.
    public var failures: Int
    public var nextStartAt: Timestamp?
    public var runID: RunID?
    /// It rises whenever another container is to take the place of the one that runs: a restart by hand, a changed recipe. A run
    /// of an older generation is stopped, and when nothing runs, the present one is started.
    public var generation: Int

    public init(
        id: WorkloadID, wanted: Bool, phase: Phase, since: Timestamp, restarts: Int = 0, failures: Int = 0, nextStartAt: Timestamp? = nil,
        runID: RunID? = nil, generation: Int = 0
    ) {
        self.generation = generation
        self.id = id
        self.wanted = wanted
        self.phase = phase
        self.since = since
        self.restarts = restarts
        self.failures = failures
        self.nextStartAt = nextStartAt
        self.runID = runID
    }
}
