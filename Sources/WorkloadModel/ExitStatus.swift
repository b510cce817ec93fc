public import Schedules

/// How a container ended, as its shim saw it.
public struct ExitStatus: Hashable, Sendable {
    /// What ended the container's main process.
    public enum Ending: Hashable, Sendable {
        /// It exited by itself; `code` is 0 to 255.
        case exited(code: Int32)
        /// A signal ended it.
        case signaled(number: Int32)
        /// The command could not be executed; the sentence says why.
        case startError(String)
        /// Nobody saw the end; the sentence says what was found instead.
        case lost(String)
    }

    /// What ended the main process.
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
    /// When the end was seen; for a lost run, when the loss was noticed.
    public var finishedAt: Timestamp
    /// What the run used; zeros where nothing is known.
    public var usage = ResourceUsage()

    /// Every flag is false, ``startedAt`` is `nil` and ``usage`` is zero.
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
    /// Processor time of all its processes, user and system.
    public var cpuMicroseconds: Int64 = 0
    /// The highest memory use of its cgroup, page cache included; 0 when the kernel does not report it.
    public var memoryPeakBytes: Int64 = 0
    /// Bytes read from block devices.
    public var ioReadBytes: Int64 = 0
    /// Bytes written to block devices.
    public var ioWriteBytes: Int64 = 0
    /// Processes of the container that the kernel killed for want of memory.
    public var oomKills: Int64 = 0
    /// Bytes written to the log, the prefixes of its lines included.
    public var logBytes: Int64 = 0
    /// Log bytes that were let go for the log's size cap, or for a full disk.
    public var logDroppedBytes: Int64 = 0

    /// All zeros.
    public init() {}
}
