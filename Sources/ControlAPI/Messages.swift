public import Ledger
public import WorkloadModel

// What travels over the control socket. Times are RFC 3339 in UTC with milliseconds.

/// What the daemon says of itself.
public struct VersionInfo: Codable, Sendable {
    /// The daemon's release, as in ``BerthVersion/current``.
    public var version: String
    /// The daemon's process number, in its own pid namespace.
    public var pid: Int32
    /// The absolute path of the directory that holds the history, logs, images and volumes.
    public var stateDirectory: String
    /// The name of the daemon's engine: `native`.
    public var engine: String

    /// All of its fields.
    public init(version: String, pid: Int32, stateDirectory: String, engine: String) {
        self.version = version
        self.pid = pid
        self.stateDirectory = stateDirectory
        self.engine = engine
    }
}

/// How everything stands.
public struct StatusInfo: Codable, Sendable {
    /// Why nothing can be launched, or why what is written now will be lost; `nil` when all is well.
    public var degraded: String?
    /// The names of the projects that have a recipe, ascending.
    public var projects: [String]
    /// One entry a copy of a service and one a job, ascending by name, then by slot.
    public var workloads: [WorkloadInfo]
    /// `nil` when no run was released by schedule since the daemon started.
    public var startDelays: StartDelays?
    /// What else people are to know, such as a container that fills the disk.
    public var notices: [String]?

    /// All of its fields.
    public init(
        degraded: String?, projects: [String], workloads: [WorkloadInfo], startDelays: StartDelays?, notices: [String]
    ) {
        self.notices = notices
        self.degraded = degraded
        self.projects = projects
        self.workloads = workloads
        self.startDelays = startDelays
    }
}

/// How long after their due times the last runs were released, in milliseconds.
public struct StartDelays: Codable, Sendable {
    /// How many runs the numbers are of: the last ones that this daemon started by schedule, at most 1000.
    public var count: Int
    /// The median, in milliseconds.
    public var medianMilliseconds: Int64
    /// The 99th percentile, in milliseconds.
    public var p99Milliseconds: Int64
    /// The longest delay, in milliseconds.
    public var maximumMilliseconds: Int64

    /// All of its fields.
    public init(count: Int, medianMilliseconds: Int64, p99Milliseconds: Int64, maximumMilliseconds: Int64) {
        self.count = count
        self.medianMilliseconds = medianMilliseconds
        self.p99Milliseconds = p99Milliseconds
        self.maximumMilliseconds = maximumMilliseconds
    }
}

/// The full name of a service or job, and which of these it is.
public struct WorkloadReference: Codable, Sendable {
    /// The name of its project.
    public var project: String
    /// Its name inside the project.
    public var name: String
    /// `service` or `job`.
    public var kind: String

    /// All of its fields.
    public init(project: String, name: String, kind: String) {
        self.project = project
        self.name = name
        self.kind = kind
    }
}

/// How a service or job stands.
public struct WorkloadInfo: Codable, Sendable {
    /// The name of its project.
    public var project: String
    /// Its name inside the project.
    public var name: String
    /// Which of a service's copies; 0 is the only one.
    public var slot: Int?
    /// `service` or `job`.
    public var kind: String
    /// Of a service `starting`, `running`, `stopping`, `waiting`, `backoff`, `stopped`, `exited` or `failed`. Of a job `running`, `no zone`, `paused`,
    /// `retrying`, `waiting` or `idle`.
    public var state: String
    /// Of a service that is asked whether it works: `starting`, `healthy` or `unhealthy`.
    public var health: String?
    /// What it waits for, in words, when it depends on what is not as it must be.
    public var waits_for: String?
    /// When a service came into this state, or when the first run of a running job was released. RFC 3339 in UTC with milliseconds; `nil` for a job
    /// that does not run, or whose run is still starting.
    public var since: String?
    /// How often the restart policy started the service again; 0 for a job.
    public var restarts: Int
    /// A service's next start after its pause; a job's next start that is decided already (a retry, a catch-up, one that is delayed), else its
    /// next due time. RFC 3339 in UTC with milliseconds.
    public var nextAt: String?
    /// The ids of its runs that have not ended.
    public var runs: [String]
    /// How the last run ended, a word of ``WorkloadModel/Outcome``; `nil` for a service that runs, and where no run has ended.
    public var lastOutcome: String?
    /// Of a job, how many runs in a row succeeded, or did not, up to the last. Of a service, its failures in a row.
    public var streak: Int
    /// What `schedule:` or `restart:` says.
    public var policy: String

    /// All of its fields.
    public init(
        project: String, name: String, slot: Int, kind: String, state: String, health: String?, waitsFor: String?, since: String?, restarts: Int,
        nextAt: String?, runs: [String],
        lastOutcome: String?, streak: Int, policy: String
    ) {
        self.project = project
        self.name = name
        self.slot = slot
        self.kind = kind
        self.state = state
        self.health = health
        waits_for = waitsFor
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
    /// RFC 3339 in UTC with milliseconds.
    public var due_at: String
    /// The same on the clock of the schedule's zone.
    public var local: String
    /// The schedule's zone, by its name in the tz database.
    public var zone: String
    /// What a clock change, an exception, a delay or the jobs that it comes after do to it.
    public var note: String?

    /// All of its fields.
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

    /// All of its fields.
    public init(job: String, zone: String, due: [Int64], excluded: [Int64]) {
        self.job = job
        self.zone = zone
        self.due = due
        self.excluded = excluded
    }
}

/// A recipe to be applied or compared.
public struct RecipeUpload: Codable, Sendable {
    /// The file's text with all that its reading depends on.
    public var source: RecipeSource
    /// When images of registries are brought in, whatever the recipe says of them; `nil` is as it says.
    public var pull: PullChoice?

