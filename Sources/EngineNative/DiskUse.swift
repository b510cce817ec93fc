internal import CLinux
internal import Glibc
internal import HostOS

/// How much of the disk a run takes, by what can be seen from outside.
struct DiskUse: Hashable, Sendable {
    /// Bytes of its files, those without a name among them.
    var held: Int64 = 0
    /// Bytes that its processes ever wrote (`write_bytes` of `/proc/PID/io`), whether they are still there or not.
    var written: Int64 = 0
    /// Whether all of its files were looked at; of very many only some are.
    var isWhole = true

    /// How much more it takes than at an earlier look. Where not all files were counted, what was written stands for it.
    func growth(since earlier: DiskUse) -> Int64 { isWhole && earlier.isWhole ? held - earlier.held : written - earlier.written }

    /// The most entries of directories that are counted for one run.
    private static let most = 200_000

    /// - Parameters:
    ///   - paths: directories and files; links are not followed
    ///   - device: the disk's; what lies on others does not count
    ///   - processes: the run's
    static func of(_ paths: [String], on device: UInt, processes: [pid_t]) -> DiskUse {
        var use = DiskUse()
        var left = most
        for path in paths { use.add(path, device, &left) }
        use.isWhole = left > 0
        var seen: Set<FileIdentity> = []
        for process in processes { use.add(process, device, &seen) }
        return use
    }

    private mutating func add(_ path: String, _ device: UInt, _ left: inout Int) {
        var info = stat()
        guard lstat(path, &info) == 0, UInt(info.st_dev) == device else { return }
        held += Int64(info.st_blocks) * 512
        guard info.st_mode & S_IFMT == S_IFDIR else { return }
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
                held += Int64(info.st_blocks) * 512
                guard info.st_mode & S_IFMT == S_IFDIR else { continue }
                // Directories wait open; with very many of them at once, not all are counted.
                guard pending.count < 256 else {
                    left = 0
                    break
                }
                pending.append(openat(dirfd(stream), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
            }
        }
    }

    /// What a process wrote, and the files that it holds open and that have no name any more.
    private mutating func add(_ process: pid_t, _ device: UInt, _ seen: inout Set<FileIdentity>) {
        if let text = try? HostFile.text("/proc/\(process)/io", limit: 4096) {
            for line in text.split(separator: "\n") where line.hasPrefix("write_bytes: ") { written += Int64(line.dropFirst(13)) ?? 0 }
        }
        for name in HostFile.names(in: "/proc/\(process)/fd") {
            let path = "/proc/\(process)/fd/\(name)"
            var info = stat()
            guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG, info.st_nlink == 0, seen.insert(FileIdentity(info)).inserted else { continue }
            // Of a container's own layer the kernel does not say on which disk it is.
            guard UInt(info.st_dev) == device || clinux_is_overlay(path) != 0 else { continue }
            held += Int64(info.st_blocks) * 512
        }
    }
}
