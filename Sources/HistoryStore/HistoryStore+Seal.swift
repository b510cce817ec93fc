internal import GRDB

extension HistoryStore {
    /// Up to this size the file is written anew, so that no old page of it holds what was sealed.
    private static let quickToRewrite = 256 << 20

    /// What is left of texts that were stored in clear.
    public enum Remains: Sendable {
        /// Nothing is left, or the history has no seal.
        case none
        /// The file is too large to be written anew at a start. What was sealed is overwritten, but pages that were free before may
        /// hold older texts.
        case inFreePages
    }

    /// Seals what an earlier release stored in clear, and overwrites it. What cannot be done now, as on a full disk or while somebody
    /// reads, is done the next time.
    ///
    /// - Throws: ``StoreError``
    public func sealWhatIsClear() throws(StoreError) -> Remains {
        guard let seal else { return .none }
        do { return try sealWhatIsClear(seal) } catch { throw StoreError(error, path: path) }
    }

    private func sealWhatIsClear(_ seal: Seal) throws -> Remains {
        let isToRewrite = try pool.writeWithoutTransaction { db in
            // What the new text takes the place of is overwritten, not only let go of.
            try db.execute(sql: "PRAGMA secure_delete = ON")
            defer { try? db.execute(sql: "PRAGMA secure_delete = OFF") }
            var changed = 0
            try db.inTransaction {
                let recipes = try Row.fetchAll(db, sql: "SELECT project, source FROM recipe_rows")
                for row in recipes where !(row["source"] as String).hasPrefix(Seal.mark) {
                    try db.execute(
                        sql: "UPDATE recipe_rows SET source = ? WHERE project = ?", arguments: [try seal.close(row["source"]), row["project"] as String])
                    changed += 1
                }
                for column in ["pending", "unheard"] {
                    let rows = try Row.fetchAll(db, sql: "SELECT project, name, \(column) AS text FROM job_rows WHERE \(column) LIKE '%\"environment\"%'")
                    for row in rows {
                        try db.execute(
                            sql: "UPDATE job_rows SET \(column) = ? WHERE project = ? AND name = ?",
                            arguments: [try seal.close(row["text"]), row["project"] as String, row["name"] as String])
                        changed += 1
                    }
                }
                // With it stays written down that old pages are still to be overwritten.
                if changed > 0 { try db.execute(sql: "PRAGMA user_version = 1") }
                return .commit
            }
            return try Int.fetchOne(db, sql: "PRAGMA user_version") == 1
        }
        guard isToRewrite else { return .none }
        return try pool.writeWithoutTransaction { db in
            let bytes = (try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0) * (try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 0)
            let isSmall = bytes <= HistoryStore.quickToRewrite
            if isSmall { try db.execute(sql: "VACUUM") }
            // The file itself has the new pages only once the log was moved into it.
            guard try Int.fetchOne(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)") == 0 else { throw DatabaseError(resultCode: .SQLITE_BUSY) }
            try db.execute(sql: "PRAGMA user_version = 0")
            return isSmall ? .none : .inFreePages
        }
    }
}
