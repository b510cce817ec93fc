/// What the shim is told, as it reads it: flat, length-prefixed fields (`Sources/berth-shim/spec.c` is the other side).
struct LaunchSpec {
    enum Field: UInt16 {
        case runID = 1, runDirectory, logBase, logCap, layersDirectory, lower, scratch, readOnly, argument, environment, workingDirectory, user
        case hostname, mount, hostNetwork, initProcess, capabilities, seccomp, rlimit, cgroupV2, cgroupV1, stopSignal, graceMilliseconds
        case timeoutMilliseconds, privileged, hide, bootID, sharedMemoryBytes
    }

    struct MountFlags: OptionSet {
        let rawValue: UInt8
        static let readOnly = MountFlags(rawValue: 1)
        static let file = MountFlags(rawValue: 4)
        static let recursive = MountFlags(rawValue: 8)
    }

    private static let magic: UInt32 = 0x4854_5242
    private static let version: UInt32 = 1
    private var body: [UInt8] = []

    /// The whole spec, header included.
    var bytes: [UInt8] {
        LaunchSpec.little(LaunchSpec.magic) + LaunchSpec.little(LaunchSpec.version) + LaunchSpec.little(UInt32(body.count)) + body
    }

    mutating func add(_ field: Field, _ value: [UInt8]) {
        body += LaunchSpec.little(field.rawValue) + [0, 0] + LaunchSpec.little(UInt32(value.count)) + value
    }

    /// A text; what follows a NUL in it would be lost, so the recipe's reader lets none through.
    mutating func add(_ field: Field, _ text: String) { add(field, Array(text.utf8.filter { $0 != 0 }) + [0]) }

    mutating func add(_ field: Field, _ flag: Bool) { add(field, [flag ? 1 : 0]) }

    mutating func add(_ field: Field, _ number: UInt64) { add(field, LaunchSpec.little(number)) }

    mutating func addBind(_ source: String, _ target: String, _ flags: MountFlags) {
        addMount(kind: 1, flags: flags, mode: 0, size: 0, source, target)
    }

    mutating func addTemporary(_ target: String, size: Int64?, mode: UInt32) {
        addMount(kind: 2, flags: [], mode: mode, size: UInt64(size ?? 0), "", target)
    }

    private mutating func addMount(kind: UInt8, flags: MountFlags, mode: UInt32, size: UInt64, _ source: String, _ target: String) {
        let head = [kind, flags.rawValue, 0, 0] + LaunchSpec.little(mode) + LaunchSpec.little(size)
        add(.mount, head + Array(source.utf8) + [0] + Array(target.utf8) + [0])
    }

    mutating func addLimit(resource: UInt32, soft: UInt64, hard: UInt64) {
        add(.rlimit, LaunchSpec.little(resource) + LaunchSpec.little(soft) + LaunchSpec.little(hard))
    }

    private static func little(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
