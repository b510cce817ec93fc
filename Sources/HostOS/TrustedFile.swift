internal import CLinux
internal import Glibc

/// Files that the daemon reads by itself, as root, and acts on. As cron demands of its tables: the file and every folder
/// above it must be root's and nobody else's to write, and the file regular, with one name.
package enum TrustedFile {
    /// Why a file is not read.
    package struct Refusal: Error, CustomStringConvertible {
        package let description: String
        /// Whether there is nothing of that name.
        package let isMissing: Bool
    }

    /// Reads a file whole.
    ///
    /// - Parameters:
    ///   - path: absolute
    ///   - limit: the most bytes that it may have; its size is looked at before it is read
    /// - Throws: ``Refusal``
    package static func read(_ path: String, limit: Int) throws(Refusal) -> [UInt8] {
        var walk = try Walk(path)
        let fd = try walk.open()
        defer { close(fd) }
        do { return try HostFile.read(fd, path, limit: limit) } catch { throw Refusal(description: "\(error)", isMissing: false) }
    }

    private struct Walk {
        private let path: String
        private var current: Int32
        private var pending: [Substring]
        private var links = 0

        init(_ path: String) throws(Refusal) {
            self.path = path
            pending = path.split(separator: "/").reversed()
            current = clinux_open_place(AT_FDCWD, "/", O_DIRECTORY)
            guard current >= 0 else { throw Refusal(description: "cannot open /: \(String(cString: strerror(errno)))", isMissing: false) }
        }

        /// The file, open for reading.
        mutating func open() throws(Refusal) -> Int32 {
            do throws(Refusal) {
                try checkDirectory("/")
                while let name = pending.popLast() { try step(String(name)) }
                return try openFile()
            } catch {
                close(current)
                throw error
            }
        }

        private mutating func step(_ name: String) throws(Refusal) {
            let next = clinux_open_place(current, name, O_NOFOLLOW)
            guard next >= 0 else {
                let code = errno
                throw Refusal(description: "\(path) cannot be read: \(String(cString: strerror(code)))", isMissing: code == ENOENT)
            }
            var info = stat()
            guard fstat(next, &info) == 0, info.st_mode & S_IFMT == S_IFLNK else {
                close(current)
                current = next
                if !pending.isEmpty { try checkDirectory(name) }
                return
            }
            defer { close(next) }
            guard info.st_uid == 0 else { throw refused("the link '\(name)' belongs to user \(info.st_uid)") }
            var buffer = [CChar](repeating: 0, count: 4097)
            let length = readlinkat(next, "", &buffer, 4096)
            links += 1
            guard length > 0, links <= 40 else { throw refused("it leads through more links than can be followed") }
            let text = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            pending += text.split(separator: "/").reversed()
            guard text.hasPrefix("/") else { return }
            let root = clinux_open_place(AT_FDCWD, "/", O_DIRECTORY)
            guard root >= 0 else { throw refused("/ cannot be opened") }
            close(current)
            current = root
        }

        private func checkDirectory(_ name: String) throws(Refusal) {
            var info = stat()
            guard fstat(current, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { throw refused("'\(name)' is not a folder") }
            guard info.st_uid == 0 else { throw refused("the folder '\(name)' belongs to user \(info.st_uid)") }
            // Where the sticky bit is set, as in /tmp, nobody can rename or replace what is root's.
            guard info.st_mode & 0o022 == 0 || info.st_mode & S_ISVTX != 0 else {
                throw refused("the folder '\(name)' can be written by others than root (mode \(String(info.st_mode & 0o7777, radix: 8)))")
            }
        }

        private func openFile() throws(Refusal) -> Int32 {
            var info = stat()
            guard fstat(current, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { throw refused("it is not a regular file") }
            guard info.st_uid == 0 else { throw refused("it belongs to user \(info.st_uid)") }
            guard info.st_mode & 0o022 == 0 else { throw refused("it can be written by others than root (mode \(String(info.st_mode & 0o7777, radix: 8)))") }
            guard info.st_nlink == 1 else { throw refused("it has \(info.st_nlink) names (hard links)") }
            // The very file that was looked at.
            let fd = Glibc.open("/proc/self/fd/\(current)", O_RDONLY | O_CLOEXEC)
            guard fd >= 0 else { throw refused(String(cString: strerror(errno))) }
            close(current)
            return fd
        }

        private func refused(_ reason: String) -> Refusal {
            Refusal(
                description: "\(path) is not read: \(reason). What the daemon reads by itself must be root's, in folders of root's, and nobody "
                    + "else's to write; 'berth up -f' applies a file wherever it lies",
                isMissing: false)
        }
    }
}
