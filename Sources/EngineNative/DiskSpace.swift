internal import Glibc

/// How full a disk is, in bytes.
struct DiskSpace {
    let free: Int64
    let total: Int64

    /// Of the disk that a directory is on; `nil` when it cannot be asked.
    init?(of directory: String) {
        var info = statvfs()
        guard statvfs(directory, &info) == 0 else { return nil }
        free = Int64(info.f_bavail) * Int64(info.f_frsize)
        total = Int64(info.f_blocks) * Int64(info.f_frsize)
    }

    /// What containers leave free by default: a twentieth of the disk, at least 128 MiB and at most 1 GiB, and never more than a
    /// quarter.
    var usualFloor: Int64 { min(total / 4, max(128 << 20, min(1 << 30, total / 20))) }
}
