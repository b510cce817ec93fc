internal import CLinux
internal import Glibc
internal import Synchronization

/// Space of the state disk that a file keeps from everybody, and that is given back bit by bit when there is no other: launches need
/// some, also when a container took everything at once.
final class DiskReserve: Sendable {
    private let file: String
    /// Bytes that it keeps now.
    private let bytes: Mutex<Int64>

    /// - Parameter file: may be there from an earlier daemon
    init(file: String) {
        self.file = file
        var info = stat()
        bytes = Mutex(lstat(file, &info) == 0 ? Int64(info.st_blocks) * 512 : 0)
    }

    var held: Int64 { bytes.withLock { $0 } }

    /// Makes it so large; where that fails it stays as it is.
    ///
    /// - Returns: whether the file system can keep space for a file at all
    func take(_ size: Int64) -> Bool {
        bytes.withLock { bytes in
            let fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard fd >= 0 else { return true }
            defer { close(fd) }
            if clinux_allocate(fd, size) == 0 {
                bytes = size
                return true
            }
            let code = errno
            ftruncate(fd, Int(bytes))
            return code != EOPNOTSUPP && code != ENOSYS
        }
    }

    /// Gives some of the space back.
    ///
    /// - Returns: whether there was any
    @discardableResult func release(_ size: Int64) -> Bool {
        let fd = open(file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        let wasReleased = bytes.withLock { bytes in
            let left = max(0, bytes - size)
            guard bytes > 0, ftruncate(fd, Int(left)) == 0 else { return false }
            bytes = left
            return true
        }
        // ext4 and xfs give freed blocks to others only once that is on the disk.
        if wasReleased { fsync(fd) }
        return wasReleased
    }
}
