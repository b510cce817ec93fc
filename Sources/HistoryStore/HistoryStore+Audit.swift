public import GRDB
public import Ledger
public import Schedules

/// Who asked for what: a table beside those of the migrations, which an earlier release leaves alone.
extension HistoryStore {
    static let audit = """
        CREATE TABLE IF NOT EXISTS audit_rows (
            id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, who TEXT NOT NULL, role TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
            status INTEGER NOT NULL, note TEXT
        ) STRICT;
        CREATE INDEX IF NOT EXISTS audit_by_time ON audit_rows (at_ms);
        CREATE VIEW IF NOT EXISTS audit AS SELECT
            strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, who, role, method, path, status, note, id FROM audit_rows;
        """

    /// Keeps who asked for a change.
    ///
    /// - Throws: ``StoreError``
    public func record(_ entry: AuditRecord) async throws(StoreError) {
        try await write { db in
            try db.cachedStatement(sql: "INSERT INTO audit_rows (at_ms, who, role, method, path, status, note) VALUES (?, ?, ?, ?, ?, ?, ?)").execute(
                arguments: [entry.at.milliseconds, entry.who, entry.role, entry.method, entry.path, entry.status, entry.note])
        }
    }

    /// Who asked for what, newest first.
    ///
    /// - Throws: ``StoreError``
    public func audit(since: Timestamp?, limit: Int) async throws(StoreError) -> [AuditInfo] {
        try await read { db in
            try AuditInfo.fetchAll(
                db, sql: "SELECT * FROM audit WHERE id IN (SELECT id FROM audit_rows WHERE at_ms >= ? ORDER BY id DESC LIMIT ?) ORDER BY id DESC",
                arguments: [since?.milliseconds ?? Int64.min, max(1, min(limit, 100_000))])
        }
    }
}

extension AuditInfo: FetchableRecord {}
