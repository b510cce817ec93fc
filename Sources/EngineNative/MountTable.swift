/// A line of /proc/self/mountinfo.
struct MountTable {
    let target: String
    let type: String
    let superOptions: [String]

    static func read() -> [MountTable] {
        guard let text = try? HostFile.text("/proc/self/mountinfo", limit: 16 << 20) else { return [] }
        return text.split(separator: "\n").compactMap { line in
            let halves = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            guard let dash = halves.firstIndex(of: "-"), dash + 3 < halves.count, halves.count > 4 else { return nil }
            return MountTable(
                target: unescaped(halves[4]), type: halves[dash + 1], superOptions: halves[dash + 3].split(separator: ",").map(String.init))
        }
    }

    /// Blanks and the like are written as `\040`.
    private static func unescaped(_ text: String) -> String {
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
    static func hostDisks() -> [String] {
        let kinds: Set<String> = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs"]
        let targets = read().filter { kinds.contains($0.type) && $0.target != "/" }.map(\.target)
        return Set(targets).sorted()
    }
}
