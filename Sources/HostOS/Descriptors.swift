internal import Glibc

/// How many descriptors this process may have.
package enum Descriptors {
    /// What it was before it was raised: what containers get that ask for nothing else.
    package static let inherited: (soft: UInt64, hard: UInt64) = {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return (1024, 1024) }
        return (UInt64(limit.rlim_cur), UInt64(limit.rlim_max))
    }()

    /// Raises it as far as the system lets us. Called once, at the start.
    package static func raiseLimit() {
        var limit = rlimit()
        limit.rlim_cur = rlim_t(inherited.hard)
        limit.rlim_max = rlim_t(inherited.hard)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// How many it may have now.
    package static var most: UInt64 {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? UInt64(limit.rlim_cur) : 1024
    }
}
