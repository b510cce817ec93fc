internal import CLinux
internal import Glibc
internal import HostOS
internal import WorkloadModel

/// How much of a disk runs take, as far as the host can see.
struct DiskUse {
    /// What lies below a path.
    struct Tree {
        var bytes: Int64 = 0
        /// Whether all of its files were counted; of very many only some are.
        var isWhole = true
    }

    /// What a run's processes do.
    struct Activity {
        /// Bytes of files that they hold open and that have been removed.
        var unnamed: Int64 = 0
        /// Bytes that they ever wrote (`write_bytes` of `/proc/PID/io`), whether they are still there or not.
        var written: Int64 = 0
    }

    private let paths: [RunID: [String]]
    private let trees: [String: Tree]
    private let activities: [RunID: Activity]

    /// Entries of directories that are counted for one path, and for all of them.
    private static let most = (path: 200_000, all: 1_000_000)

    /// Measures runs.
    ///
    /// - Parameters:
    ///   - paths: where each run can write: its layer first, then other directories and files; links in them are not followed
    ///   - device: the disk's; what lies on others does not count
    ///   - processes: a run's
    init(_ paths: [RunID: [String]], on device: UInt, processes: (RunID) -> [pid_t]) {
        self.paths = paths
        var left = DiskUse.most.all
        // A path of several runs is measured once.
        trees = Set(paths.values.joined()).sorted().reduce(into: [:]) { $0[$1] = DiskUse.tree($1, device, &left) }
        activities = paths.keys.reduce(into: [:]) { $0[$1] = DiskUse.activity(processes($1), device) }
    }

    /// How much more each run takes than at an earlier measurement.
    ///
    /// The growth of a path that several runs can write to is shared out in proportion to what they wrote meanwhile.
    func growth(since earlier: DiskUse) -> [RunID: Int64] {
        let written = activities.mapValues(\.written).merging(earlier.activities.mapValues { -$0.written }) { $0 + $1 }
        var growth = activities.mapValues(\.unnamed).merging(earlier.activities.mapValues { -$0.unnamed }) { $0 + $1 }
        var sharers: [String: [RunID]] = [:]
        for (run, list) in paths { for path in Set(list) { sharers[path, default: []].append(run) } }
        for (path, runs) in sharers {
            let now = trees[path] ?? Tree()
            // A run's own layer begins empty. What another path held before it was first measured is not known.
            let isLayer = runs.count == 1 && paths[runs[0]]?.first == path
            guard let before = earlier.trees[path] ?? (isLayer ? Tree() : nil), now.isWhole, before.isWhole else {
                // Its growth is not known, so what a run wrote is taken for it.
                for run in runs { growth[run] = max(growth[run] ?? 0, written[run] ?? 0) }
                continue
            }
            let grown = now.bytes - before.bytes
            let all = runs.reduce(0) { $0 + max(0, written[$1] ?? 0) }
            for run in runs {
                let share = runs.count == 1 ? 1 : all > 0 ? Double(max(0, written[run] ?? 0)) / Double(all) : 1 / Double(runs.count)
                growth[run, default: 0] += Int64(Double(grown) * share)
            }
        }
        return growth.filter { paths[$0.key] != nil }
    }

    /// The runs whose growth together is more than half of all; as few as possible.
    static func largestGrowths(_ growth: [RunID: Int64]) -> Set<RunID> {
        let grown = growth.filter { $0.value > 256 << 10 }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let sum = grown.reduce(0) { $0 + $1.value }
        var found: Set<RunID> = []
        var counted: Int64 = 0
        for (run, bytes) in grown where counted * 2 <= sum {
            found.insert(run)
            counted += bytes
        }
        return found
    }

    static func tree(_ path: String, _ device: UInt, _ leftOfAll: inout Int) -> Tree {
        var tree = Tree()
        var info = stat()
        guard lstat(path, &info) == 0, UInt(info.st_dev) == device else { return tree }
        tree.bytes += Int64(info.st_blocks) * 512
        guard info.st_mode & S_IFMT == S_IFDIR else { return tree }
        let allowed = min(most.path, leftOfAll)
        var left = allowed
        defer { leftOfAll -= allowed - max(0, left) }
        var pending = [open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)]
        while let fd = pending.popLast() {
            guard fd >= 0 else { continue }
            guard let stream = fdopendir(fd) else {
                close(fd)
                continue
            }
            defer { closedir(stream) }
            while left > 0, let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
                if name == "." || name == ".." { continue }
                left -= 1
                guard fstatat(dirfd(stream), name, &info, AT_SYMLINK_NOFOLLOW) == 0, UInt(info.st_dev) == device else { continue }
                tree.bytes += Int64(info.st_blocks) * 512
                guard info.st_mode & S_IFMT == S_IFDIR else { continue }
                // Each pending directory is open; with more of them than this, the rest is not counted.
                guard pending.count < 256 else {
                    left = 0
                    break
                }
                pending.append(openat(dirfd(stream), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
            }
        }
        tree.isWhole = left > 0
        return tree
    }

    private static func activity(_ processes: [pid_t], _ device: UInt) -> Activity {
        var activity = Activity()
        var seen: Set<FileIdentity> = []
        for process in processes {
            if let text = try? HostFile.text("/proc/\(process)/io", limit: 4096) {
                for line in text.split(separator: "\n") where line.hasPrefix("write_bytes: ") { activity.written += Int64(line.dropFirst(13)) ?? 0 }
            }
            for name in HostFile.names(in: "/proc/\(process)/fd") {
                let path = "/proc/\(process)/fd/\(name)"
                var info = stat()
                guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG, info.st_nlink == 0 else { continue }
                // For files of a container's own layer the kernel gives the overlay's device, not the disk's.
                guard seen.insert(FileIdentity(info)).inserted, UInt(info.st_dev) == device || clinux_is_overlay(path) != 0 else { continue }
                activity.unnamed += Int64(info.st_blocks) * 512
            }
        }
        return activity
    }
}
