internal import GRDB

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
    case other(String)

    public var description: String {
        switch self {
        case .diskFull(let text), .storage(let text), .corrupt(let text), .newerSchema(let text), .notDurable(let text), .other(let text): text
        }
    }

    init(_ error: any Error, path: String) {
        guard let error = error as? DatabaseError else {
            self = error as? StoreError ?? .other("\(path): \(error)")
            return
        }
        let text = error.message ?? "error \(error.extendedResultCode.rawValue)"
        switch error.resultCode {
        case .SQLITE_FULL: self = .diskFull("\(path): the disk is full; free some space there, Berth goes on by itself")
        case .SQLITE_IOERR, .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_BUSY, .SQLITE_LOCKED: self = .storage("\(path): \(text)")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .corrupt("\(path): \(text)")
        default: self = .other("\(path): \(text)")
        }
    }
}
