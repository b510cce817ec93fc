internal import Glibc

/// Stream sockets by path (unix(7)).
package enum UnixSocket {
    package enum Call { case bind, connect }

    /// The most bytes that a path may have: `sun_path` without its end.
    package static let mostBytes = 107

    /// Opens a socket and binds it to a path, or connects it with who listens there.
    ///
    /// - Returns: the caller's to close
    /// - Throws: with `ENAMETOOLONG` for a path of more than ``mostBytes``
    package static func open(_ path: String, _ call: Call) throws(HostFile.Failure) -> Int32 {
        guard path.utf8.count <= mostBytes else { throw HostFile.Failure(path: path, action: "use", code: ENAMETOOLONG) }
        let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw HostFile.Failure(path: path, action: "open a socket for", code: errno) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let size = socklen_t(MemoryLayout<sockaddr_un>.size)
                return call == .bind ? bind(fd, address, size) : connect(fd, address, size)
            }
        }
        guard result == 0 else {
            let code = errno
            close(fd)
            throw HostFile.Failure(path: path, action: call == .bind ? "bind" : "connect with", code: code)
        }
        return fd
    }
}
