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

/// What the history keeps of a job's present state.
public struct JobRecord: Hashable, Sendable {
    public let id: WorkloadID
    public var paused: Bool
    /// Every due time up to here is accounted for: it has a row, or waits in `pending`.
    public var cursor: Timestamp
    /// The boot whose `@reboot` is done.
    public var bootID: String
    public var lastOutcome: Outcome?
    /// Runs that ended like the last one, in a row, by success and failure.
    public var streak: Int
    public var pending: [PendingStart]
    /// Of the jobs that it comes after, the ends that count for its next start; the latest is last. Without a schedule, those
    /// that were as they must be since a chain last started it; with one, those since a due time of it began to wait.
    public var arrivals: [Arrival]
    /// How often its due times began anew because the clock was set far back. A due time has one row in each era.
    public var era: Int
    /// How far due times were accounted for before the clock was set far back: those up to here are not missed once more
    /// when the clock comes forward again.
    public var seen: Timestamp?

    public init(
        id: WorkloadID, paused: Bool = false, cursor: Timestamp, bootID: String, lastOutcome: Outcome? = nil, streak: Int = 0,
        pending: [PendingStart] = [], arrivals: [Arrival] = [], era: Int = 0, seen: Timestamp? = nil
    ) {
        self.id = id
        self.paused = paused
        self.cursor = cursor
        self.bootID = bootID
        self.lastOutcome = lastOutcome
        self.streak = streak
        self.pending = pending
        self.arrivals = arrivals
        self.era = era
        self.seen = seen
    }
}

/// A start that is decided but not due yet, or waits for its turn.
public struct PendingStart: Hashable, Sendable, Codable {
    public var trigger: Trigger
    public var dueAt: Timestamp?
    public var attempt: Int
    public var notBefore: Timestamp
    /// Whether it waits for the job to be idle; a due time that only waits for its jitter to be over does not.
    public var queued: Bool
    /// The ends that set it off, in a chain of jobs; `nil` is none.
    public var arrivals: [Arrival]?
    /// What somebody changed for it.
    public var changes: RunChanges?
    /// Of a retry: the run that is tried again.
    public var retryOf: RunID?
    /// Of a due time: what a clock change did to it, for the history.
    public var note: String?

    public init(
        trigger: Trigger, dueAt: Timestamp?, attempt: Int = 1, notBefore: Timestamp, queued: Bool, arrivals: [Arrival]? = nil,
        changes: RunChanges? = nil, retryOf: RunID? = nil, note: String? = nil
    ) {
        self.trigger = trigger
        self.dueAt = dueAt
        self.attempt = attempt
        self.notBefore = notBefore
        self.queued = queued
        self.arrivals = arrivals
        self.changes = changes
        self.retryOf = retryOf
        self.note = note
    }
}

/// What became of a due time, or of a stretch of them.
public struct DueRecord: Hashable, Sendable {
    public let workload: WorkloadID
    /// The due time; of a stretch the last.
    public let dueAt: Timestamp
    /// The first of a stretch; the same as `dueAt` for a single one.
    public let firstDueAt: Timestamp
    public let result: DueResult
    public let reason: DueReason?
    /// How many due times the record stands for.
    public let count: Int64
    public let runID: RunID?
    /// Wall times that a clock change moved to this due time, for people to read.
    public let note: String?
    /// ``JobRecord/era``.
    public let era: Int

    public init(
        workload: WorkloadID, dueAt: Timestamp, firstDueAt: Timestamp? = nil, result: DueResult, reason: DueReason? = nil, count: Int64 = 1,
        runID: RunID? = nil, note: String? = nil, era: Int = 0
    ) {
        self.workload = workload
        self.dueAt = dueAt
        self.firstDueAt = firstDueAt ?? dueAt
        self.result = result
        self.reason = reason
        self.count = count
        self.runID = runID
        self.note = note
        self.era = era
    }
}

/// Something that happened and that a person may ask about later.
public struct EventRecord: Hashable, Sendable {
    public let at: Timestamp
    public let project: ProjectName?
    public let workload: WorkloadName?
    public let runID: RunID?
    /// A word: `applied`, `stopped-by-user`, `clock-set`, ...
    public let kind: String
    /// Who did it: `uid 0`, `berthd`.
    public let actor: String
    public let text: String

    public init(
        at: Timestamp, project: ProjectName? = nil, workload: WorkloadName? = nil, runID: RunID? = nil, kind: String, actor: String, text: String
    ) {
        self.at = at
        self.project = project
        self.workload = workload
        self.runID = runID
        self.kind = kind
        self.actor = actor
        self.text = text
    }
}

/// A run as the history opened it.
public struct RunOpening: Hashable, Sendable {
    public let request: RunRequest
    /// The boot of the host in which it was decided.
    public let bootID: String
    /// ``ContainerSpec/fingerprint`` of what was started.
    public let fingerprint: String
    /// ``ServiceRecord/generation`` that it was started for; 0 for a job.
    public let generation: Int

    package init(request: RunRequest, bootID: String, fingerprint: String, generation: Int = 0) {
        self.request = request
        self.bootID = bootID
        self.fingerprint = fingerprint
        self.generation = generation
    }
}

/// A run that the history has not closed.
public struct OpenRun: Hashable, Sendable {
    public let id: RunID
    public let workload: WorkloadID
    public let kind: WorkloadKind
    public let trigger: Trigger
    public let attempt: Int
    public let dueAt: Timestamp?
    public let decidedAt: Timestamp
    public let state: RunState
    public let startedAt: Timestamp?
    public let bootID: String
    public let fingerprint: String
    public let arrivals: [Arrival]
    public let changes: String?
    /// ``ServiceRecord/generation`` that it was started for; 0 for a job.
    public let generation: Int
    /// Why it is to end; `nil` when nobody asked. Whoever finds the run goes on with its stop.
    public var stopReason: String?

    public init(
        id: RunID, workload: WorkloadID, kind: WorkloadKind, trigger: Trigger, attempt: Int, dueAt: Timestamp?, decidedAt: Timestamp,
        state: RunState, startedAt: Timestamp?, bootID: String, fingerprint: String,
        arrivals: [Arrival] = [], changes: String? = nil, generation: Int = 0, stopReason: String? = nil
    ) {
        self.generation = generation
        self.stopReason = stopReason
        self.id = id
        self.workload = workload
        self.kind = kind
        self.trigger = trigger
        self.attempt = attempt
        self.dueAt = dueAt
        self.decidedAt = decidedAt
        self.state = state
        self.startedAt = startedAt
        self.bootID = bootID
        self.fingerprint = fingerprint
        self.arrivals = arrivals
        self.changes = changes
    }
}
