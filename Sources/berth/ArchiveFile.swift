import Glibc

/// A file that gets its name once all of it is on the disk: one that is broken off leaves nothing.
final class ArchiveFile {
    private let descriptor: Int32
    private let target: String
    /// What it is called meanwhile; `nil` when it has no name, and when the target is no plain file, and is written to as it is.
    private var part: String?
    private let isPlain: Bool

    /// O_TMPFILE of open(2), which Swift does not import.
    private static let withoutName: Int32 = 0o20_000_000 | O_DIRECTORY

    /// The file; the standard output for `nil` and `-`.
    ///
    /// - Throws: ``CommandFailure``, also when the standard output is a terminal
    static func output(_ target: String?) throws -> ArchiveFile {
        if let target, target != "-" { return try ArchiveFile(target) }
        guard isatty(STDOUT_FILENO) == 0 else {
            throw CommandFailure(description: "an archive is nothing for a terminal: name a file, or send it to a program")
        }
        return ArchiveFile(descriptor: dup(STDOUT_FILENO))
    }

    private init(descriptor: Int32) {
        (self.descriptor, target, isPlain) = (descriptor, "the standard output", false)
    }

    func write(_ bytes: [UInt8]) throws {
        var left = bytes[...]
        while !left.isEmpty {
            let count = left.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw CommandFailure(description: "the archive cannot be written: \(String(cString: strerror(errno)))") }
            left = left.dropFirst(count)
        }
    }

    private init(_ target: String) throws {
        self.target = target
        var info = stat()
        isPlain = stat(target, &info) != 0 || info.st_mode & S_IFMT == S_IFREG
        if isPlain {
            let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? "."
            let nameless = open(folder, ArchiveFile.withoutName | O_WRONLY | O_CLOEXEC, 0o600)
            if nameless >= 0 {
                descriptor = nameless
            } else {
                let path = "\(target).part-\(getpid())"
                part = path
                descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            }
        } else {
            descriptor = open(target, O_WRONLY | O_CLOEXEC)
        }
        guard descriptor >= 0 else { throw CommandFailure(description: "cannot write \(target): \(String(cString: strerror(errno)))") }
    }

    func finish() throws {
        guard isPlain else { return }
        func check(_ result: Int32) throws {
            guard result == 0 else { throw CommandFailure(description: "cannot write \(target): \(String(cString: strerror(errno)))") }
        }
        try check(fsync(descriptor))
        let path = part ?? "\(target).part-\(getpid())"
        if part == nil { try check(linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, path, AT_SYMLINK_FOLLOW)) }
        part = path
        try check(rename(path, target))
        part = nil
    }

    deinit {
        if let part { unlink(part) }
        close(descriptor)
    }
}
