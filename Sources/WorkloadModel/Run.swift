public import Schedules

/// Whether a workload is kept on or runs at its time.
public enum WorkloadKind: String, Sendable, Codable, CaseIterable {
    /// A service is kept on; a job runs at its times or by hand.
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
    /// `starting` until the command is released, then `running` until the end is recorded.
    case starting, running, finished
}

/// How a run ended.
public enum Outcome: String, Sendable, Codable, CaseIterable {
    /// It exited with one of the job's success codes; of a service, with 0.
    case succeeded
    /// It exited with another code, or a signal ended it.
    case failed
    /// Berth ended it because the job's `timeout` ran out.
    case timedOut = "timed-out"
    /// It was killed for want of memory: by signal 9, or with exit code 137, and its cgroup counts an OOM kill.
    case oomKilled = "oom-killed"
    /// Berth ended it because somebody asked: a user's stop, a new recipe, the host's shutdown.
    case stopped
    /// The command could not be started; nothing of it ran.
    case startError = "start-error"
    /// Nobody saw the end. Never a success.
    case lost

    /// Whether a retry policy, or a restart on failure, applies. A restart on failure also follows ``lost``.
    public var isFailure: Bool {
        switch self {
        case .failed, .timedOut, .oomKilled, .startError: true
        case .succeeded, .stopped, .lost: false
        }
    }
}

/// The end of a run that a job was waiting for, in a chain.
public struct Arrival: Hashable, Sendable, Codable {
    /// The job whose run ended, of the same project.
    public let job: WorkloadName
    /// The run that ended.
    public let run: RunID
    /// How it ended.
    public let outcome: Outcome

    /// Memberwise.
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

    /// Without arguments, no change.
    public init(environment: [String: EnvironmentValue] = [:], command: [String]? = nil, dueAt: Timestamp? = nil) {
        self.environment = environment
        self.command = command
        self.dueAt = dueAt
    }

    /// Whether nothing is changed.
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

/// One run: one execution of one container. It is never used again; a restart is a new run.
public struct Run: Hashable, Sendable, Codable {
    /// Unique among all runs of the host's history.
    public let id: RunID
    /// The service's copy, or the job, that it is a run of.
    public let instance: InstanceID
    /// The workload's kind when the run was decided.
    public let kind: WorkloadKind
    /// Why it was started.
    public let trigger: Trigger
    /// When its start was decided.
    public let decidedAt: Timestamp
    /// 1 for the first try.
    public var attempt = 1
    /// The due time that it runs for, also for a retry or catch-up of it.
    public var dueAt: Timestamp?
    /// ``Recipe/digest`` of the recipe that it is run by.
    public var recipeDigest = ""
    /// The boot of the host in which it was decided.
    public var bootID = ""
    /// ``ContainerSpec/fingerprint`` of what is started.
    public var fingerprint = ""
    /// The generation of the service that it was started for; 0 for a job.
    public var generation = 0
    /// The ends that set it off, in a chain of jobs; the latest is last.
    public var arrivals: [Arrival] = []
    /// Of a retry or a rerun, the run that it tries again.
    public var retryOf: RunID?
    /// What somebody changed for this run alone.
    public var changes: RunChanges?
    /// Of a run that an earlier release started, and whose changes it kept only in words: these.
    public var forgottenChanges: String?
    /// What it runs from, as its recipe names it; with its digest once it was started. `nil` without an image.
    public var image: String?
    /// When its command was released; `nil` while it is starting.
    public var startedAt: Timestamp?
    /// Why it is to end; `nil` when nobody asked. Written before the first signal, and honoured by whoever finds the run next.
    public var stopReason: String?
    /// Runs that must end before this run is told to stop, since they depend on it; ascending.
    public var stopAfter: [RunID] = []

    /// A run that has not started: its first attempt, without a due time, arrivals or changes.
    public init(id: RunID, instance: InstanceID, kind: WorkloadKind, trigger: Trigger, decidedAt: Timestamp) {
        self.id = id
        self.instance = instance
        self.kind = kind
        self.trigger = trigger
        self.decidedAt = decidedAt
    }

    /// The workload of its instance.
    public var workload: WorkloadID { instance.workload }

    /// How far it has come, of a run that has not ended.
    public var state: RunState { startedAt == nil ? .starting : .running }
}

/// What an engine needs to know to start a run.
@dynamicMemberLookup
public struct RunRequest: Hashable, Sendable {
    /// The run to start.
    public let run: Run
    /// What to start, with the changes of ``Run/changes`` made.
    public let container: ContainerSpec
    /// How long it may take from its start; `nil` is no limit.
    public let timeout: Duration?
    /// How the job's run before it ended.
    public let lastOutcome: Outcome?

    /// - Parameter lastOutcome: `nil` when the job has not run yet, or for a service
    public init(run: Run, container: ContainerSpec, timeout: Duration? = nil, lastOutcome: Outcome? = nil) {
        self.run = run
        self.container = container
        self.timeout = timeout
        self.lastOutcome = lastOutcome
    }

    /// The properties of ``run``.
    public subscript<Value>(dynamicMember path: KeyPath<Run, Value>) -> Value { run[keyPath: path] }
}
