/// What a container may read from and write to disks (Compose Specification, `blkio_config`).
public struct BlockIO: Hashable, Sendable, Codable {
    /// An amount for one disk.
    public struct Amount: Hashable, Sendable, Codable {
        /// Its node on the host, absolute.
        public let path: String
        /// Bytes or operations a second; of a share, from 10 to 1000.
        public let amount: Int64

        /// Memberwise; nothing is checked.
        public init(path: String, amount: Int64) {
            self.path = path
            self.amount = amount
        }
    }

    /// What a limit counts.
    public enum Limit: String, Sendable, CaseIterable {
        /// Bytes, or operations, read or written a second.
        case readBytes = "device_read_bps", readOperations = "device_read_iops", writeBytes = "device_write_bps", writeOperations = "device_write_iops"
    }

    /// Its share of disks that are busy, from 10 to 1000; others have 500.
    public var weight: Int64?
    /// The same for single disks.
    public var weights: [Amount] = []
    private var readBytes: [Amount] = []
    private var readOperations: [Amount] = []
    private var writeBytes: [Amount] = []
    private var writeOperations: [Amount] = []

    /// The most of a kind, for single disks.
    public subscript(limit: Limit) -> [Amount] {
        get { self[keyPath: BlockIO.path(limit)] }
        set { self[keyPath: BlockIO.path(limit)] = newValue }
    }

    private static func path(_ limit: Limit) -> WritableKeyPath<BlockIO, [Amount]> {
        switch limit {
        case .readBytes: \.readBytes
        case .readOperations: \.readOperations
        case .writeBytes: \.writeBytes
        case .writeOperations: \.writeOperations
        }
    }

    /// Asks for nothing.
    public init() {}
}
