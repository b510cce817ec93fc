public import Schedules
public import WorkloadModel

/// The end of a service's run, as far as what follows depends on it.
public struct ServiceEnd: Hashable, Sendable, Codable {
    /// The run that ended.
    public let run: RunID
    /// The generation that it was of.
    public let generation: Int
    /// How it ended.
    public let outcome: Outcome
    /// Whether somebody wanted it to end.
    public let stopped: Bool
    /// Whether processes of it could not be killed.
    public let leftProcesses: Bool
    /// When its command was released; `nil` when it never was.
    public let startedAt: Timestamp?
    /// When it ended.
    public let finishedAt: Timestamp

    /// The end of `run`, as an engine reported it.
    public init(_ run: Run, _ outcome: Outcome, _ status: ExitStatus) {
        self.run = run.id
        generation = run.generation
        self.outcome = outcome
        stopped = run.stopReason != nil
        leftProcesses = status.leftProcesses
        startedAt = status.startedAt
        finishedAt = status.finishedAt
    }
}
