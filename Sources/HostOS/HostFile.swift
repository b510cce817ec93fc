package import Glibc

/// Small files and directories of the host, by system call. Each failure names the path and the reason.
package enum HostFile {
    package struct Failure: Error, CustomStringConvertible {
        package let path: String
        package let action: String
        package let code: Int32

        package init(path: String, action: String, code: Int32) {
            self.path = path
            self.action = action
            self.code = code
        }

        package var description: String {
            let remedy =
                switch code {
                case ENOSPC: "; free some space there, or inodes ('df \(path)', 'df -i \(path)')"
                case EROFS: "; mount it so that it can be written"
                default: ""
                }
            return "cannot \(action) \(path): \(String(cString: strerror(code)))\(remedy)"
        }

        package var isMissing: Bool { code == ENOENT }
    }

    /// With exactly this mode, whatever the process's mask is; one that is there stays as it is.
    package static func makeDirectory(_ path: String, mode: mode_t = 0o700) throws(Failure) {
        if mkdir(path, mode) == 0 {
            chmod(path, mode)
        } else if errno != EEXIST {
            throw Failure(path: path, action: "make", code: errno)
        }
    }

    package static func makeDirectories(_ path: String, mode: mode_t = 0o700) throws(Failure) {
        var partial = ""
        for part in path.split(separator: "/") {
            partial += "/" + part
            if mkdir(partial, mode) != 0, errno != EEXIST { throw Failure(path: partial, action: "make", code: errno) }
        }
    }

    /// Writes to a file that is there, as cgroup files are.
    package static func put(_ text: String, to path: String) throws(Failure) {
        let fd = open(path, O_WRONLY | O_CLOEXEC)
        guard fd >= 0 else { throw Failure(path: path, action: "open", code: errno) }
        defer { close(fd) }
        guard write(fd, text, text.utf8.count) == text.utf8.count else { throw Failure(path: path, action: "write '\(text)' to", code: errno) }
    }

    /// A new file, written whole and renamed into its place.
    ///
    /// - Parameter durable: whether it is to be there after a power cut, too
    package static func replace(_ path: String, with text: String, mode: mode_t = 0o600, durable: Bool = true) throws(Failure) {
        try replace(path, with: Array(text.utf8), mode: mode, durable: durable)
    }

    package static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o600, durable: Bool = true) throws(Failure) {
        let temporary = path + ".new"
        let fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard fd >= 0 else { throw Failure(path: path, action: "make", code: errno) }
        fchmod(fd, mode)
        do {
            defer { close(fd) }
            try writeAll(bytes, to: fd, path)
            guard !durable || fsync(fd) == 0 else { throw Failure(path: path, action: "write", code: errno) }
        }
        guard rename(temporary, path) == 0 else { throw Failure(path: path, action: "rename", code: errno) }
        guard durable else { return }
        // The name is in the folder, and is as durable as that.
        try syncDirectory(path.lastIndex(of: "/").map { String(path[...$0]) } ?? ".")
    }

    /// Makes the names in a directory durable.
    package static func syncDirectory(_ path: String) throws(Failure) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw Failure(path: path, action: "sync", code: errno) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw Failure(path: path, action: "sync", code: errno) }
    }

    /// A file that must not be there yet; none is left when it cannot be written.
    package static func create(_ path: String, with bytes: [UInt8], mode: mode_t = 0o644) throws(Failure) {
        let fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard fd >= 0 else { throw Failure(path: path, action: "make", code: errno) }
        defer { close(fd) }
        do { try writeAll(bytes, to: fd, path) } catch {
            unlink(path)
            throw error
        }
    }

    private static func writeAll(_ bytes: [UInt8], to fd: Int32, _ path: String) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw Failure(path: path, action: "write", code: written == 0 ? EIO : errno) }
            rest = rest.dropFirst(written)
        }
    }

    /// A regular file's text, at most `limit` bytes; links are not followed and pipes not waited for.
    package static func text(_ path: String, limit: Int = 1 << 16) throws(Failure) -> String {
        String(decoding: try bytes(path, limit: limit), as: UTF8.self)
    }

    /// Opens a file, and waits some seconds where this process or the host has no descriptor or memory left for it: what cannot be read just then
    /// is not to be taken for what is not there.
    ///
    /// - Returns: -1 with `errno`
    package static func openPatiently(_ path: String, _ flags: Int32) -> Int32 { patiently { open(path, flags | O_CLOEXEC) } }

    private static func patiently(_ attempt: () -> Int32) -> Int32 {
        for _ in 0..<500 {
            let result = attempt()
            guard result < 0, [EMFILE, ENFILE, ENOMEM, EINTR].contains(errno) else { return result }
            usleep(20_000)
        }
        return attempt()
    }

    package static func bytes(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        let fd = openPatiently(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard fd >= 0 else { throw Failure(path: path, action: "open", code: errno) }
        defer { close(fd) }
        return try read(fd, path, limit: limit)
    }

    /// What somebody names to be read, whatever it is: links are followed, pipes are waited for.
    package static func content(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        let fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard fd >= 0 else { throw Failure(path: path, action: "open", code: errno) }
        defer { close(fd) }
        return try read(fd, path, limit: limit)
    }

    /// The same as text; bytes that are no UTF-8 become the replacement character.
    package static func contentText(_ path: String, limit: Int) throws(Failure) -> String { String(decoding: try content(path, limit: limit), as: UTF8.self) }

    /// Reads to the end. Of a regular file the size is looked at first.
    package static func read(_ fd: Int32, _ path: String, limit: Int) throws(Failure) -> [UInt8] {
        let tooLarge = Failure(path: path, action: "read more than \(limit) bytes of", code: EFBIG)
        var info = stat()
        if fstat(fd, &info) == 0, info.st_mode & S_IFMT == S_IFREG, info.st_size > limit { throw tooLarge }
        var buffer = [UInt8](repeating: 0, count: 65536)
        var found: [UInt8] = []
        while true {
            let got = buffer.withUnsafeMutableBytes { Glibc.read(fd, $0.baseAddress, $0.count) }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw Failure(path: path, action: "read", code: errno) }
            if got == 0 { return found }
            found += buffer[..<got]
            guard found.count <= limit else { throw tooLarge }
        }
    }

    /// The path without links; as it is when it cannot be followed.
    package static func real(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Where a link points to; `nil` when there is no link.
    ///
    /// - Parameter directory: what a relative path starts from; the link itself, opened with `O_PATH`, for an empty path
    package static func link(_ path: String, below directory: Int32 = AT_FDCWD) -> String? {
        var buffer = [CChar](repeating: 0, count: 4097)
        let length = readlinkat(directory, path, &buffer, 4096)
        return length < 0 ? nil : String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether a directory has no entries; false when it cannot be read.
    package static func isEmptyDirectory(_ path: String) -> Bool {
        guard let stream = opendir(path) else { return false }
        defer { closedir(stream) }
        // "." and ".." are always there.
        for _ in 0..<2 where readdir(stream) == nil { return true }
        return readdir(stream) == nil
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package static func isDirectory(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    /// What changes when a file does: its number, size and times; `nil` when it is not there.
    package static func stamp(_ path: String) -> String? {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        return "\(info.st_size) \(info.st_mtim.tv_sec).\(info.st_mtim.tv_nsec) \(info.st_ino)"
    }

    /// The names in a directory, ascending; none when it cannot be read.
    ///
    /// - Parameter most: as many are read; where there are more, any of them
    package static func names(in path: String, most: Int = .max) -> [String] { (try? listing(path, most: most)) ?? [] }

    /// The same where nothing is not what cannot be read: a directory that is not there has no names.
    package static func listing(_ path: String, most: Int = .max) throws(Failure) -> [String] {
        let fd = openPatiently(path, O_RDONLY | O_DIRECTORY)
        if fd < 0, errno == ENOENT { return [] }
        guard fd >= 0, let stream = fdopendir(fd) else {
            let code = errno
            if fd >= 0 { close(fd) }
            throw Failure(path: path, action: "list", code: code)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while names.count < most, let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes a directory of files that Berth itself wrote; nothing below it is followed.
    package static func removeFlat(_ path: String) {
        for name in names(in: path) where unlink("\(path)/\(name)") != 0 { rmdir("\(path)/\(name)") }
        rmdir(path)
    }
}
