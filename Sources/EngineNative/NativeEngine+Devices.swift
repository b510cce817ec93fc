internal import CLinux
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import WorkloadModel

/// Device nodes of the host that a recipe gives to a container.
extension NativeEngine {
    /// A node, held open.
    struct DeviceNode {
        let place: HostPlace
        let target: String
        let rule: DeviceRule
    }

    /// How many nodes a directory of them may have.
    private static let mostNodes = 256

    /// The nodes of a device, or of a directory of them, in the container's order.
    ///
    /// - Throws: ``EngineError/host(_:)`` when there is no device of this name
    func nodes(of device: DeviceMount) throws(EngineError) -> [DeviceNode] { try nodes(of: device, isNamed: true) }

    /// - Parameter isNamed: whether the recipe names it; what is found in a directory is not followed where it is a link
    private func nodes(of device: DeviceMount, isNamed: Bool) throws(EngineError) -> [DeviceNode] {
        let descriptor = clinux_open_place(AT_FDCWD, device.source, isNamed ? 0 : O_NOFOLLOW)
        guard descriptor >= 0 else { throw .host("the device \(device.source) is not on this host: \(String(cString: strerror(errno)))") }
        let place = try HostPlace(descriptor: descriptor, path: device.source)
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw .host("the device \(device.source) cannot be looked at") }
        switch info.st_mode & S_IFMT {
        case S_IFCHR, S_IFBLK:
            let (major, minor) = NativeEngine.numbers(of: info.st_rdev)
            let rule = DeviceRule(isBlock: info.st_mode & S_IFMT == S_IFBLK, major: major, minor: minor, access: device.access)
            return [DeviceNode(place: place, target: device.target, rule: rule)]
        case S_IFDIR:
            var found: [DeviceNode] = []
            // What the sandbox has of its own; a directory holds links and sockets too.
            for name in HostFile.names(in: device.source).sorted() where !["fd", "pts", "shm", "mqueue"].contains(name) {
                let inner = DeviceMount(source: "\(device.source)/\(name)", target: "\(device.target)/\(name)", access: device.access)
                guard let kind = NativeEngine.kind(inner.source), [S_IFCHR, S_IFBLK, S_IFDIR].contains(kind) else { continue }
                if kind == S_IFDIR, HostFile.names(in: inner.source, most: 1).isEmpty { continue }
                found += try nodes(of: inner, isNamed: false)
                if found.count > NativeEngine.mostNodes { throw .host("the directory \(device.source) has more than \(NativeEngine.mostNodes) devices") }
            }
            guard !found.isEmpty || !isNamed else { throw .host("the directory \(device.source) has no devices") }
            return found
        default: throw .host("\(device.source) is not a device")
        }
    }

    /// A device's numbers: glibc's makedev(3), the other way round.
    static func numbers(of device: dev_t) -> (major: Int32, minor: Int32) {
        let number = UInt64(device)
        return (
            Int32(truncatingIfNeeded: (number >> 8) & 0xfff | (number >> 32) & ~0xfff), Int32(truncatingIfNeeded: number & 0xff | (number >> 12) & 0xffff_ff00)
        )
    }

    /// What a name is of, links not followed; `nil` when it is not there.
    private static func kind(_ path: String) -> mode_t? {
        var info = stat()
        return lstat(path, &info) == 0 ? info.st_mode & S_IFMT : nil
    }

    /// - Returns: what the container may open
    func addDevices(_ tuning: ContainerTuning, _ spec: inout LaunchSpec) throws(EngineError) -> [DeviceRule] {
        var rules = tuning.deviceRules
        for device in tuning.devices {
            for node in try nodes(of: device) {
                try spec.addBind(node.place, node.target, [.device, .named, .readOnly])
                rules.append(node.rule)
            }
        }
        if tuning.hostIPC { try spec.addBind(try .own("/dev/shm"), "/dev/shm", [.named]) }
        return rules
    }
}
