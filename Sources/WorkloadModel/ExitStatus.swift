public import Schedules

/// How a container ended, as its shim saw it.
public struct ExitStatus: Hashable, Sendable {
    public enum Ending: Hashable, Sendable {
        case exited(code: Int32)
        case signaled(number: Int32)
        /// The command could not be executed; the sentence says why.
        case startError(String)
        /// Nobody saw the end; the sentence says what was found instead.
        case lost(String)
    }

    public var ending: Ending
    /// The job's `timeout` ran out and the stop sequence was begun because of it.
    public var timedOut = false
    /// Somebody asked for the stop.
    public var stopRequested = false
    /// The stop sequence had to kill.
    public var killed = false
    /// Processes were left in the cgroup that could not be killed.
    public var leftProcesses = false
    /// When user code could first run; `nil` when it never did.
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp
    public var usage = ResourceUsage()

    public init(ending: Ending, finishedAt: Timestamp) {
        self.ending = ending
        self.finishedAt = finishedAt
    }

    /// The outcome that this amounts to. A signal 9 alone does not mean out of memory: the cgroup's own counter does.
    public func outcome(successCodes: Set<Int32>) -> Outcome {
        switch ending {
        case .startError: return .startError
        case .lost: return .lost
        case .exited(let code):
            if timedOut { return .timedOut }
            if stopRequested { return .stopped }
            // A shell whose command was killed ends with 137 (128 and the signal): that is how it ended. With any other code it
            // chose its end itself, whatever became of a process of it before.
            if successCodes.contains(code) { return .succeeded }
            return usage.oomKills > 0 && code == 137 ? .oomKilled : .failed
        case .signaled(let number):
            if timedOut { return .timedOut }
            if stopRequested { return .stopped }
            return usage.oomKills > 0 && number == 9 ? .oomKilled : .failed
        }
    }
}

/// What a run used, from its cgroup and its log.
public struct ResourceUsage: Hashable, Sendable {
    public var cpuMicroseconds: Int64 = 0
    public var memoryPeakBytes: Int64 = 0
    public var ioReadBytes: Int64 = 0
    public var ioWriteBytes: Int64 = 0
    /// Processes of the container that the kernel killed for want of memory.
    public var oomKills: Int64 = 0
    public var logBytes: Int64 = 0
    /// Log bytes that were let go for the log's size cap, or for a full disk.
    public var logDroppedBytes: Int64 = 0

    public init() {}
}
