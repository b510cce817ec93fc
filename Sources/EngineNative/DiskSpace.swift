internal import CLinux
internal import WorkloadModel

/// What a disk can run out of.
enum DiskQuantity: CaseIterable, Hashable {
    case bytes
    /// Inodes: one for each file and directory.
    case inodes

    /// Taking more than so many in an instant is not what a disk's own journal and the daemon do.
    var much: Int64 {
        switch self {
        case .bytes: 128 << 10
        case .inodes: 64
        }
    }

    /// How many can be taken in a millisecond: the sooner a disk could be full, the sooner it is looked at again.
    var fastest: Int64 {
        switch self {
        case .bytes: 4 << 20
        case .inodes: 500
        }
    }

    func text(_ amount: Int64) -> String {
        switch self {
        case .bytes: ByteText.text(amount)
        case .inodes: "\(amount) \(amount == 1 ? "inode" : "inodes")"
        }
    }
}

struct DiskAmount: Equatable {
    var bytes: Int64 = 0
    var inodes: Int64 = 0

    subscript(quantity: DiskQuantity) -> Int64 {
        get {
            switch quantity {
            case .bytes: bytes
            case .inodes: inodes
            }
        }
        set {
            switch quantity {
            case .bytes: bytes = newValue
            case .inodes: inodes = newValue
            }
        }
    }

    static func + (left: DiskAmount, right: DiskAmount) -> DiskAmount {
        DiskAmount(bytes: left.bytes + right.bytes, inodes: left.inodes + right.inodes)
    }

    static func - (left: DiskAmount, right: DiskAmount) -> DiskAmount {
        DiskAmount(bytes: left.bytes - right.bytes, inodes: left.inodes - right.inodes)
    }
}

/// How full a disk is.
struct DiskSpace {
    let free: DiskAmount
    /// Without inodes where the file system does not count them, as btrfs.
    let total: DiskAmount
}

extension DiskSpace {
    /// Of the disk that a directory is on; `nil` when it cannot be asked.
    ///
    /// What ext4 keeps back for root counts as free: the daemon and most containers are root, and may use it.
    init?(of directory: String) {
        var space = clinux_space()
        guard clinux_disk_space(directory, &space) == 0 else { return nil }
        free = DiskAmount(bytes: space.free, inodes: space.free_inodes)
        total = DiskAmount(bytes: space.total, inodes: space.inodes)
    }

    /// What containers leave free by default, a twentieth of the disk within bounds, and never more than a quarter: of bytes at least
    /// 128 MiB and at most 1 GiB, of inodes at least 8,192 and at most 65,536.
    func usualFloor(_ quantity: DiskQuantity) -> Int64 {
        let (least, most): (Int64, Int64) =
            switch quantity {
            case .bytes: (128 << 20, 1 << 30)
            case .inodes: (8 << 10, 64 << 10)
            }
        return min(total[quantity] / 4, max(least, min(most, total[quantity] / 20)))
    }
}

/// How many bytes or inodes are free when things happen. What the reserve holds counts as free.
struct DiskLimits {
    /// Below it, containers that grow are frozen.
    let floor: Int64
    /// Kept back by files of Berth's own.
    let reserve: Int64

    /// - Parameter floor: at most half of the disk; `nil` chooses by the disk's size
    init(_ space: DiskSpace, _ quantity: DiskQuantity, floor: Int64?) {
        self.floor = min(space.total[quantity] / 2, floor ?? space.usualFloor(quantity))
        reserve =
            switch quantity {
            // In whole blocks of any file system.
            case .bytes: min(self.floor / 2, 64 << 20) & ~0xFFFF
            case .inodes: min(self.floor / 2, 1 << 10) & ~0xF
            }
    }

    /// So much of the reserve is given back at a time: a launch needs it. With less in all nothing is launched.
    var portion: Int64 { reserve / 16 }
    /// Below it, all containers are frozen while it is looked who takes the space.
    var pressing: Int64 { floor / 4 * 3 }

    /// Whether all containers are frozen for that: already above ``pressing`` when a measurement could last longer than the space.
    ///
    /// - Parameter rate: how much goes in a second
    func isPressing(_ free: Int64, rate: Double) -> Bool { free < pressing || Double(free) < rate * (DiskUse.longest / .seconds(1)) }
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
