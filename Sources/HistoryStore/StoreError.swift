internal import GRDB
internal import Glibc

/// Why the history could not be read or written.
public enum StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No space, or no inodes, are left where the database is.
    case diskFull(String)
    /// The database cannot be written now: read-only, or failing, storage. Trying again may help.
    case storage(String)
    /// The file is not a database, or contradicts itself.
    case corrupt(String)
    /// A newer release has written it.
    case newerSchema(String)
    /// SQLite does not keep a promise that ours rest on.
    case notDurable(String)
    /// Any other error of SQLite or of the daemon's own; trying again does not help.
    case other(String)

    /// The sentence that the error was made with.
    public var description: String {
        switch self {
        case .diskFull(let text), .storage(let text), .corrupt(let text), .newerSchema(let text), .notDurable(let text), .other(let text): text
        }
    }

    /// Whether it may pass without anybody mending the database: space comes back, a device answers again, a lock is let go.
    public var mayPass: Bool {
        switch self {
        case .diskFull, .storage: true
        case .corrupt, .newerSchema, .notDurable, .other: false
        }
    }

    init(_ error: any Error, path: String) {
        guard let error = error as? DatabaseError else {
            self = error as? StoreError ?? .other("\(path): \(error)")
            return
        }
        let text = error.message ?? "error \(error.extendedResultCode.rawValue)"
        switch error.resultCode {
        case .SQLITE_FULL: self = .diskFull(StoreError.full(path))
        // A file that SQLite maps cannot grow: it calls that an I/O error.
        case .SQLITE_IOERR where StoreError.isFull(path), .SQLITE_CANTOPEN where StoreError.isFull(path): self = .diskFull(StoreError.full(path))
        case .SQLITE_IOERR, .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_BUSY, .SQLITE_LOCKED: self = .storage("\(path): \(text)")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .corrupt("\(path): \(text)")
        default: self = .other("\(path): \(text)")
        }
    }

    private static func full(_ path: String) -> String { "\(path): the disk is full; free some space there, Berth goes on by itself" }

    private static func isFull(_ path: String) -> Bool {
        var info = statvfs()
        return statvfs(path, &info) == 0 && (UInt64(info.f_bavail) * UInt64(info.f_frsize) < 64 << 10 || info.f_files > 0 && info.f_favail == 0)
    }
}
