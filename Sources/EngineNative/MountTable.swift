internal import HostOS
internal import Synchronization

/// A line of /proc/self/mountinfo.
struct MountTable: Hashable {
    /// Unique among the mounts that are there now.
    let id: Int
    /// Major and minor number of the file system.
    let device: String
    /// What of the file system is mounted: a path inside it.
    let root: String
    let target: String
    let type: String
    let superOptions: [String]

    /// The text that was read last, and what it says: most launches find no mount made or gone.
    private static let last = Mutex<(text: [UInt8], mounts: [MountTable])>(([], []))

    static func read() -> [MountTable] {
        guard let text = try? HostFile.bytes("/proc/self/mountinfo", limit: 16 << 20) else { return [] }
        let known = last.withLock { $0 }
        if known.text == text { return known.mounts }
        let mounts = parse(String(decoding: text, as: UTF8.self))
        last.withLock { $0 = (text, mounts) }
        return mounts
    }

    static func parse(_ text: String) -> [MountTable] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            guard let dash = fields.firstIndex(of: "-"), dash + 3 < fields.count, dash > 4, let id = Int(fields[0]) else { return nil }
            return MountTable(
                id: id, device: fields[2], root: unescaped(fields[3]), target: unescaped(fields[4]), type: fields[dash + 1],
                superOptions: fields[dash + 3].split(separator: ",").map(String.init))
        }
    }

    /// Blanks and the like are written as `\040`.
    private static func unescaped(_ text: String) -> String {
        guard text.utf8.contains(0x5C) else { return text }
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == 0x5C, rest.count >= 3, let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) {
                result.append(value)
                rest = rest.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Disks of the host other than the root's, outermost first: what `rootfs: host` shows of them.
    static func hostDisks(_ mounts: [MountTable]) -> [String] {
        let kinds: Set<String> = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs"]
        return Set(mounts.filter { kinds.contains($0.type) && $0.target != "/" }.map(\.target)).sorted()
    }
}
