internal import FoundationEssentials
internal import GRDB
internal import Glibc
internal import HostOS
public import Schedules
internal import Synchronization

/// Whole copies of the history, each a database of its own that any SQLite program opens, beside the one that is written.
///
/// They are made while work goes on: a copy is what the history was at one moment. What is sealed stays sealed by the same key.
extension HistoryStore {
    /// A copy.
    public struct Snapshot: Hashable, Sendable {
        /// The file.
        public let path: String
        /// Bytes.
        public let size: Int64
        /// When it was begun, to the second.
        public let at: Timestamp
    }

    /// How many are kept at most.
    public static let keptSnapshots = 7
    /// They take a tenth of the disk together, unless one alone takes more.
    static let mostOfDisk = 10

    private static let prefix = "berth-"
    private static let suffix = ".db"

    private var snapshotDirectory: String { HistoryStore.directory(beside: path) }

    private static func directory(beside path: String) -> String { path.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/snapshots" }

    /// Those that are there, newest first.
    public var snapshots: [Snapshot] { HistoryStore.snapshots(beside: path) }

    /// Those of the history at a path, whatever became of it, newest first.
    public static func snapshots(beside path: String) -> [Snapshot] {
        let directory = Self.directory(beside: path)
        return HostFile.names(in: directory).compactMap { name in
            guard name.hasPrefix(HistoryStore.prefix), name.hasSuffix(HistoryStore.suffix),
                let seconds = Int64(name.dropFirst(HistoryStore.prefix.count).dropLast(HistoryStore.suffix.count))
            else { return nil }
            var info = stat()
            guard stat("\(directory)/\(name)", &info) == 0 else { return nil }
            return Snapshot(path: "\(directory)/\(name)", size: Int64(info.st_size), at: Timestamp(milliseconds: seconds * 1000))
        }.sorted { $0.at > $1.at }
    }

    /// Looks at every page and index of the history, and copies it. Both read only: what is written meanwhile does not wait.
    ///
    /// - Returns: the copy; synced, and whole by SQLite's own judgement
    /// - Throws: ``StoreError/corrupt(_:)`` when the history is damaged: then there is no new copy, and the old ones stay;
    ///   ``StoreError/diskFull(_:)`` when there is no room for one
    @discardableResult
    public func makeSnapshot(now: Timestamp) async throws(StoreError) -> Snapshot {
        let directory = snapshotDirectory
        let file = "\(directory)/\(HistoryStore.prefix)\(now.milliseconds / 1000)\(HistoryStore.suffix)"
        let unfinished = file + ".new"
        do {
            try await examine()
            try HostFile.makeDirectories(directory, mode: 0o700)
            for name in HostFile.names(in: directory) where name.hasSuffix(".new") { unlink("\(directory)/\(name)") }
            try checkRoom(in: directory)
            // A transaction of a reader is open all the while; one that writes is refused within one, so it has none of its own.
            try await pool.unsafeRead { db in try db.execute(sql: "VACUUM INTO ?", arguments: [unfinished]) }
            try HistoryStore.finish(unfinished, as: file, in: directory, at: now)
        } catch {
            unlink(unfinished)
            let failure = error as? StoreError ?? StoreError(error, path: path)
            snapshotProblem.withLock { $0 = "no copy of the history could be made: \(failure)" }
            throw failure
        }
        snapshotProblem.withLock { $0 = nil }
        prune()
        guard let made = snapshots.first(where: { $0.path == file }) else { throw .storage("\(file) was removed while it was made") }
        return made
    }

    /// Writes a copy to a place of the caller's, as ``makeSnapshot(now:)`` does, without a look at the whole history first.
    ///
    /// - Throws: ``StoreError``
    public func writeCopy(to file: String, now: Timestamp) async throws(StoreError) {
        do {
            let folder = file.split(separator: "/").dropLast().map { "/\($0)" }.joined()
            try checkRoom(in: folder)
            try await pool.unsafeRead { db in try db.execute(sql: "VACUUM INTO ?", arguments: [file + ".new"]) }
            try HistoryStore.finish(file + ".new", as: file, in: folder, at: now)
        } catch {
            unlink(file + ".new")
            throw error as? StoreError ?? StoreError(error, path: path)
        }
    }

    /// Sees that a file is a history that this release can read, and whole. It is not changed.
    ///
    /// - Returns: how many runs it has
    /// - Throws: ``StoreError``
    public static func examineCopy(_ file: String) throws(StoreError) -> Int {
        do {
            var configuration = Configuration()
            configuration.readonly = true
            let copy = try DatabaseQueue(path: file, configuration: configuration)
            defer { try? copy.close() }
            return try copy.read { db in
                guard try String.fetchOne(db, sql: "PRAGMA integrity_check(1)") == "ok" else { throw StoreError.corrupt("\(file) is damaged") }
                guard try !Schema.migrator.hasBeenSuperseded(db) else { throw StoreError.newerSchema("\(file) was written by a newer release of Berth") }
                return try Int.fetchOne(db, sql: "SELECT count(*) FROM run_rows") ?? 0
            }
        } catch { throw error as? StoreError ?? StoreError(error, path: file) }
    }

    /// Why there is no new copy; empty when the last try made one.
    public var notices: [String] { snapshotProblem.withLock { [$0].compactMap { $0 } } }

    private func examine() async throws {
        let found = try await pool.read { try String.fetchAll($0, sql: "PRAGMA integrity_check(3)") }
        guard found == ["ok"] else {
            sayDamaged()
            let words = found.joined(separator: "; ")
            throw StoreError.corrupt("\(path) is damaged: \(words); the next start of berthd puts it aside, and its newest copy in its place")
        }
    }

    private func checkRoom(in directory: String) throws {
        var (info, disk) = (stat(), statvfs())
        guard stat(path, &info) == 0, statvfs(directory, &disk) == 0 else { return }
        let free = UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
        // As much again stays free.
        guard free / 2 > UInt64(info.st_size) else {
            throw StoreError.diskFull("\(directory): there is no room for a copy of the history, which has \(info.st_size >> 20) MiB; free some space there")
        }
    }

    /// A copy is one under its name only once it is on the disk, and was read.
    private static func finish(_ unfinished: String, as file: String, in directory: String, at moment: Timestamp) throws {
        try mark(unfinished, at: moment)
        chmod(unfinished, 0o600)
        try sync(unfinished, O_RDONLY)
        guard rename(unfinished, file) == 0 else { throw StoreError.storage("\(file): \(String(cString: strerror(errno)))") }
        try sync(directory, O_RDONLY | O_DIRECTORY)
    }

    /// In ``StoredState/copiedAt``'s place in the database.
    static let copyMark = "copied_ms"

    /// Marks a database as a copy, which whoever takes it up must know, and sees that it is whole.
    private static func mark(_ file: String, at moment: Timestamp) throws {
        let copy = try DatabaseQueue(path: file)
        let result = try copy.writeWithoutTransaction { db in
            try db.execute(sql: "INSERT OR IGNORE INTO meta (key, value) VALUES ('\(copyMark)', ?)", arguments: ["\(moment.milliseconds)"])
            return try String.fetchOne(db, sql: "PRAGMA quick_check(1)")
        }
        try copy.close()
        guard result == "ok" else { throw StoreError.corrupt("\(file) is not what was written to it: \(result ?? "it cannot be read")") }
    }

    /// Puts the newest copy that is whole in the place of a history that was lost and is not there any more.
    ///
    /// - Returns: which; `nil` when there is none
    /// - Throws: ``StoreError`` when there is one that cannot be put there now
    public static func putSnapshotInPlace(of path: String) throws(StoreError) -> Snapshot? {
        for snapshot in snapshots(beside: path) {
            do {
                try copy(snapshot.path, to: path, at: snapshot.at)
                return snapshot
            } catch {
                let failure = StoreError(error, path: snapshot.path)
                // The next older one may be whole; a full disk is no reason to take it.
                guard case .corrupt = failure else { throw failure }
            }
        }
        return nil
    }

    /// Says of a new history that there was another one before it.
    public func markAsCopy(at moment: Timestamp) async throws(StoreError) {
        try await write { db in
            try db.execute(sql: "INSERT OR IGNORE INTO meta (key, value) VALUES ('\(HistoryStore.copyMark)', ?)", arguments: ["\(moment.milliseconds)"])
        }
    }

    /// Puts a copy in the place of a history that is not there, whole and synced or not at all.
    static func copy(_ file: String, to path: String, at moment: Timestamp) throws {
        let unfinished = path + ".new"
        unlink(unfinished)
        defer { unlink(unfinished) }
        try FileManager.default.copyItem(atPath: file, toPath: unfinished)
        let directory = path.split(separator: "/").dropLast().map { "/\($0)" }.joined()
        try finish(unfinished, as: path, in: directory, at: moment)
    }

    private static func sync(_ path: String, _ flags: Int32) throws {
        let fd = open(path, flags | O_CLOEXEC)
        defer { if fd >= 0 { Glibc.close(fd) } }
        guard fd >= 0, fsync(fd) == 0 else { throw StoreError.storage("\(path): \(String(cString: strerror(errno)))") }
    }

    private func prune() {
        var disk = statvfs()
        let size = statvfs(snapshotDirectory, &disk) == 0 ? Int64(clamping: UInt64(disk.f_blocks) * UInt64(disk.f_frsize)) : .max
        let most = size / Int64(HistoryStore.mostOfDisk)
        var total: Int64 = 0
        for (index, snapshot) in snapshots.enumerated() {
            total += snapshot.size
            if index > 0, index >= HistoryStore.keptSnapshots || total > most { unlink(snapshot.path) }
        }
    }
}
