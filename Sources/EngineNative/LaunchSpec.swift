internal import EngineAPI

/// What the shim is told, as it reads it: flat, length-prefixed fields (`Sources/berth-shim/spec.c` is the other side).
struct LaunchSpec {
    enum Field: UInt16 {
        case runID = 1, runDirectory, logBase, logCap, layersDirectory, lower, scratch, readOnly, argument, environment, workingDirectory, user
        case hostname, mount, hostNetwork, initProcess, capabilities, seccomp, rlimit, cgroupV2, cgroupV1, stopSignal, graceMilliseconds
        case timeoutMilliseconds, privileged, hide, bootID, sharedMemoryBytes, rootDescriptor, descriptors, processorMillis, networkDescriptor
        case targetDescriptor, outputDescriptor, group, sysctl, oomScore, hostNamespaces, openInput, terminal, processesDescriptor, memoryDescriptor, journal
    }

    struct MountFlags: OptionSet {
        let rawValue: UInt8
        static let readOnly = MountFlags(rawValue: 1)
        static let noPrograms = MountFlags(rawValue: 2)
        static let file = MountFlags(rawValue: 4)
        static let recursive = MountFlags(rawValue: 8)
        static let named = MountFlags(rawValue: 16)
        /// Left out when its source was unmounted meanwhile.
        static let optional = MountFlags(rawValue: 32)
        /// A volume that is empty.
        static let fresh = MountFlags(rawValue: 64)
        /// A device node, which works.
        static let device = MountFlags(rawValue: 128)
    }

    /// What the fields refer to by number, and what is sent after them.
    private(set) var places: [HostPlace] = []

    private static let magic: UInt32 = 0x4854_5242
    private static let version: UInt32 = 2
    private var body: [UInt8] = []

    /// The whole spec, header included.
    var bytes: [UInt8] {
        var whole = self
        whole.add(.descriptors, UInt64(places.count))
        return LaunchSpec.little(LaunchSpec.magic) + LaunchSpec.little(LaunchSpec.version) + LaunchSpec.little(UInt32(whole.body.count)) + whole.body
    }

    mutating func add(_ field: Field, _ value: [UInt8]) {
        body += LaunchSpec.little(field.rawValue) + [0, 0] + LaunchSpec.little(UInt32(value.count)) + value
    }

    /// A text.
    ///
    /// - Throws: when it holds a NUL, behind which the shim would read nothing
    mutating func add(_ field: Field, _ text: String) throws(EngineError) { add(field, try LaunchSpec.terminated(text)) }

    private static func terminated(_ text: String) throws(EngineError) -> [UInt8] {
        guard !text.utf8.contains(0) else { throw .sandbox("a text for the sandbox holds a NUL character: refused") }
        return Array(text.utf8) + [0]
    }

    mutating func add(_ field: Field, _ flag: Bool) { add(field, [flag ? 1 : 0]) }

    mutating func add(_ field: Field, _ number: UInt64) { add(field, LaunchSpec.little(number)) }

    /// A mount of a place of the host.
    ///
    /// - Parameter hidden: paths below it that the container does not see
    mutating func addBind(_ source: HostPlace, _ target: String, _ flags: MountFlags, hidden: [String] = []) throws(EngineError) {
        var flags = flags
        if !source.isDirectory { flags.insert(.file) }
        try addMount(kind: 1, flags: flags, descriptor: try number(of: source), mode: 0, size: 0, source.path, target)
        for path in hidden { try add(.hide, path) }
    }

    /// - Parameter options: further options of tmpfs(5), as `uid=5,gid=5`
    mutating func addTemporary(_ target: String, size: Int64?, mode: UInt32, options: String = "", _ flags: MountFlags = []) throws(EngineError) {
        try addMount(kind: 2, flags: flags, descriptor: 0, mode: mode, size: UInt64(size ?? 0), options, target)
    }

    /// The directory that is the root file system's only layer.
    mutating func addRoot(_ place: HostPlace) throws(EngineError) { add(.rootDescriptor, UInt64(try number(of: place))) }

    /// The network namespace that the container joins.
    mutating func addNetwork(_ place: HostPlace) throws(EngineError) { add(.networkDescriptor, UInt64(try number(of: place))) }

    /// Of a command beside a run's own: the pidfd of the container's first process, and where its output goes.
    mutating func addTarget(_ process: HostPlace, output: HostPlace) throws(EngineError) {
        add(.targetDescriptor, UInt64(try number(of: process)))
        add(.outputDescriptor, UInt64(try number(of: output)))
    }

    /// - Parameter process: a pidfd, of which one namespace is joined
    mutating func addNamespace(_ field: Field, of process: HostPlace) throws(EngineError) { add(field, UInt64(try number(of: process))) }

    /// As many as the shim takes (`DESCRIPTORS_MAX` in `shim.h`).
    static let mostPlaces = 4096

    private mutating func number(of place: HostPlace) throws(EngineError) -> UInt16 {
        guard places.count < LaunchSpec.mostPlaces else { throw .sandbox("a container can have \(LaunchSpec.mostPlaces) mounts, and no more") }
        places.append(place)
        return UInt16(places.count - 1)
    }

    private mutating func addMount(
        kind: UInt8, flags: MountFlags, descriptor: UInt16, mode: UInt32, size: UInt64, _ source: String, _ target: String
    ) throws(EngineError) {
        let head = [kind, flags.rawValue] + LaunchSpec.little(descriptor) + LaunchSpec.little(mode) + LaunchSpec.little(size)
        add(.mount, head + (try LaunchSpec.terminated(source)) + (try LaunchSpec.terminated(target)))
    }

    mutating func addLimit(resource: UInt32, soft: UInt64, hard: UInt64) {
        add(.rlimit, LaunchSpec.little(resource) + LaunchSpec.little(soft) + LaunchSpec.little(hard))
    }

    private static func little(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
