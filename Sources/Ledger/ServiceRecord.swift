public import Schedules
public import WorkloadModel

/// What the history keeps of a service's present state, a record an instance.
public struct ServiceRecord: Hashable, Sendable {
    /// Where a service is between two starts.
    public enum Phase: Hashable, Sendable {
        /// A run of it is not released yet, is released, or was told to stop.
        case starting, running, stopping
        /// It is to be on, and what it depends on is not as it must be.
        case waiting
        /// It ended, and is started again then.
        case backoff(until: Timestamp)
        /// Somebody stopped it.
        case stopped
        /// It ended, and its policy does not start it again.
        case exited
        /// It failed as often in a row as its policy allows.
        case failed

        /// The word that the history and people see.
        public var name: String {
            switch self {
            case .starting: "starting"
            case .running: "running"
            case .stopping: "stopping"
            case .waiting: "waiting"
            case .backoff: "backoff"
            case .stopped: "stopped"
            case .exited: "exited"
            case .failed: "failed"
            }
        }

        /// When it is started again; `nil` where no time is set.
        public var nextStartAt: Timestamp? { if case .backoff(let until) = self { until } else { nil } }

        /// - Parameter until: the next start, of a service that waits for one
        public init?(name: String, until: Timestamp) {
            let all: [Phase] = [.starting, .running, .stopping, .waiting, .backoff(until: until), .stopped, .exited, .failed]
            guard let phase = all.first(where: { $0.name == name }) else { return nil }
            self = phase
        }

        /// Whether nothing but a person starts it.
        public var rests: Bool { self == .stopped || self == .exited || self == .failed }
    }

    /// The service and which of its copies.
    public let id: InstanceID
    /// Whether it is to be on; a user's stop sets it to false, and that survives everything.
    public var wanted: Bool
    /// Where it is now.
    public var phase: Phase
    /// When it came into its phase.
    public var since: Timestamp
    /// How often its policy started it again after an end, since the recipe asked for it; starts by hand do not count.
    public var restarts = 0
    /// Failures in a row; it sets the pause before the next start.
    public var failures = 0
    /// Its last run.
    public var runID: RunID?
    /// It rises whenever another container is to take the place of the one that runs: a restart by hand, a changed recipe. A run
    /// of an older generation is stopped, and when nothing runs, the present one is started.
    public var generation = 0
    /// The end of its last run, when that came while its recipe could not be read: the policy decides on it once it can.
    public var unheard: ServiceEnd?

    /// What its probes say of the run that it has, or had at last; `nil` when that has no health check.
    public var health: ServiceHealth?
    /// How its last run ended; `nil` while it has one, and when it never had.
    public var lastOutcome: Outcome?

    /// A record without restarts, failures, a run or an end, of generation 0.
    public init(id: InstanceID, wanted: Bool, phase: Phase, since: Timestamp) {
        self.id = id
        self.wanted = wanted
        self.phase = phase
        self.since = since
    }
}

/// What the probes of a service's run say.
public struct ServiceHealth: Hashable, Sendable {
    /// Docker's words.
    public enum State: String, Sendable, Codable, CaseIterable {
        /// None has succeeded yet, and not enough have failed.
        case starting
        /// The last one succeeded, or not enough have failed since one did.
        case healthy
        /// As many in a row have failed as its health check says.
        case unhealthy
    }

    /// What they say.
    public var state = State.starting
    /// Since when they say it.
    public var since: Timestamp
    /// Failures in a row that count.
    public var failures = 0
    /// When the last one that counts began.
    public var countedAt: Timestamp?
    /// Whether one has succeeded since the start.
    public var hasWorked = false
    /// Whether its run was told to end because it is unhealthy.
    public var isEnding = false

    /// That of a run that begins.
    public init(since: Timestamp) {
        self.since = since
    }
}
