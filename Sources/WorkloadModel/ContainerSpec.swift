/// What one container is: its files, its command, and what it is locked in.
public struct ContainerSpec: Hashable, Sendable, Codable {
    /// Where the container's files come from.
    public var root: RootFileSystem
    /// Replaces the image's entrypoint; `nil` keeps it, an empty list removes it.
    public var entrypoint: [String]?
    /// Replaces the image's command; `nil` keeps it.
    /// With an ``entrypoint`` set, `nil` is no command, as in Compose.
    public var command: [String]?
    /// Variables by name, added to the image's; on equal names these win.
    public var environment: [String: EnvironmentValue] = [:]
    /// Absolute path inside the container; `nil` is the image's, or `/`.
    public var workingDirectory: String?
    /// `name`, `uid`, `name:group` or `uid:gid`, resolved in the image's own files.
    public var user: String?
    /// `nil` is the workload's name.
    public var hostname: String?
    /// Binds and named volumes, in the recipe's order.
    public var mounts: [VolumeMount] = []
    /// Its in-memory file systems, from `tmpfs`.
    public var temporaryFileSystems: [TemporaryFileSystem] = []
    /// Whether the root file system is mounted read-only. Mounts and temporary file systems are not affected.
    public var readOnlyRoot = false
    /// Whether a small init is pid 1: it passes signals on and reaps.
    public var initProcess = false
    /// `nil` is the image's, or TERM.
    public var stopSignal: Int32?
    /// Between the stop signal and the kill.
    public var stopGracePeriod: Duration = .seconds(10)
    /// Added to ``Capability/defaults`` after ``droppedCapabilities`` is removed: one in both sets is kept. Launch fails when root lacks one on the host.
    public var addedCapabilities: Set<Capability> = []
    /// Removed from ``Capability/defaults``.
    public var droppedCapabilities: Set<Capability> = []
    /// Every capability, no seccomp filter, writable /proc and /sys: root on the host in all but name.
    public var privileged = false
    /// Whether programs for 32 bits may use socketcall(2), whose family of sockets no filter can see; `nil` is no.
    public var allowsSocketcall: Bool?
    /// Which network the container sees.
    public var network: NetworkMode = .none
    /// The networks that it is on where ``network`` is `networks`, ascending by key.
    public var attachments: [NetworkAttachment] = []
    /// Ports that the host's lead to.
    public var ports: [PublishedPort] = []
    /// What the recipe calls it on the host, beside its service's name; a name on its networks too.
    public var containerName: String?
    /// Whether its output goes to the system's journal as well; `nil` is no.
    public var logsToJournal: Bool?
    /// For people, and for programs that ask.
    public var labels: [String: String] = [:]
    /// Lines of its /etc/hosts beside its own.
    public var extraHosts: [HostEntry] = []
    /// Names that it knows other services by.
    public var links: [ServiceLink] = []
    /// How it looks up what its networks do not know.
    public var resolver = ResolverSettings()
    /// The domain that its host name is in.
    public var domainName: String?
    /// Files that it is given at each start: secrets and configs; `nil` is none.
    public var files: Shared<[GivenFile]>?
    /// How it is asked whether it works; `nil` is what the image says.
    public var healthCheck: Shared<HealthCheckSpec>?
    /// What few containers ask for; `nil` is nothing.
    public var tuning: Shared<ContainerTuning>?
    /// Limits of the container's cgroup.
    public var limits = ResourceLimits()
    /// Limits of setrlimit(2) for its processes. Without `nofile`, the daemon's inherited limit of descriptors applies.
    public var resourceLimits: [UserLimit] = []
    /// Size of /dev/shm in bytes.
    public var sharedMemoryBytes: Int64 = 64 << 20
    /// The most bytes that what a run writes to its own files takes on disk; `nil` is the engine's own bound.
    public var writableLayerBytes: Int64?
    /// The most bytes that a run's log takes on disk; `nil` is the engine's own bound.
    public var logBytes: Int64?

    /// Every property but the root has its default.
    public init(root: RootFileSystem) {
        self.root = root
    }

    /// The image that its files come from; `nil` when they come from elsewhere.
    public var image: ImageSource? { if case .image(let source) = root { source } else { nil } }
}

