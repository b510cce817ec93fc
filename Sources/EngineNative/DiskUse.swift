internal import CLinux
internal import Glibc
internal import HostOS
internal import WorkloadModel

/// How much of a disk runs take, as far as the host can see.
struct DiskUse {
    /// What lies below a path.
    struct Tree {
        var amount = DiskAmount()
        /// Whether all of its files were counted; of very many, or in very deep directories, only some are.
        var isWhole = true
    }

    /// What a run's processes do.
    struct Activity {
        /// Files that they hold open or mapped and that have been removed.
        var unnamed = DiskAmount()
        /// Whether all of their files were looked at; of very many only some are.
        var isWhole = true
    }

    private var paths: [RunID: [String]]
    private var trees: [String: Tree]
    private var activities: [RunID: Activity]

    /// Entries of directories that are counted in all, and at least for one path.
    private static let most = (all: 1_000_000, path: 20_000)
    /// Open files that are looked at in all, and at least for one run.
    private static let mostFiles = (all: 100_000, run: 2_000)
    /// How long a measurement takes at most.
    static let longest = Duration.seconds(2)
    /// Directories in one another that are looked into; each is held open meanwhile.
    private static let deepest = 200

    /// Measures runs.
    ///
    /// - Parameters:
    ///   - paths: where each run can write: its layer first, then other directories and files; links in them are not followed
    ///   - device: the disk's; what lies on others does not count
    ///   - deadline: what is not counted until then is left out
    ///   - processes: a run's
    init(_ paths: [RunID: [String]], on device: UInt, until deadline: ContinuousClock.Instant, processes: (RunID) -> [pid_t]) {
        self.paths = paths
        // A path of several runs is measured once. Each has its share of the entries, so that one of very many costs only itself.
        let all = Set(paths.values.joined()).sorted()
        let share = max(DiskUse.most.path, DiskUse.most.all / max(1, all.count))
        trees = all.reduce(into: [:]) { $0[$1] = DiskUse.tree($1, device, most: share, until: deadline) }
        let files = max(DiskUse.mostFiles.run, DiskUse.mostFiles.all / max(1, paths.count))
        activities = paths.keys.reduce(into: [:]) { $0[$1] = DiskUse.activity(processes($1), device, most: files, until: deadline) }
    }

    /// Adds a run that began after this measurement.
    ///
    /// - Parameter empty: its paths in which nothing was
    mutating func add(_ run: RunID, paths: [String], empty: [String]) {
        self.paths[run] = paths
        activities[run] = Activity()
        for path in empty where trees[path] == nil { trees[path] = Tree() }
    }

    /// Whether each path was measured.
    func knows(_ paths: some Sequence<String>) -> Bool { paths.allSatisfy { trees[$0] != nil } }

    /// Takes over what another measurement knows of runs and this one does not.
    mutating func complete(from other: DiskUse, for runs: [RunID: [String]]) {
        for (run, paths) in runs {
            self.paths[run] = paths
            if activities[run] == nil { activities[run] = other.activities[run] }
            for path in paths where trees[path] == nil { trees[path] = other.trees[path] }
        }
    }

    /// Forgets what was in the places of a run that has ended: what it took there is not the others'.
    mutating func forget(_ paths: some Sequence<String>) { for path in paths { trees[path] = nil } }

    /// How much more each run takes than at an earlier measurement; only what is certain.
    ///
    /// Nothing is said of paths that were not measured then, or not as a whole, nor of those that several runs can write to.
    func growth(of quantity: DiskQuantity, since earlier: DiskUse) -> [RunID: Int64] {
        var growth: [RunID: Int64] = [:]
        for (run, now) in activities {
            guard let before = earlier.activities[run], now.isWhole, before.isWhole else { continue }
            growth[run] = now.unnamed[quantity] - before.unnamed[quantity]
        }
        let users = paths.values.flatMap { Set($0) }.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        for (run, list) in paths {
            for path in Set(list) where users[path] == 1 {
                guard let now = trees[path], let before = earlier.trees[path], now.isWhole, before.isWhole else { continue }
                growth[run, default: 0] += now.amount[quantity] - before.amount[quantity]
            }
        }
        return growth
    }

