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
    /// The jobs that it comes after have ended.
    case after
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

/// The end of a run that a job was waiting for, in a chain.
public struct Arrival: Hashable, Sendable, Codable {
    public let job: WorkloadName
    public let run: RunID
    public let outcome: Outcome

    public init(job: WorkloadName, run: RunID, outcome: Outcome) {
        self.job = job
        self.run = run
        self.outcome = outcome
    }
}

/// What somebody changed for one run by hand.
public struct RunChanges: Hashable, Sendable, Codable {
    /// Added to the job's environment, or in place of what it has.
    public var environment: [String: EnvironmentValue]
    /// In place of the job's command, as `docker compose run` has it; `nil` keeps it.
    public var command: [String]?
    /// A past due time to run for; it is not used up again.
    public var dueAt: Timestamp?

    public init(environment: [String: EnvironmentValue] = [:], command: [String]? = nil, dueAt: Timestamp? = nil) {
        self.environment = environment
        self.command = command
        self.dueAt = dueAt
    }

    public var isEmpty: Bool { environment.isEmpty && command == nil && dueAt == nil }

    /// The container with the changes made.
    public func applied(to container: ContainerSpec) -> ContainerSpec {
        var changed = container
        changed.environment.merge(environment) { _, new in new }
        if let command { changed.command = command }
        return changed
    }

    /// For the history: values of variables are left out, as everywhere.
    public var summary: String? {
        var words = environment.keys.sorted().map { "env \($0)" }
        if let command { words.append("command \(command.joined(separator: " "))") }
        if let dueAt { words.append("for \(dueAt)") }
        return words.isEmpty ? nil : words.joined(separator: "; ")
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
    /// The ends that set it off, in a chain of jobs; the latest is last.
    public let arrivals: [Arrival]
    /// What somebody changed for this run alone, in words without secrets.
    public let changes: String?

    public init(
        id: RunID, workload: WorkloadID, kind: WorkloadKind, container: ContainerSpec, trigger: Trigger, attempt: Int, dueAt: Timestamp?,
        decidedAt: Timestamp, timeout: Duration?, lastOutcome: Outcome?, recipeDigest: String, arrivals: [Arrival] = [],
        changes: String? = nil
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
        self.arrivals = arrivals
        self.changes = changes
    }
}