/// A value of an environment variable. It does not print: recipes put passwords there.
public struct EnvironmentValue: Hashable, Sendable, Codable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The value itself, for the one place that hands it to the container.
    public let revealed: String

    /// Holds `value` as it is.
    public init(_ value: String) {
        revealed = value
    }

    /// Always `***`.
    public var description: String { "***" }
    /// Always `***`.
    public var debugDescription: String { "***" }
    /// Has no children, so that `dump` shows nothing of the value.
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// Decodes a single string.
    public init(from decoder: any Decoder) throws {
        revealed = try decoder.singleValueContainer().decode(String.self)
    }

    /// Encodes the value in clear, as a single string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(revealed)
    }
}

/// Where a container's files come from.
public enum RootFileSystem: Hashable, Sendable, Codable {
    /// The layers of an image, under a private writable layer.
    case image(ImageSource)
    /// The host's own files, under a private writable layer.
    case host
    /// A directory of the host, under a private writable layer.
    case directory(String)
}

/// A directory or file of the host, or a volume, seen inside a container.
public struct VolumeMount: Hashable, Sendable, Codable {
    /// What is mounted.
    public enum Source: Hashable, Sendable, Codable {
        /// Absolute path on the host.
        case bind(String)
        /// A named volume of the recipe.
        case volume(String)
        /// A volume with a name of its own, which projects share; of an external one, it must be there.
        case shared(String, isExternal: Bool)
        /// A volume that is the container's own; a service keeps it from run to run.
        case anonymous
    }

    /// The host's path or the volume that is mounted.
    public let source: Source
    /// Absolute, inside the container, without `..`.
    public let target: String
    /// Whether the container may only read it.
    public let readOnly: Bool
    /// Whether a path of the host that is not there is made, as a directory of root's.
    public var makesSource: Bool
    /// Whether a volume that is empty gets what the image has at its place.
    public var copiesImage: Bool
    /// The part of a volume that is mounted, relative and without `..`; `nil` is all of it.
    public var subpath: String?

    /// Paths are not checked here.
    public init(source: Source, target: String, readOnly: Bool, makesSource: Bool = false, copiesImage: Bool = true) {
        self.source = source
        self.target = target
        self.readOnly = readOnly
        self.makesSource = makesSource
        self.copiesImage = copiesImage
    }
}

/// A file that a container is given at each start, in memory: a secret or a config.
public struct GivenFile: Hashable, Sendable, Codable {
    /// Where its content comes from.
    public enum Source: Hashable, Sendable, Codable {
        /// A file of the host, read at each start.
        case file(String)
        /// The recipe itself.
        case text(EnvironmentValue)
    }

    /// Where its content comes from.
    public let source: Source
    /// Absolute, inside the container.
    public let target: String
    /// Its owner in the container.
    public let uid: UInt32
    /// Its group in the container.
    public let gid: UInt32
    /// Its permission bits.
    public let mode: UInt32

    /// Memberwise; nothing is checked.
    public init(source: Source, target: String, uid: UInt32 = 0, gid: UInt32 = 0, mode: UInt32 = 0o444) {
        self.source = source
        self.target = target
        self.uid = uid
        self.gid = gid
        self.mode = mode
    }
}

/// A file system in memory, empty at the start of each run.
public struct TemporaryFileSystem: Hashable, Sendable, Codable {
    /// Absolute path inside the container, without `.` and `..`.
    public var target: String
    /// `nil` is half of the memory.
    public var sizeBytes: Int64?
    /// Permission bits of its root.
    public var mode: UInt32
    /// Whether programs in it can be run; `nil` is that they cannot, as with Docker.
    public var isExecutable: Bool?
    /// Whether nothing can be written to it; `nil` is that it can.
    public var isReadOnly: Bool?
    /// Who owns its root, by number; `nil` is root.
    public var owner: UInt32?
    /// The group of its root, by number; `nil` is root's.
    public var group: UInt32?
    /// The most files that it may have; `nil` is as many as the kernel chooses.
    public var mostFiles: Int64?

    /// Memberwise; nothing is checked. The default `mode` is that of /tmp.
    public init(target: String, sizeBytes: Int64?, mode: UInt32 = 0o1777) {
        self.target = target
        self.sizeBytes = sizeBytes
        self.mode = mode
    }
}
