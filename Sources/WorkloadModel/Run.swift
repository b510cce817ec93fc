public import Schedules

/// Whether a workload is kept on or runs at its time.
public enum WorkloadKind: String, Sendable, Codable, CaseIterable {
    case service, job
}

/// Why a run was started.
public enum Trigger: String, Sendable, Codable, CaseIterable {
    /// A due time.
    case schedule
    /// Somebody asked.
    case manual
    /// The attempt before it failed.
    case retry
    /// A due time that passed unattended.
    case catchUp = "catch-up"
    /// A run whose end nobody saw, of a job with `on_lost: rerun`.
    case rerun
    /// A service is to be on.
    case start
    /// A service ended and its policy starts it again.
    case restart
}

/// How far a run has come. It only moves forward.
public enum RunState: String, Sendable, Codable, CaseIterable {
    case starting, running, finished
}

/// How a run ended.
public enum Outcome: String, Sendable, Codable, CaseIterable {
    case succeeded
    case failed
    case timedOut = "timed-out"
    case oomKilled = "oom-killed"
    /// Berth ended it because somebody asked: a user's stop, a new recipe, the host's shutdown.
    case stopped
    /// The command could not be started; nothing of it ran.
    case startError = "start-error"
    /// Nobody saw the end. Never a success.
    case lost

    /// Whether a retry policy, or a restart on failure, applies.
    public var isFailure: Bool {
        switch self {
        case .failed, .timedOut, .oomKilled, .startError: true
        case .succeeded, .stopped, .lost: false
        }
    }
}

/// What is to be run: everything that an engine and the history need to know about one run before it starts.
public struct RunRequest: Hashable, Sendable {
    public let id: RunID
    public let workload: WorkloadID
    public let kind: WorkloadKind
    public let container: ContainerSpec
    public let trigger: Trigger
    /// 1 for the first try.
    public let attempt: Int
    /// The due time that it runs for, also for a retry or catch-up of it.
    public let dueAt: Timestamp?
    public let decidedAt: Timestamp
    public let timeout: Duration?
    public let lastOutcome: Outcome?
    public let recipeDigest: String

    public init(
        id: RunID, workload: WorkloadID, kind: WorkloadKind, container: ContainerSpec, trigger: Trigger, attempt: Int, dueAt: Timestamp?,
        decidedAt: Timestamp, timeout: Duration?, lastOutcome: Outcome?, recipeDigest: String
    ) {
        self.id = id
        self.workload = workload
        self.kind = kind
        self.container = container
        self.trigger = trigger
        self.attempt = attempt
        self.dueAt = dueAt
        self.decidedAt = decidedAt
        self.timeout = timeout
        self.lastOutcome = lastOutcome
        self.recipeDigest = recipeDigest
    }
}
