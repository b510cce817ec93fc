internal import GRDB

extension HistoryStore {
    /// Below this size the file is written anew, so that no old page of it holds what was sealed.
    private static let quickToRewrite = 256 << 20

    /// Seals what an earlier release stored in clear. Where that cannot be done now, as on a full disk, it can be later.
    ///
    /// - Throws: ``StoreError``
    public func sealWhatIsClear() throws(StoreError) {
        guard let seal else { return }
        do { try sealWhatIsClear(seal) } catch { throw StoreError(error, path: path) }
    }

    private func sealWhatIsClear(_ seal: Seal) throws {
        let changed = try pool.writeWithoutTransaction { db in
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
                for row in try Row.fetchAll(db, sql: "SELECT project, name, pending FROM job_rows WHERE pending LIKE '%\"environment\"%'") {
                    try db.execute(
                        sql: "UPDATE job_rows SET pending = ? WHERE project = ? AND name = ?",
                        arguments: [try seal.close(row["pending"]), row["project"] as String, row["name"] as String])
                    changed += 1
                }
                return .commit
            }
            return changed
        }
        guard changed > 0 else { return }
        try pool.writeWithoutTransaction { db in
            let bytes = (try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0) * (try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 0)
            if bytes < HistoryStore.quickToRewrite { try db.execute(sql: "VACUUM") }
            try db.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        }
    }
}
