public import Ledger
internal import Schedules
public import WorkloadModel

/// Values in buckets, as Prometheus' histograms have them.
public struct Histogram: Sendable, Hashable {
    /// The upper end of each bucket, ascending; a last one without an end comes after them.
    public let bounds: [Double]
    /// How many values are in each bucket, the last one included; not added up.
    public private(set) var counts: [Int64]
    /// Of all values.
    public private(set) var sum = 0.0

    /// An empty histogram.
    public init(bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    /// Takes a value in.
    public mutating func add(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
    }
}

/// What is counted of runs and due times since the daemon began, from what became durable. A program that gathers such counters
/// knows by a value that falls that they began anew.
public struct RunMetrics: Sendable {
    /// Of one service or job.
    public struct Entry: Sendable, Hashable {
        /// Runs that ended, by outcome.
        public var outcomes: [Outcome: Int64] = [:]
        /// Due times by what became of them; a reason is there of those that did not run.
        public var dueTimes: [DueKind: Int64] = [:]
        /// Seconds from the release of user code to its end.
        public var durations = Histogram(bounds: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400])
        /// Processor time of ended runs, in microseconds.
        public var cpuMicroseconds: Int64 = 0
        /// The highest use of the last run that ended.
        public var memoryPeakBytes: Int64 = 0
        /// Bytes of logs that were let go.
        public var droppedLogBytes: Int64 = 0

        /// Nothing is counted yet.
        public init() {}
    }

    /// What became of due times.
    public struct DueKind: Sendable, Hashable {
        /// Whether they ran, or not.
        public let result: DueResult
        /// `nil` of those that ran.
        public let reason: DueReason?

        /// Both of its fields.
        public init(result: DueResult, reason: DueReason?) {
            self.result = result
            self.reason = reason
        }
    }

    /// By service or job.
    public private(set) var entries: [WorkloadID: Entry] = [:]
    /// Seconds from a due time to the release of user code, with what `jitter`, a pool or a dependency delayed them by.
    public private(set) var startDelays = Histogram(bounds: [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300])
    private var owners: [RunID: WorkloadID] = [:]

    /// Nothing is counted yet.
    public init() {}

    /// Runs that go on, from an earlier daemon.
    public mutating func know(_ runs: [Run]) { for run in runs { owners[run.id] = run.instance.workload } }

    /// Takes in what became durable.
    public mutating func take(_ writes: [Write]) {
        for write in writes {
            switch write {
            case .openRun(let run): owners[run.id] = run.instance.workload
            case .closeRun(let run, let outcome, let status, _):
                guard let owner = owners.removeValue(forKey: run) else { continue }
                entries[owner, default: Entry()].outcomes[outcome, default: 0] += 1
                entries[owner]?.cpuMicroseconds += status.usage.cpuMicroseconds
                entries[owner]?.memoryPeakBytes = status.usage.memoryPeakBytes
                entries[owner]?.droppedLogBytes += status.usage.logDroppedBytes
                if let started = status.startedAt, outcome != .lost {
                    entries[owner]?.durations.add(Double(max(0, (status.finishedAt - started).wholeMilliseconds)) / 1000)
                }
            case .due(let due):
                entries[due.workload, default: Entry()].dueTimes[DueKind(result: due.result, reason: due.reason), default: 0] += due.count
            default: continue
            }
        }
    }

    /// Takes in how much later than its due time a run began.
    public mutating func began(after delay: Duration) { startDelays.add(Double(max(0, delay.wholeMilliseconds)) / 1000) }

    /// Forgets those that are not there any more, so that names of the past do not pile up.
    public mutating func keep(_ known: Set<WorkloadID>) { entries = entries.filter { known.contains($0.key) } }
}
