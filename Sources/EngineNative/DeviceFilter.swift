internal import CLinux
internal import Glibc
internal import HostOS
internal import WorkloadModel

/// Which devices a container may open: Docker's default, so that a container that can make or mount a device node (with
/// `cap_add: [SYS_ADMIN, MKNOD]`) still cannot open the host's disks.
final class DeviceFilter: Sendable {
    /// The same for the devices controller of version 1 (kernel documentation, "Device Whitelist Controller"): any node may be
    /// made; null, zero, full, random, urandom, tty, ptmx and terminals may be opened.
    static let rules = ["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm"]

    private let program: Int32

    /// `nil` where this kernel does not take such a program from us.
    init?(_ rules: [DeviceRule] = []) {
        let all = rules.map { clinux_device_rule(is_block: $0.isBlock ? 1 : 0, major: $0.major ?? -1, minor: $0.minor ?? -1, access: $0.access.rawValue) }
        program = clinux_device_filter(all, all.count)
        guard program >= 0 else { return nil }
    }

    deinit { close(program) }

    /// The filter, when this kernel lets it be attached to groups below one: it may take the program and refuse that.
    func ifAttachable(below parent: String) -> DeviceFilter? {
        let probe = "\(parent)/probe"
        guard (try? HostFile.makeDirectory(probe, mode: 0o755)) != nil else { return nil }
        defer { rmdir(probe) }
        return (try? attach(to: probe)) == nil ? nil : self
    }

    func attach(to group: String) throws(HostFile.Failure) {
        guard clinux_device_filter_attach(program, group) == 0 else {
            throw HostFile.Failure(path: group, action: "filter the devices of", code: errno)
        }
    }
}
