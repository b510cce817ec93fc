internal import Glibc

/// How many descriptors this process may have.
package enum Descriptors {
    /// What it was before it was raised: what containers get that ask for nothing else.
    package static let inherited: (soft: UInt64, hard: UInt64) = {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return (1024, 1024) }
        return (UInt64(limit.rlim_cur), UInt64(limit.rlim_max))
    }()

    /// What a daemon with thousands of containers needs, and what systemd gives (systemd.exec(5), LimitNOFILE=).
    private static let plenty: UInt64 = 524_288
    /// With fewer, it cannot even start: libdispatch ends a process that has none left (`_dispatch_workq_monitor_pools`).
    package static let fewest: UInt64 = 256

    /// Raises it as far as the system lets us; root may raise the hard limit too. Called once, at the start.
    package static func raiseLimit() {
        let most = (try? HostFile.text("/proc/sys/fs/nr_open", limit: 64)).flatMap { UInt64($0.filter(\.isNumber)) } ?? plenty
        for wanted in [max(inherited.hard, min(plenty, most)), inherited.hard] {
            var limit = rlimit(rlim_cur: rlim_t(wanted), rlim_max: rlim_t(wanted))
            if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 { return }
        }
    }

    /// How many it may have now.
    package static var most: UInt64 {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? UInt64(limit.rlim_cur) : 1024
    }
}
