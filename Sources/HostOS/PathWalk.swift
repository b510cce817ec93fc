internal import CLinux
package import Glibc

/// A walk along a path of the host, one component after the other. Whoever walks looks at each step by what it is, not by what
/// it is called, and says whether a link is followed.
package final class PathWalk {
    /// What the next component is.
    package enum Step {
        /// A file or directory; the walk stands on it now.
        case entered(String, stat)
        /// A link, which the walk has not followed, and where it points to.
        case link(String, stat, target: String)
    }

    /// Where the walk stands, opened with `O_PATH`; the walk's own until ``take()``.
    package private(set) var descriptor: Int32
    private let path: String
    /// Components to come, last first.
    private var pending: [Substring]
    private var links = 0

    /// Begins at the root.
    ///
    /// - Parameter path: absolute
    package init(_ path: String) throws(HostFile.Failure) {
        self.path = path
        pending = path.split(separator: "/").reversed()
        descriptor = clinux_open_place(AT_FDCWD, "/", O_DIRECTORY)
        guard descriptor >= 0 else { throw HostFile.Failure(path: "/", action: "open", code: errno) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    package var isAtEnd: Bool { pending.isEmpty }

    /// The component that the next step takes; `nil` at the end.
    package var upcoming: Substring? { pending.last { $0 != "." } }

    /// What comes after the next component, as a path.
    package func rest(after component: Substring) -> String {
        var rest = pending[...]
        while let last = rest.popLast(), last != component {}
        return rest.reversed().filter { $0 != "." }.joined(separator: "/")
    }

    /// Takes the next step; `nil` at the end.
    ///
    /// - Throws: with `ENOENT` where there is nothing of that name
    package func next() throws(HostFile.Failure) -> Step? {
        while pending.last == "." { pending.removeLast() }
        guard let name = pending.popLast().map(String.init) else { return nil }
        // First as a directory: so a place that the host mounts when it is looked at (autofs) is mounted.
        var found = clinux_open_place(descriptor, name, O_NOFOLLOW | O_DIRECTORY)
        if found < 0, errno == ENOTDIR || errno == ELOOP { found = clinux_open_place(descriptor, name, O_NOFOLLOW) }
        guard found >= 0 else { throw failure(errno) }
        var info = stat()
        guard fstat(found, &info) == 0 else {
            let code = errno
            close(found)
            throw failure(code)
        }
        guard info.st_mode & S_IFMT == S_IFLNK else {
            close(descriptor)
            descriptor = found
            return .entered(name, info)
        }
        defer { close(found) }
        guard let target = HostFile.link("", below: found) else { throw failure(errno) }
        return .link(name, info, target: target)
    }

    /// Goes on by what a link says.
    ///
    /// - Returns: whether the walk stands at the root again
    package func follow(_ target: String) throws(HostFile.Failure) -> Bool {
        links += 1
        // As many as the kernel follows (MAXSYMLINKS).
        guard links <= 40 else { throw failure(ELOOP) }
        pending += target.split(separator: "/").reversed()
        guard target.hasPrefix("/") else { return false }
        let root = clinux_open_place(AT_FDCWD, "/", O_DIRECTORY)
        guard root >= 0 else { throw failure(errno) }
        close(descriptor)
        descriptor = root
        return true
    }

    /// The place where the walk stands; from now on the caller's to close.
    package func take() -> Int32 {
        defer { descriptor = -1 }
        return descriptor
    }

    private func failure(_ code: Int32) -> HostFile.Failure { HostFile.Failure(path: path, action: "open", code: code) }
}
