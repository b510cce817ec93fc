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
        let fd = try Check(path: path).open()
        defer { close(fd) }
        do { return try HostFile.read(fd, path, limit: limit) } catch { throw Refusal(description: "\(error)", isMissing: false) }
    }

    private struct Check {
        let path: String

        /// The file, open for reading.
        func open() throws(Refusal) -> Int32 {
            let walk = try reach { () throws(HostFile.Failure) in try PathWalk(path) }
            try checkDirectory("/", walk.descriptor)
            while let step = try reach({ () throws(HostFile.Failure) in try walk.next() }) {
                switch step {
                case .entered(let name, _): if !walk.isAtEnd { try checkDirectory(name, walk.descriptor) }
                case .link(let name, let info, let target):
                    guard info.st_uid == 0 else { throw refused("the link '\(name)' belongs to user \(info.st_uid)") }
                    _ = try reach { () throws(HostFile.Failure) in try walk.follow(target) }
                }
            }
            return try openFile(walk.descriptor)
        }

        private func reach<Value>(_ body: () throws(HostFile.Failure) -> Value) throws(Refusal) -> Value {
            do throws(HostFile.Failure) { return try body() } catch {
                throw Refusal(description: "\(path) cannot be read: \(String(cString: strerror(error.code)))", isMissing: error.isMissing)
            }
        }

        private func checkDirectory(_ name: String, _ current: Int32) throws(Refusal) {
            var info = stat()
            guard fstat(current, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { throw refused("'\(name)' is not a folder") }
            guard info.st_uid == 0 else { throw refused("the folder '\(name)' belongs to user \(info.st_uid)") }
            // Where the sticky bit is set, as in /tmp, nobody can rename or replace what is root's.
            guard info.st_mode & 0o022 == 0 || info.st_mode & S_ISVTX != 0 else {
                throw refused("the folder '\(name)' can be written by others than root (mode \(String(info.st_mode & 0o7777, radix: 8)))")
            }
        }

        private func openFile(_ current: Int32) throws(Refusal) -> Int32 {
            var info = stat()
            guard fstat(current, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { throw refused("it is not a regular file") }
            guard info.st_uid == 0 else { throw refused("it belongs to user \(info.st_uid)") }
            guard info.st_mode & 0o022 == 0 else { throw refused("it can be written by others than root (mode \(String(info.st_mode & 0o7777, radix: 8)))") }
            guard info.st_nlink == 1 else { throw refused("it has \(info.st_nlink) names (hard links)") }
            // The very file that was looked at.
            let fd = Glibc.open("/proc/self/fd/\(current)", O_RDONLY | O_CLOEXEC)
            guard fd >= 0 else { throw refused(String(cString: strerror(errno))) }
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
