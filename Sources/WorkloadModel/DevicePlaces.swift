/// Places of a container's /dev that a recipe may mount something on, by name. All else of /dev, and all of /proc and /sys,
/// belongs to the sandbox.
public enum DevicePlaces {
    /// Directories and files that Compose files use on purpose: shared memory, the system log's socket, and devices of a kind
    /// (of which a container that is not privileged can open none).
    public static let names: Set<String> = [
        "/dev/shm", "/dev/mqueue", "/dev/hugepages", "/dev/log", "/dev/dri", "/dev/snd", "/dev/net", "/dev/net/tun", "/dev/fuse", "/dev/bus/usb", "/dev/input",
        "/dev/serial",
    ]

    /// - Parameter path: absolute, without `.` and `..`
    public static func contains(_ path: String) -> Bool { names.contains(path) }
}
