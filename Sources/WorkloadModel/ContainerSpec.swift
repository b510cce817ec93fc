/// What one container is: its files, its command, and what it is locked in.
public struct ContainerSpec: Hashable, Sendable, Codable {
    public var root: RootFileSystem
    /// Replaces the image's entrypoint; `nil` keeps it, an empty list removes it.
    public var entrypoint: [String]?
    /// Replaces the image's command; `nil` keeps it.
    public var command: [String]?
    public var environment: [String: EnvironmentValue] = [:]
    public var workingDirectory: String?
    /// `name`, `uid`, `name:group` or `uid:gid`, resolved in the image's own files.
    public var user: String?
    public var hostname: String?
    public var mounts: [VolumeMount] = []
    public var temporaryFileSystems: [TemporaryFileSystem] = []
    public var readOnlyRoot = false
    /// Whether a small init is pid 1: it passes signals on and reaps.
    public var initProcess = false
    /// `nil` is the image's, or TERM.
    public var stopSignal: Int32?
    /// Between the stop signal and the kill.
    public var stopGracePeriod: Duration = .seconds(10)
    public var addedCapabilities: Set<Capability> = []
    public var droppedCapabilities: Set<Capability> = []
    /// Every capability, no seccomp filter, writable /proc and /sys: root on the host in all but name.
    public var privileged = false
    /// Whether programs for 32 bits may use socketcall(2), whose family of sockets no filter can see; `nil` is no.
    public var allowsSocketcall: Bool?
    public var network: NetworkMode = .none
    public var limits = ResourceLimits()
    public var resourceLimits: [UserLimit] = []
    /// Size of /dev/shm in bytes.
    public var sharedMemoryBytes: Int64 = 64 << 20
    /// The most bytes that what a run writes to its own files takes on disk; `nil` is the engine's own bound.
    public var writableLayerBytes: Int64?
    /// The most bytes that a run's log takes on disk; `nil` is the engine's own bound.
    public var logBytes: Int64?

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

    public init(_ value: String) {
        revealed = value
    }

    public var description: String { "***" }
    public var debugDescription: String { "***" }
    public var customMirror: Mirror { Mirror(self, children: []) }

    public init(from decoder: any Decoder) throws {
        revealed = try decoder.singleValueContainer().decode(String.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(revealed)
    }
}

/// Where a container's files come from.
public enum RootFileSystem: Hashable, Sendable, Codable {
    case image(ImageSource)
    /// The host's own files, under a private writable layer.
    case host
    /// A directory of the host, under a private writable layer.
    case directory(String)
}

/// An image that lies on this host as a file or directory.
public struct ImageSource: Hashable, Sendable, Codable, CustomStringConvertible {
    public enum Transport: String, Sendable, Codable, CaseIterable {
        case oci
        case ociArchive = "oci-archive"
        case dockerArchive = "docker-archive"
    }

    public let transport: Transport
    /// Absolute.
    public let path: String
    /// Which image of several, `nil` when there is one.
    public let tag: String?
    /// SHA-256 of the image's configuration, in hexadecimal: which image it was when the recipe was applied. `nil` before that.
    public var digest: String?

    public init(transport: Transport, path: String, tag: String?, digest: String? = nil) {
        self.transport = transport
        self.path = path
        self.tag = tag
        self.digest = digest
    }

    /// As containers-transports(5) writes it, without the digest: `oci:/images/web:v1`.
    public var description: String { "\(transport.rawValue):\(path)" + (tag.map { ":\($0)" } ?? "") }
}

public enum NetworkMode: String, Sendable, Codable, CaseIterable {
    /// An own network with a loopback interface only.
    case none
    /// The host's.
    case host
}

/// A directory or file of the host, or a named volume, seen inside a container.
public struct VolumeMount: Hashable, Sendable, Codable {
    public enum Source: Hashable, Sendable, Codable {
        /// Absolute path on the host.
        case bind(String)
        case volume(String)
    }

    public let source: Source
    /// Absolute, inside the container, without `..`.
    public let target: String
    public let readOnly: Bool

    public init(source: Source, target: String, readOnly: Bool) {
        self.source = source
        self.target = target
        self.readOnly = readOnly
    }
}

/// A file system in memory, empty at the start of each run.
public struct TemporaryFileSystem: Hashable, Sendable, Codable {
    public let target: String
    /// `nil` is half of the memory.
    public let sizeBytes: Int64?
    /// Permission bits of its root.
    public let mode: UInt32

    public init(target: String, sizeBytes: Int64?, mode: UInt32 = 0o1777) {
        self.target = target
        self.sizeBytes = sizeBytes
        self.mode = mode
    }
}
