internal import FoundationEssentials
internal import GRDB

extension HistoryStore {
    /// How much can be written while the disk is full, in bytes: some thousand runs.
    package static let reserveBytes = 4 << 20

    /// Sees to it that commits go on when somebody fills the disk: free pages inside the database, and a write-ahead log that
    /// has its blocks. SQLite uses both before it asks the file system for more. Called at the start and from time to time.
    ///
    /// It holds where files are overwritten in place, as ext4 and xfs do, and not on btrfs.
    ///
    /// - Throws: ``StoreError`` when there is no space for it now
    public func keepReserve() throws(StoreError) {
        do {
            try pool.writeWithoutTransaction { db in
                let free = try Int.fetchOne(db, sql: "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size") ?? 0
                let log = (try? FileManager.default.attributesOfItem(atPath: path + "-wal")[.size] as? Int) ?? 0
                guard free < HistoryStore.reserveBytes / 2 || log < HistoryStore.reserveBytes else { return }
                // Committed full first and emptied then: what comes and goes in one transaction is never written.
                try db.execute(sql: "DROP TABLE IF EXISTS reserve")
                try db.inTransaction {
                    try db.execute(sql: "CREATE TABLE reserve (bytes BLOB)")
                    try db.execute(sql: "INSERT INTO reserve VALUES (zeroblob(?))", arguments: [HistoryStore.reserveBytes])
                    return .commit
                }
                _ = try? db.checkpoint(.passive)
                try db.execute(sql: "DROP TABLE reserve")
            }
        } catch { throw StoreError(error, path: path) }
    }
}
