internal import CSystemd
internal import Glibc

/// What the daemon tells systemd and asks it, through libsystemd. Where systemd did not start this process nothing is told, and nothing is
/// known.
public enum ServiceManager {
    /// Says how the service is (sd_notify(3)): `READY=1`, `STATUS=...`, several of them line by line.
    ///
    /// - Returns: whether somebody heard it
    @discardableResult
    public static func notify(_ state: String) -> Bool { sd_notify(0, state) > 0 }

    /// The service can be used.
    ///
    /// - Parameter status: a sentence for `systemctl status`
    public static func ready(_ status: String) { notify("READY=1\nSTATUS=\(line(status))") }

    /// A sentence for `systemctl status`.
    public static func status(_ text: String) { notify("STATUS=\(line(text))") }

    /// Configuration is read again, until ``ready(_:)``.
    public static func reloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        notify("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)")
    }

    /// The service ends.
    public static func stopping(_ status: String) { notify("STOPPING=1\nSTATUS=\(line(status))") }

    /// How often the manager wants to hear that the service lives (`WatchdogSec=` of the unit); `nil` when it does not.
    public static var watchdogInterval: Duration? {
        var microseconds: UInt64 = 0
        guard sd_watchdog_enabled(0, &microseconds) > 0, microseconds > 0 else { return nil }
        return .microseconds(Int64(clamping: microseconds))
    }

    /// The service lives.
    public static func alive() { notify("WATCHDOG=1") }

    /// Whether systemd is the host's first process (sd_booted(3)).
    public static var isBooted: Bool { sd_booted() > 0 }

    /// Whether the host is being taken down: `SystemState` of org.freedesktop.systemd1(5), asked of the first process itself where no bus
    /// answers, as late in a shutdown. `false` where nobody says so.
    public static var isHostGoingDown: Bool {
        guard isBooted else { return false }
        let state =
            systemState { bus in sd_bus_open_system(&bus) }
            ?? systemState { bus in
                let made = sd_bus_new(&bus)
                guard made >= 0 else { return made }
                let addressed = sd_bus_set_address(bus, "unix:path=/run/systemd/private")
                return addressed < 0 ? addressed : sd_bus_start(bus)
            }
        return state == "stopping"
    }

    private static func systemState(_ open: (inout OpaquePointer?) -> Int32) -> String? {
        var bus: OpaquePointer?
        defer { sd_bus_flush_close_unref(bus) }
        guard open(&bus) >= 0 else { return nil }
        // One that hangs is not to hold the end of the daemon up.
        sd_bus_set_method_call_timeout(bus, 5_000_000)
        var text: UnsafeMutablePointer<CChar>?
        let answer = sd_bus_get_property_string(
            bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "SystemState", nil, &text)
        defer { free(text) }
        guard answer >= 0, let text else { return nil }
        return String(cString: text)
    }

    private static func line(_ text: String) -> String { text.replacing("\n", with: " ") }
}
