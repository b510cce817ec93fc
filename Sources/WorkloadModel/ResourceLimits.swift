/// What a container may use of the host. `nil` is no limit of its own.
public struct ResourceLimits: Hashable, Sendable, Codable {
    /// Memory in bytes; swap counts as memory.
    public var memoryBytes: Int64?
    /// Thousandths of a processor.
    public var cpuMillis: Int64?
    /// Processes and threads. A container without a limit in the recipe gets this one, so that a fork bomb harms nobody.
    public var pids: Int64 = 2048

    /// No limit of memory or processor, and 2048 processes and threads.
    public init() {}
}

/// One `ulimit`: a limit of setrlimit(2).
public struct UserLimit: Hashable, Sendable, Codable {
    /// What is limited; the raw value is Compose's name and that of setrlimit(2) without `RLIMIT_`, in lower case.
    public enum Resource: String, Sendable, Codable, CaseIterable {
        case core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack

        /// The number of setrlimit(2) on Linux.
        public var number: UInt32 {
            switch self {
            case .cpu: 0
            case .fsize: 1
            case .data: 2
            case .stack: 3
            case .core: 4
            case .rss: 5
            case .nproc: 6
            case .nofile: 7
            case .memlock: 8
            case .locks: 10
            case .sigpending: 11
            case .msgqueue: 12
            case .nice: 13
            case .rtprio: 14
            case .rttime: 15
            }
        }
    }

    /// What is limited.
    public let resource: Resource
    /// `UInt64.max` is no limit.
    public let soft: UInt64
    /// `UInt64.max` is no limit; not below ``soft`` in a recipe.
    public let hard: UInt64

    /// Both limits are in the resource's own unit of setrlimit(2): bytes, seconds, microseconds for `rttime`, or a count.
    public init(resource: Resource, soft: UInt64, hard: UInt64) {
        self.resource = resource
        self.soft = soft
        self.hard = hard
    }
}
