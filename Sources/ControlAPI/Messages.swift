public import Ledger
public import WorkloadModel

// What travels over the control socket. Times are RFC 3339 in UTC with milliseconds.

public struct VersionInfo: Codable, Sendable {
    public var version: String
    public var pid: Int32
    public var stateDirectory: String
    public var engine: String

    public init(version: String, pid: Int32, stateDirectory: String, engine: String) {
        self.version = version
        self.pid = pid
        self.stateDirectory = stateDirectory
        self.engine = engine
    }
}

/// How everything stands.
public struct StatusInfo: Codable, Sendable {
    /// Why nothing can be launched, `nil` when all is well.
    public var degraded: String?
    public var projects: [String]
    public var workloads: [WorkloadInfo]
    public var startDelays: StartDelays?
    /// What else people are to know, such as a container that fills the disk.
    public var notices: [String]?

    public init(degraded: String?, projects: [String], workloads: [WorkloadInfo], startDelays: StartDelays?, notices: [String]) {
        self.notices = notices
        self.degraded = degraded
        self.projects = projects
        self.workloads = workloads
        self.startDelays = startDelays
    }
}

/// How long after their due times the last runs were released, in milliseconds.
public struct StartDelays: Codable, Sendable {
    public var count: Int
    public var medianMilliseconds: Int64
    public var p99Milliseconds: Int64
    public var maximumMilliseconds: Int64

    public init(count: Int, medianMilliseconds: Int64, p99Milliseconds: Int64, maximumMilliseconds: Int64) {
        self.count = count
        self.medianMilliseconds = medianMilliseconds
        self.p99Milliseconds = p99Milliseconds
        self.maximumMilliseconds = maximumMilliseconds
    }
}

/// The full name of a service or job, and which of these it is.
public struct WorkloadReference: Codable, Sendable {
    public var project: String
    public var name: String
    /// `service` or `job`.
    public var kind: String

    public init(project: String, name: String, kind: String) {
        self.project = project
        self.name = name
        self.kind = kind
    }
}

/// How a service or job stands.
public struct WorkloadInfo: Codable, Sendable {
    public var project: String
    public var name: String
    /// Which of a service's copies; 0 is the only one.
    public var slot: Int?
    public var kind: String
    public var state: String
    public var since: String?
    public var restarts: Int
    /// A service's next start after its pause, or a job's next due time.
    public var nextAt: String?
    public var runs: [String]
    public var lastOutcome: String?
    public var streak: Int
    /// What `schedule:` or `restart:` says.
    public var policy: String

    public init(
        project: String, name: String, slot: Int, kind: String, state: String, since: String?, restarts: Int, nextAt: String?, runs: [String],
        lastOutcome: String?, streak: Int, policy: String
    ) {
        self.project = project
        self.name = name
        self.slot = slot
        self.kind = kind
        self.state = state
        self.since = since
        self.restarts = restarts
        self.nextAt = nextAt
        self.runs = runs
        self.lastOutcome = lastOutcome
        self.streak = streak
        self.policy = policy
    }
}

/// One coming due time.
public struct NextInfo: Codable, Sendable {
    /// `PROJECT/NAME`.
    public var job: String
    public var due_at: String
    /// The same on the clock of the schedule's zone.
    public var local: String
    public var zone: String
    /// What a clock change or an exception does to it.
    public var note: String?

    public init(job: String, due_at: String, local: String, zone: String, note: String?) {
        self.job = job
        self.due_at = due_at
        self.local = local
        self.zone = zone
        self.note = note
    }
}

/// A job's due times of one month, day by day.
public struct MonthInfo: Codable, Sendable {
    /// `PROJECT/NAME`.
    public var job: String
    /// The zone whose days are counted.
    public var zone: String
    /// Due times of each day of the month, from its first.
    public var due: [Int64]
    /// Of those, how many are excluded.
    public var excluded: [Int64]

    public init(job: String, zone: String, due: [Int64], excluded: [Int64]) {
        self.job = job
        self.zone = zone
        self.due = due
        self.excluded = excluded
    }
}

/// A recipe to be applied or compared.
public struct RecipeUpload: Codable, Sendable {
    public var source: RecipeSource

    public init(source: RecipeSource) {
        self.source = source
    }
}

public struct PlanInfo: Codable, Sendable {
    public struct Step: Codable, Sendable {
        public var name: String
        public var kind: String
        public var action: String
        public var reasons: [String]
        public var nextBefore: String?
        public var nextAfter: String?

        public init(name: String, kind: String, action: String, reasons: [String], nextBefore: String?, nextAfter: String?) {
            self.name = name
            self.kind = kind
            self.action = action
            self.reasons = reasons
            self.nextBefore = nextBefore
            self.nextAfter = nextAfter
        }
    }

    public var project: String
    public var steps: [Step]
    /// What the steps mean that their words do not say.
    public var notes: [String]?

    public init(project: String, steps: [Step], notes: [String]) {
        self.project = project
        self.steps = steps
        self.notes = notes
    }
}

/// A line of an answer that takes its time: progress, then one result or error.
public struct ProgressLine: Codable, Sendable {
    public var progress: String?
    public var plan: PlanInfo?
    public var error: ErrorInfo?

    public init(progress: String? = nil, plan: PlanInfo? = nil, error: ErrorInfo? = nil) {
        self.progress = progress
        self.plan = plan
        self.error = error
    }
}

/// What came of an action.
public struct ActionInfo: Codable, Sendable {
    /// The run that was started.
    public var run: String?
    /// It waits for its turn.
    public var queued: Bool

    public init(run: String?, queued: Bool) {
        self.run = run
        self.queued = queued
    }
}

/// One thing that is wrong with a recipe, and where.
public struct ProblemInfo: Codable, Sendable {
    public var file: String
    /// From 1.
    public var line: Int
    /// From 1, in characters.
    public var column: Int
    /// `error` or `warning`.
    public var severity: String
    public var message: String

    public init(file: String, line: Int, column: Int, severity: String, message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.severity = severity
        self.message = message
    }
}

public struct ErrorInfo: Codable, Sendable, Error, CustomStringConvertible {
    /// A sentence.
    public var error: String
    /// A recipe's diagnostics, as a compiler prints them.
    public var diagnostics: String?
    /// The same, one by one, for programs.
    public var problems: [ProblemInfo]?

    public init(error: String, diagnostics: String? = nil, problems: [ProblemInfo]? = nil) {
        self.error = error
        self.diagnostics = diagnostics
        self.problems = problems
    }

    public var description: String { diagnostics.map { "\($0)\n\(error)" } ?? error }
}

/// A workload in full.
public struct InspectInfo: Codable, Sendable {
    public var workload: WorkloadInfo
    /// Its container as the recipe has it; values of environment variables are left out.
    public var container: [String: String]
    public var runs: [RunInfo]
    public var events: [EventInfo]

    public init(workload: WorkloadInfo, container: [String: String], runs: [RunInfo], events: [EventInfo]) {
        self.workload = workload
        self.container = container
        self.runs = runs
        self.events = events
    }
}
