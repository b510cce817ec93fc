internal import CLinux

/// How full a disk is, in bytes.
struct DiskSpace {
    let free: Int64
    let total: Int64

    /// Of the disk that a directory is on; `nil` when it cannot be asked.
    ///
    /// What ext4 keeps back for root counts as free: the daemon and most containers are root, and may use it.
    init?(of directory: String) {
        var (free, total): (Int64, Int64) = (0, 0)
        guard clinux_disk_space(directory, &free, &total) == 0 else { return nil }
        (self.free, self.total) = (free, total)
    }

    /// What containers leave free by default: a twentieth of the disk, at least 128 MiB and at most 1 GiB, and never more than a
    /// quarter.
    var usualFloor: Int64 { min(total / 4, max(128 << 20, min(1 << 30, total / 20))) }
}

/// The free space at which things happen, in bytes. What the reserve holds counts as free.
struct DiskLimits {
    /// Below it, containers that grow are frozen.
    let floor: Int64
    /// Kept back by a file.
    let reserve: Int64

    /// - Parameter floor: at most half of the disk
    init(_ space: DiskSpace, floor: Int64?) {
        self.floor = min(space.total / 2, floor ?? space.usualFloor)
        // In whole blocks of any file system.
        reserve = min(self.floor / 2, 64 << 20) & ~0xFFFF
    }

    /// So much of the reserve is given back at a time: a launch needs it. With less in all nothing is launched.
    var portion: Int64 { reserve / 16 }
    /// Below it, all containers are frozen while it is looked who takes the space.
    var pressing: Int64 { floor / 4 * 3 }
    /// Below it, containers that are told to end are frozen as well.
    var last: Int64 { floor / 4 }
    /// Above it, frozen containers go on.
    var enough: Int64 { floor + floor / 4 }
    /// Below it, containers are measured from time to time, to compare with.
    var roomy: Int64 {
        let (result, overflow) = floor.multipliedReportingOverflow(by: 256)
        return overflow ? .max : result
    }
}
