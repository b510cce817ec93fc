/// A capability of capabilities(7).
public enum Capability: String, Sendable, Codable, CaseIterable {
    case chown = "CHOWN"
    case dacOverride = "DAC_OVERRIDE"
    case dacReadSearch = "DAC_READ_SEARCH"
    case fowner = "FOWNER"
    case fsetid = "FSETID"
    case kill = "KILL"
    case setgid = "SETGID"
    case setuid = "SETUID"
    case setpcap = "SETPCAP"
    case linuxImmutable = "LINUX_IMMUTABLE"
    case netBindService = "NET_BIND_SERVICE"
    case netBroadcast = "NET_BROADCAST"
    case netAdmin = "NET_ADMIN"
    case netRaw = "NET_RAW"
    case ipcLock = "IPC_LOCK"
    case ipcOwner = "IPC_OWNER"
    case sysModule = "SYS_MODULE"
    case sysRawio = "SYS_RAWIO"
    case sysChroot = "SYS_CHROOT"
    case sysPtrace = "SYS_PTRACE"
    case sysPacct = "SYS_PACCT"
    case sysAdmin = "SYS_ADMIN"
    case sysBoot = "SYS_BOOT"
    case sysNice = "SYS_NICE"
    case sysResource = "SYS_RESOURCE"
    case sysTime = "SYS_TIME"
    case sysTtyConfig = "SYS_TTY_CONFIG"
    case mknod = "MKNOD"
    case lease = "LEASE"
    case auditWrite = "AUDIT_WRITE"
    case auditControl = "AUDIT_CONTROL"
    case setfcap = "SETFCAP"
    case macOverride = "MAC_OVERRIDE"
    case macAdmin = "MAC_ADMIN"
    case syslog = "SYSLOG"
    case wakeAlarm = "WAKE_ALARM"
    case blockSuspend = "BLOCK_SUSPEND"
    case auditRead = "AUDIT_READ"
    case perfmon = "PERFMON"
    case bpf = "BPF"
    case checkpointRestore = "CHECKPOINT_RESTORE"

    /// The kernel's number, in the order of linux/capability.h.
    public var number: Int { Capability.allCases.firstIndex(of: self)! }

    /// What a container has when its recipe says nothing: enough for the usual service that starts as root, no raw
    /// sockets, no device nodes, no audit. The same eleven as Podman's default.
    public static let defaults: Set<Capability> = [
        .chown, .dacOverride, .fowner, .fsetid, .kill, .netBindService, .setfcap, .setgid, .setpcap, .setuid, .sysChroot,
    ]

    /// The set as the kernel's bit mask.
    public static func mask(_ capabilities: Set<Capability>) -> UInt64 {
        capabilities.reduce(0) { $0 | 1 << UInt64($1.number) }
    }
}

extension ContainerSpec {
    /// The capabilities that the container gets.
    public var capabilities: Set<Capability> {
        privileged ? Set(Capability.allCases) : Capability.defaults.subtracting(droppedCapabilities).union(addedCapabilities)
    }
}