    /// All of its fields.
    public init(source: RecipeSource, pull: PullChoice? = nil) {
        self.source = source
        self.pull = pull
    }
}

/// What a recipe changes, or would change.
public struct PlanInfo: Codable, Sendable {
    /// What becomes of one service or job.
    public struct Step: Codable, Sendable {
        /// Its name inside the project.
        public var name: String
        /// `service` or `job`; where the recipe changes that, the new one.
        public var kind: String
        /// `start`, `stop`, `restart`, `add`, `remove`, `change` or `keep`; see ``Scheduling/RecipePlan/Action``.
        public var action: String
        /// What differs, by the recipe's keys, else `container`, `policy` or `kind`; empty when nothing does. Of a service that rests and is started,
        /// `stopped by hand`, `ended` or `failed` comes first.
        public var reasons: [String]
        /// A job's next due time under the recipe in force, RFC 3339 in UTC with milliseconds; `nil` when there is none, and for services.
        public var nextBefore: String?
        /// A job's next due time under this recipe, RFC 3339 in UTC with milliseconds; `nil` when there is none, and for services.
        public var nextAfter: String?

        /// All of its fields.
        public init(name: String, kind: String, action: String, reasons: [String], nextBefore: String?, nextAfter: String?) {
            self.name = name
            self.kind = kind
            self.action = action
            self.reasons = reasons
            self.nextBefore = nextBefore
            self.nextAfter = nextAfter
        }
    }

    /// The name of the recipe's project.
    public var project: String
    /// One for each service and job of either recipe, ascending by name.
    public var steps: [Step]
    /// What the steps mean that their words do not say.
    public var notes: [String]?

    /// All of its fields.
    public init(project: String, steps: [Step], notes: [String]) {
        self.project = project
        self.steps = steps
        self.notes = notes
    }
}

/// A line of an answer that takes its time: progress, then one result or error.
public struct ProgressLine: Codable, Sendable {
    /// What is being done now, in words; `nil` in the last line.
    public var progress: String?
    /// What the recipe changed; only in the last line, on success.
    public var plan: PlanInfo?
    /// The names of the images that are there now; only in the last line, when images were to be brought in and no more.
    public var images: [String]?
    /// Why nothing was changed; only in the last line, on failure.
    public var error: ErrorInfo?

    /// All of its fields; one of them is given.
    public init(progress: String? = nil, plan: PlanInfo? = nil, images: [String]? = nil, error: ErrorInfo? = nil) {
        self.progress = progress
        self.plan = plan
        self.images = images
        self.error = error
    }
}

/// What came of an action.
public struct ActionInfo: Codable, Sendable {
    /// The run that was started.
    public var run: String?
    /// It waits for its turn.
    public var queued: Bool

    /// All of its fields.
    public init(run: String?, queued: Bool) {
        self.run = run
        self.queued = queued
    }
}

/// One thing that is wrong with a recipe, and where.
public struct ProblemInfo: Codable, Sendable {
    /// The recipe's file, as its sender calls it.
    public var file: String
    /// From 1.
    public var line: Int
    /// From 1, in characters.
    public var column: Int
    /// `error` or `warning`.
    public var severity: String
    /// What is wrong, without the place and the severity.
    public var message: String

    /// All of its fields.
    public init(file: String, line: Int, column: Int, severity: String, message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.severity = severity
        self.message = message
    }
}

/// Why a request failed: the body of every answer that is an error.
public struct ErrorInfo: Codable, Sendable, Error, CustomStringConvertible {
    /// A sentence.
    public var error: String
    /// A recipe's diagnostics, as a compiler prints them.
    public var diagnostics: String?
    /// The same, one by one, for programs.
    public var problems: [ProblemInfo]?

    /// All of its fields.
    public init(error: String, diagnostics: String? = nil, problems: [ProblemInfo]? = nil) {
        self.error = error
        self.diagnostics = diagnostics
        self.problems = problems
    }

    /// The diagnostics, if there are any, and below them the sentence.
    public var description: String { diagnostics.map { "\($0)\n\(error)" } ?? error }
}

/// A workload in full.
public struct InspectInfo: Codable, Sendable {
    /// Its status; of a service with copies, that of the first.
    public var workload: WorkloadInfo
    /// Its container as the recipe has it; values of environment variables are left out.
    public var container: [String: String]
    /// Its last 10 runs, newest first.
    public var runs: [RunInfo]
    /// Its last 10 events, newest first.
    public var events: [EventInfo]
    /// Of a service, its last probes that differ from the ones before them, newest first.
    public var probes: [ProbeInfo]?
    /// How many rows of it the history has forgotten, by what they were: `run succeeded`, `due skipped`, `event`.
    public var forgotten: [String: Int64]?

    /// All of its fields.
    public init(
        workload: WorkloadInfo, container: [String: String], runs: [RunInfo], events: [EventInfo], probes: [ProbeInfo], forgotten: [String: Int64]
    ) {
        self.forgotten = forgotten
        self.workload = workload
        self.container = container
        self.runs = runs
        self.events = events
        self.probes = probes
    }
}
