internal import Glibc

/// A lock on a directory that goes with the process that holds it, whatever its end.
///
/// It is on a file that only root can open: a lock on a directory that others may read could be taken by any of them.
package struct FileLock: Sendable {
    /// Somebody else holds the lock.
    package struct Held: Error {
        /// What the holder wrote down of itself.
        package let holder: String?
    }

    private let descriptors: [Int32]

    /// Takes the lock `lock` in a directory that is there.
    ///
    /// - Parameter exclusive: whether a directory that only root can open is locked itself as well, as releases up to 0.1 do
    /// - Throws: ``Held``, or ``HostFile/Failure``
    package init(directory: String, withDirectory exclusive: Bool) throws {
        let path = "\(directory)/lock"
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw HostFile.Failure(path: path, action: "open", code: errno) }
        var held = [file]
        // One that was there with another mode, or that is somebody else's, is no lock.
        var info = stat()
        guard fstat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG, info.st_uid == geteuid(), info.st_mode & 0o077 == 0 else {
            close(file)
            throw HostFile.Failure(path: path, action: "trust (it must be a file of root's that nobody else can open)", code: EPERM)
        }
        func take(_ fd: Int32) throws {
            guard flock(fd, LOCK_EX | LOCK_NB) == 0 else {
                let holder = (try? HostFile.text("\(directory)/berthd.pid", limit: 64))?.split(whereSeparator: \.isWhitespace).first.map(String.init)
                for fd in held { close(fd) }
                throw Held(holder: holder)
            }
        }
        try take(file)
        if exclusive, stat(directory, &info) == 0, info.st_uid == geteuid(), info.st_mode & 0o077 == 0 {
            let fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if fd >= 0 {
                held.append(fd)
                try take(fd)
            }
        }
        descriptors = held
    }

    package func release() { for fd in descriptors { close(fd) } }
}
