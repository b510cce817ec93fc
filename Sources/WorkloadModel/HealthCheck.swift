public import Schedules

/// What a recipe, or an image, says of how a service is asked whether it works. What is `nil` is left to the other one, and then to the defaults.
public struct HealthCheckSpec: Hashable, Sendable, Codable {
    /// What is run inside the container: it works when that exits with 0.
    public enum Test: Hashable, Sendable, Codable {
        /// Words, found along PATH.
        case command([String])
        /// A text for a shell; `nil` is /bin/sh.
        case shell(String, shell: [String]? = nil)
        /// Nothing is run, whatever the image says.
        case disabled
    }

    /// What is run.
    public var test: Test?
    /// Between the end of one probe and the beginning of the next.
    public var interval: Duration?
    /// How long one probe may take.
    public var timeout: Duration?
    /// How many probes in a row must fail.
    public var retries: Int?
    /// How long after the start failures do not count, unless a probe has succeeded before.
    public var startPeriod: Duration?
    /// Between probes in that time.
    public var startInterval: Duration?

    /// Says nothing.
    public init(test: Test? = nil) {
        self.test = test
    }

    /// The health check in force: each part is the recipe's, or else the image's, or else Docker's default; `nil` when nothing is run.
    public static func resolve(_ own: Shared<HealthCheckSpec>?, image: HealthCheckSpec?) -> HealthCheck? { resolve(own?.value, image: image) }

    /// The same of what is at hand.
    public static func resolve(_ own: HealthCheckSpec?, image: HealthCheckSpec?) -> HealthCheck? {
        let command: [String]
        switch own?.test ?? image?.test {
        case .command(let words): command = words
        case .shell(let text, let shell): command = (shell ?? ["/bin/sh", "-c"]) + [text]
        case .disabled, nil: return nil
        }
        return HealthCheck(
            command: command, interval: own?.interval ?? image?.interval ?? .seconds(30), timeout: own?.timeout ?? image?.timeout ?? .seconds(30),
            retries: own?.retries ?? image?.retries ?? 3, startPeriod: own?.startPeriod ?? image?.startPeriod ?? .zero,
            startInterval: own?.startInterval ?? image?.startInterval)
    }
}

/// How a service is asked whether it works.
public struct HealthCheck: Hashable, Sendable, Codable {
    /// Run inside the container; never empty.
    public let command: [String]
    /// Between the end of one probe and the beginning of the next.
    public let interval: Duration
    /// How long one probe may take.
    public let timeout: Duration
    /// How many probes in a row must fail.
    public let retries: Int
    /// How long after the start failures do not count, unless a probe has succeeded before.
    public let startPeriod: Duration
    /// Between probes in that time; `nil` lets Berth ask early and often.
    public let startInterval: Duration?

    /// Memberwise.
    public init(
        command: [String], interval: Duration = .seconds(30), timeout: Duration = .seconds(30), retries: Int = 3, startPeriod: Duration = .zero,
        startInterval: Duration? = nil
    ) {
        self.command = command
        self.interval = interval
        self.timeout = timeout
        self.retries = retries
        self.startPeriod = startPeriod
        self.startInterval = startInterval
    }
}

/// What one probe of a service came to.
public struct Probe: Hashable, Sendable {
    /// How its command ended.
    public enum Result: Hashable, Sendable {
        /// It works when the code is 0.
        case exited(Int32)
        /// It took longer than it may.
        case timedOut
        /// It could not be run, or a signal ended it; the sentence says which.
        case failed(String)
    }

    /// When it began.
    public let at: Timestamp
    /// How long it took.
    public let duration: Duration
    /// How its command ended.
    public let result: Result
    /// The beginning of what it wrote, both streams together; at most 4096 bytes.
    public let output: String

    /// Memberwise.
    public init(at: Timestamp, duration: Duration, result: Result, output: String) {
        self.at = at
        self.duration = duration
        self.result = result
        self.output = output
    }

    /// Whether the service works.
    public var isSuccess: Bool { result == .exited(0) }

    /// How it ended, for people: `exit code 1: no connection`.
    public var sentence: String {
        let end =
            switch result {
            case .exited(let code): "exit code \(code)"
            case .timedOut: "no answer in time"
            case .failed(let sentence): sentence
            }
        let line = output.split(whereSeparator: \.isNewline).first.map { ": \($0.prefix(200))" } ?? ""
        return end + line
    }
}

/// What becomes of a service that is unhealthy.
public enum UnhealthyPolicy: String, Sendable, CaseIterable {
    /// It is said, and nothing done: as Docker.
    case nothing
    /// Its run is stopped, and another one is started after the pause that failures in a row have.
    case restart
    /// Its run is stopped, and a person has to look.
    case stop
}

/// What must be true of a service before one that depends on it is started.
public struct Dependency: Hashable, Sendable {
    /// Compose's conditions.
    public enum Condition: String, Sendable, CaseIterable {
        /// Its command was released.
        case started = "service_started"
        /// Its last probe succeeded.
        case healthy = "service_healthy"
        /// It ended with exit code 0.
        case completed = "service_completed_successfully"
    }

    /// What must be true.
    public var condition: Condition
    /// Whether the one that depends on it is not started without it; else it is only waited for as long as it may still come.
    public var required: Bool
    /// Whether a restart by hand, or a new recipe's, of the one restarts the other.
    public var restart: Bool

    /// The defaults are those of Compose's short form.
    public init(condition: Condition = .started, required: Bool = true, restart: Bool = false) {
        self.condition = condition
        self.required = required
        self.restart = restart
    }

    /// What is waited for, in words.
    public func words(for name: WorkloadName) -> String {
        switch condition {
        case .started: "after \(name)"
        case .healthy: "once \(name) is healthy"
        case .completed: "once \(name) has succeeded"
        }
    }
}
