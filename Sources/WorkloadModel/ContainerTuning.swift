/// What few containers ask for: what they have of the host, and finer limits.
public struct ContainerTuning: Hashable, Sendable, Codable {
    /// Groups of its user beside those of the image's files, by name or number.
    public var groups: [String] = []
    /// Settings of its own namespaces, by the kernel's name: `net.core.somaxconn`.
    public var sysctls: [String: String] = [:]
    /// How likely the kernel ends it when memory runs out, from -1000 to 1000; `nil` is as any other.
    public var oomScore: Int32?
    /// Processors that it may run on, as the kernel writes lists: `0-2,4`.
    public var processors: String?
    /// Its share of the processors when they are short, against 1024 of others.
    public var processorShares: Int64?
    /// Bytes of memory that the kernel takes from others first.
    public var memoryReservation: Int64?
    /// Bytes of memory and swap together; `Int64.max` is any number.
    public var memoryAndSwap: Int64?
    /// Whether it sees the host's processes.
    public var hostProcesses = false
    /// Whether it has the host's shared memory and message queues.
    public var hostIPC = false
    /// Whether it has the host's own name.
    public var hostName = false
    /// Whether its input stays open, although nothing comes.
    public var opensInput = false
    /// Whether its streams are a terminal; `nil` is no. (What is `nil` stays out of a fingerprint, so a release that brings a field changes none.)
    public var hasTerminal: Bool?
    /// The service whose processes it sees; `nil` is nobody else's.
    public var processesOf: WorkloadName?
    /// The service whose shared memory and message queues it has; `nil` is nobody else's.
    public var memoryOf: WorkloadName?
    /// Device nodes of the host.
    public var devices: [DeviceMount] = []
    /// Devices that it may open where it finds or makes a node of them.
    public var deviceRules: [DeviceRule] = []
    /// Devices by what they can do, such as `gpu`, which no host gives yet.
    public var capabilitiesOfDevices: [String] = []
    /// What it may read from and write to disks; `nil` is as any other.
    public var blockIO: BlockIO?

    /// Asks for nothing.
    public init() {}
}

/// A device node of the host, or a directory of them.
public struct DeviceMount: Hashable, Sendable, Codable {
    /// Absolute, on the host.
    public let source: String
    /// Absolute, in the container.
    public let target: String
    /// What the container may do with it.
    public let access: DeviceRule.Access

    /// Memberwise; nothing is checked.
    public init(source: String, target: String, access: DeviceRule.Access) {
        self.source = source
        self.target = target
        self.access = access
    }
}

/// Devices that a container may open.
public struct DeviceRule: Hashable, Sendable, Codable {
    /// What may be done.
    public struct Access: OptionSet, Hashable, Sendable, Codable {
        /// The kernel's bits.
        public let rawValue: Int32
        /// A node of it may be made.
        public static let make = Access(rawValue: 1)
        /// It may be read.
        public static let read = Access(rawValue: 2)
        /// It may be written to.
        public static let write = Access(rawValue: 4)

        /// The kernel's bits.
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// Reads `rwm`, in any order, each at most once; `nil` when it is something else.
        public init?(_ text: String) {
            self = []
            for letter in text {
                let bit: Access? = letter == "r" ? .read : letter == "w" ? .write : letter == "m" ? .make : nil
                guard let bit, !contains(bit) else { return nil }
                insert(bit)
            }
            if isEmpty { return nil }
        }

        /// `rwm`.
        public var letters: String { (contains(.read) ? "r" : "") + (contains(.write) ? "w" : "") + (contains(.make) ? "m" : "") }
    }

    /// A block device, not a character device.
    public let isBlock: Bool
    /// `nil` is any.
    public let major: Int32?
    /// `nil` is any.
    public let minor: Int32?
    /// What may be done.
    public let access: Access

    /// Memberwise.
    public init(isBlock: Bool, major: Int32?, minor: Int32?, access: Access) {
        self.isBlock = isBlock
        self.major = major
        self.minor = minor
        self.access = access
    }

    /// Reads the kernel's form, `c 189:* rwm`; `nil` when it is something else.
    public init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 3, ["c", "b"].contains(words[0]), let access = Access(String(words[2])) else { return nil }
        let numbers = words[1].split(separator: ":", omittingEmptySubsequences: false)
        guard numbers.count == 2 else { return nil }
        func number(_ text: Substring) -> Int32?? { text == "*" ? .some(nil) : Int32(text).flatMap { $0 >= 0 ? .some($0) : nil } }
        guard let major = number(numbers[0]), let minor = number(numbers[1]) else { return nil }
        self.init(isBlock: words[0] == "b", major: major, minor: minor, access: access)
    }

    /// The kernel's form.
    public var description: String {
        "\(isBlock ? "b" : "c") \(major.map(String.init) ?? "*"):\(minor.map(String.init) ?? "*") \(access.letters)"
    }
}

/// A value that few have and that is large: those who have none carry a word.
public struct Shared<Value: Hashable & Sendable & Codable>: Hashable, Sendable, Codable {
    private final class Box: Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    private let box: Box

    /// The value.
    public var value: Value { box.value }

    /// Holds the value.
    public init(_ value: Value) { box = Box(value) }

    /// Whether the values are equal.
    public static func == (left: Shared, right: Shared) -> Bool { left.box === right.box || left.value == right.value }
    /// Hashes the value.
    public func hash(into hasher: inout Hasher) { hasher.combine(value) }
    /// Reads the value itself.
    public init(from decoder: any Decoder) throws { self.init(try decoder.singleValueContainer().decode(Value.self)) }
    /// Writes the value itself.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}