    /// The runs whose growth together is more than half of all; as few as possible.
    static func largestGrowths(_ growth: [RunID: Int64], of quantity: DiskQuantity) -> Set<RunID> {
        let grown = growth.filter { $0.value > 2 * quantity.much }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let sum = grown.reduce(0) { $0 + $1.value }
        var found: Set<RunID> = []
        var counted: Int64 = 0
        for (run, amount) in grown where counted * 2 <= sum {
            found.insert(run)
            counted += amount
        }
        return found
    }

    /// Counts all files below a path, and their blocks, on one disk. Each name of a file counts.
    static func tree(_ path: String, _ device: UInt, most: Int, until deadline: ContinuousClock.Instant) -> Tree {
        var tree = Tree()
        var file = clinux_file()
        guard clinux_look(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &file) == 0, UInt(file.device) == device else { return tree }
        tree.amount = tree.amount + DiskAmount(file)
        guard file.mode & S_IFMT == S_IFDIR else { return tree }
        var left = most
        // One branch after the other, so that only the directories above are open.
        var open: [OpaquePointer] = []
        defer { for stream in open { closedir(stream) } }
        func enter(_ fd: Int32) {
            guard fd >= 0 else { return }
            if let stream = fdopendir(fd) { open.append(stream) } else { close(fd) }
        }
        enter(Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        while let stream = open.last {
            guard left > 0, left % 1024 != 0 || ContinuousClock.now < deadline else {
                tree.isWhole = false
                break
            }
            guard let entry = readdir(stream) else {
                closedir(stream)
                open.removeLast()
                continue
            }
            left -= 1
            withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                    if strcmp(name, ".") == 0 || strcmp(name, "..") == 0 { return }
                    guard clinux_look(dirfd(stream), name, AT_SYMLINK_NOFOLLOW, &file) == 0, UInt(file.device) == device else { return }
                    tree.amount = tree.amount + DiskAmount(file)
                    guard file.mode & S_IFMT == S_IFDIR else { return }
                    if open.count < deepest {
                        enter(openat(dirfd(stream), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
                    } else {
                        tree.isWhole = false
                    }
                }
            }
        }
        return tree
    }

    private static func activity(_ processes: [pid_t], _ device: UInt, most: Int, until deadline: ContinuousClock.Instant) -> Activity {
        var activity = Activity()
        var seen: Set<FileIdentity> = []
        var left = most
        for process in processes {
            guard left > 0, ContinuousClock.now < deadline else {
                activity.isWhole = false
                break
            }
            // Files of a container's own layer have the overlay's device or another one, never the disk's.
            var root = clinux_file()
            guard clinux_look(AT_FDCWD, "/proc/\(process)/root", 0, &root) == 0 else { continue }
            let paths = HostFile.names(in: "/proc/\(process)/fd", most: left).map { "/proc/\(process)/fd/\($0)" } + mappedFiles(process)
            left -= paths.count
            for path in paths {
                var file = clinux_file()
                guard clinux_look(AT_FDCWD, path, 0, &file) == 0, file.mode & S_IFMT == S_IFREG, file.links == 0 else { continue }
                guard UInt(file.device) == device || file.mount == root.mount else { continue }
                guard seen.insert(FileIdentity(device: UInt(file.device), inode: UInt(file.inode))).inserted else { continue }
                activity.unnamed = activity.unnamed + DiskAmount(file)
            }
        }
        if left <= 0 { activity.isWhole = false }
        return activity
    }

    /// Files without a name that a process has mapped, and may not hold open.
    private static func mappedFiles(_ process: pid_t) -> [String] {
        guard let text = try? HostFile.text("/proc/\(process)/maps", limit: 1 << 20) else { return [] }
        return text.split(separator: "\n").filter { $0.hasSuffix(" (deleted)") }.compactMap { line in
            // The file's range is called as here, but without leading zeros.
            guard let range = line.split(separator: " ").first else { return nil }
            return "/proc/\(process)/map_files/" + range.split(separator: "-").map { $0.drop { $0 == "0" } }.joined(separator: "-")
        }
    }
}

extension DiskAmount {
    /// Of one file.
    fileprivate init(_ file: clinux_file) { self.init(bytes: Int64(file.blocks) * 512, inodes: 1) }
}
