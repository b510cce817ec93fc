/// Places that a recipe may mount something on though the sandbox mounts what they lie in: most of /dev, and in a privileged container /sys, by name. What the sandbox
/// itself makes in /dev, and all of /proc, belongs to it.
public enum DevicePlaces {
    /// What the sandbox makes in /dev, and all that it needs there.
    private static let own: Set<String> = [
        "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "stdin", "stdout", "stderr", "fd", "core",
    ]

    /// Shared memory, the system log's socket, and folders of devices (of which a container that is not privileged can open none) are what Compose files
    /// name there; and /sys, as programs that watch a host do.
    ///
    /// - Parameter path: absolute, without `.` and `..`
    public static func contains(_ path: String, privileged: Bool) -> Bool {
        if isInSys(path) { return privileged }
        guard path.hasPrefix("/dev/"), let first = path.dropFirst(5).split(separator: "/").first else { return false }
        return !own.contains(String(first))
    }

    /// Whether a path is /sys or lies in it.
    public static func isInSys(_ path: String) -> Bool { path == "/sys" || path.hasPrefix("/sys/") }
}
