internal import CLinux
internal import Glibc
internal import HostOS
internal import Synchronization

/// Some of the state disk that is kept from everybody, and that is given back bit by bit when there is no other: launches need some, also
/// when a container took everything at once.
protocol DiskReserve: Sendable {
    /// How much it keeps now.
    var held: Int64 { get }

    /// Makes it so large.
    ///
    /// - Returns: whether it is; where that fails, it stays as it is or becomes as large as it can be
    func take(_ amount: Int64) -> Bool

    /// Gives some back.
    ///
    /// - Returns: whether there was any
    @discardableResult func release(_ amount: Int64) -> Bool
}

/// A file whose blocks nobody else has.
final class ByteReserve: DiskReserve {
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

    func take(_ amount: Int64) -> Bool {
        bytes.withLock { bytes in
            let fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard fd >= 0 else { return false }
            defer { close(fd) }
            guard clinux_allocate(fd, amount) == 0 else {
                ftruncate(fd, Int(bytes))
                return false
            }
            bytes = amount
            return true
        }
    }

    @discardableResult func release(_ amount: Int64) -> Bool {
        let fd = open(file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        let wasReleased = bytes.withLock { bytes in
            let left = max(0, bytes - amount)
            guard bytes > 0, ftruncate(fd, Int(left)) == 0 else { return false }
            bytes = left
            return true
        }
        // ext4 and xfs give freed blocks to others only once that is on the disk.
        if wasReleased { fsync(fd) }
        return wasReleased
    }
}

/// Empty files whose inodes nobody else has.
final class InodeReserve: DiskReserve {
    private let directory: String
    /// How many of them there are; their names count from 0.
    private let files: Mutex<Int64>

    /// - Parameter directory: of nothing else; may be there from an earlier daemon
    init(directory: String) {
        self.directory = directory
        var number: Int64 = 0
        while HostFile.exists("\(directory)/\(number)") { number += 1 }
        files = Mutex(number)
    }

    var held: Int64 { files.withLock { $0 } }

    func take(_ amount: Int64) -> Bool {
        files.withLock { files in
            try? HostFile.makeDirectory(directory)
            while files < amount {
                let fd = open("\(directory)/\(files)", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
                guard fd >= 0 else { return false }
                close(fd)
                files += 1
            }
            return true
        }
    }

    @discardableResult func release(_ amount: Int64) -> Bool {
        files.withLock { files in
            let before = files
            while files > max(0, before - amount), unlink("\(directory)/\(files - 1)") == 0 { files -= 1 }
            return files < before
        }
    }
}
