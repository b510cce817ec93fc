import Schedules

/// When a service is started again after its container ended. The names are Docker's.
public enum RestartPolicy: Hashable, Sendable, CustomStringConvertible {
    /// Never.
    case no
    /// After a failure or an end that nobody saw; at most `limit` times in a row, `nil` for ever.
    case onFailure(limit: Int?)
    /// After every end. A service that was stopped by hand stays stopped.
    case always
    /// As ``always``.
    case unlessStopped

    /// Docker's form: `no`, `on-failure`, `on-failure:3`, `always`, `unless-stopped`.
    public var description: String {
        switch self {
        case .no: "no"
        case .onFailure(let limit): limit.map { "on-failure:\($0)" } ?? "on-failure"
        case .always: "always"
        case .unlessStopped: "unless-stopped"
        }
    }

    /// Reads Docker's form; `nil` when it is none of them.
    public init?(_ text: String) {
        switch text {
        case "no": self = .no
        case "always": self = .always
        case "unless-stopped": self = .unlessStopped
        case "on-failure": self = .onFailure(limit: nil)
        default:
            guard text.hasPrefix("on-failure:"), let limit = Int(text.dropFirst(11)), limit > 0 else { return nil }
            self = .onFailure(limit: limit)
        }
    }
}

/// What happens when a job is due while a run of it is still going.
public enum OverlapPolicy: String, Sendable, CaseIterable {
    /// The due time is skipped.
    case skip
    /// One waits; more are skipped.
    case queue
    /// The running one is stopped, then the new one starts.
    case replace
    /// The new run starts beside the running one.
    case allow
}

/// Which due times that passed unattended are run afterwards.
public struct MissedPolicy: Hashable, Sendable {
    /// Which missed due times are run: the latest one, none, or the newest ones up to ``limit``.
    public enum Kind: String, Sendable, CaseIterable {
        case last, skip, all
    }

    /// Which missed due times are run.
    public var kind: Kind
    /// How old a due time may be; `nil` is, for `last`, the job's period but at most 24 h, and no bound for `all`.
    public var window: Duration?
    /// How many at most, for `all`.
    public var limit: Int

    /// - Parameters:
    ///   - window: `nil` is the default of `kind`, see ``window``
    ///   - limit: only counts for `all`
    public init(kind: Kind = .last, window: Duration? = nil, limit: Int = 100) {
        self.kind = kind
        self.window = window
        self.limit = limit
    }
}

/// How often, and after which pauses, a failed run of a job is tried again.
public struct RetryPolicy: Hashable, Sendable {
    /// Retries after the first attempt; 0 is none.
    public var limit: Int
    /// The pause before the first retry, without jitter.
    public var backoff: Duration
    /// Each further pause is this many times the one before; at least 1 in a recipe.
    public var factor: Double
    /// The longest pause, without jitter.
    public var maximumBackoff: Duration
    /// Each pause is up to this much longer, at random, so that neighbours do not try again as one.
    public var jitter: Duration

    /// The default is no retry. With a `limit` alone, pauses begin at 10 s and double up to 10 min.
    public init(
        limit: Int = 0, backoff: Duration = .seconds(10), factor: Double = 2, maximumBackoff: Duration = .seconds(600), jitter: Duration = .zero
    ) {
        self.limit = limit
        self.backoff = backoff
        self.factor = factor
        self.maximumBackoff = maximumBackoff
        self.jitter = jitter
    }

    /// The pause before the retry that follows `attempt`, counted from 1; without its jitter.
    public func delay(afterAttempt attempt: Int) -> Duration {
        var milliseconds = Double(backoff.wholeMilliseconds)
        let most = Double(maximumBackoff.wholeMilliseconds)
        for _ in 1..<max(attempt, 1) where milliseconds < most { milliseconds *= factor }
        return .milliseconds(Int64(min(milliseconds, most)))
    }
}

/// How a job that another comes `after` must have ended.
public enum AfterCondition: String, Sendable, CaseIterable {
    /// ``Outcome/succeeded`` only.
    case success
    /// A failure, or an end that nobody saw. A run that somebody stopped is neither a success nor a failure.
    case failure
    /// Any end.
    case always

    /// Whether a run with this outcome meets the condition.
    public func holds(for outcome: Outcome) -> Bool {
        switch self {
        case .success: outcome == .succeeded
        case .failure: outcome.isFailure || outcome == .lost
        case .always: true
        }
    }
}

/// How much of a job's past is kept.
public struct KeepPolicy: Hashable, Sendable {
    /// Finished runs, with their logs; `nil` is what the daemon keeps of every workload.
    public var runs: Int?
    /// How old a run, a due time or an event may become; `nil` is what the daemon keeps.
    public var days: Int?
    /// The most bytes that the log of one run takes on disk; `nil` is the engine's own bound.
    public var logBytes: Int64?

    /// `nil` leaves a bound to the daemon or the engine.
    public init(runs: Int? = nil, days: Int? = nil, logBytes: Int64? = nil) {
        self.runs = runs
        self.days = days
        self.logBytes = logBytes
    }
}

/// What becomes of a run whose end nobody saw.
public enum LostPolicy: String, Sendable, CaseIterable {
    /// It is recorded as lost, and not run again.
    case record
    /// It is run again, at most once: at-least-once for jobs that want it.
    case rerun
}
