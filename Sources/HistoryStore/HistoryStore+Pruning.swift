internal import FoundationEssentials
internal import GRDB
public import Schedules
public import WorkloadModel

/// How much of the past is kept; `nil` is no bound, or as of any other job.
public struct Retention: Sendable, Hashable {
    /// How many finished runs are kept of a service or job: so many that went well, and as many that did not.
    public let runs: Int?
    /// Runs that went well, due times and events from before this instant are forgotten.
    public let before: Timestamp?
    /// Runs that did not go well are kept until this instant has passed them.
    public let failuresBefore: Timestamp?

    /// All of its fields.
    public init(runs: Int?, before: Timestamp?, failuresBefore: Timestamp?) {
        self.runs = runs
        self.before = before
        self.failuresBefore = failuresBefore
    }

    /// Keeps what went well for some days, and what did not four times as long: it is what people look for later.
    public init(runs: Int?, days: Int?, now: Timestamp) {
        self.runs = runs
        before = days.map { now - .seconds(Int64($0) * 86_400) }
        failuresBefore = days.map { now - .seconds(Int64($0) * 4 * 86_400) }
    }
}

/// Forgetting: what goes is looked for beside the writer and removed a little at a time, so that no launch waits long for it, and counted
/// where it was.
extension HistoryStore {
    /// The runs that are forgotten at a time; the rest are the next time.
    public static let mostPrunedRuns = 50_000

    /// Whose count of forgotten rows is kept. Beside the migrations: an earlier release leaves it alone, and opens the history.
    static let pruned = """
        CREATE TABLE IF NOT EXISTS pruned_rows (
            project TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, count INTEGER NOT NULL, through_ms INTEGER NOT NULL,
            PRIMARY KEY (project, name, kind, state)
        ) WITHOUT ROWID, STRICT;
        CREATE VIEW IF NOT EXISTS forgotten AS SELECT
            project, name, kind, state, count, strftime('%Y-%m-%dT%H:%M:%fZ', through_ms / 1000.0, 'unixepoch') AS through FROM pruned_rows;
        """

    private static let count = """
        INSERT INTO pruned_rows (project, name, kind, state, count, through_ms) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET count = count + excluded.count, through_ms = max(through_ms, excluded.through_ms)
        """

    /// How many rows are forgotten of a service or job, by what they were: `run succeeded`, `due skipped`, `event`.
    ///
    /// - Throws: ``StoreError``
    public func forgotten(_ id: WorkloadID) async throws(StoreError) -> [String: Int64] {
        try await read { db in
            let rows = try Row.fetchAll(
                db, sql: "SELECT trim(kind || ' ' || state) AS what, count FROM pruned_rows WHERE project = ? AND name = ?",
                arguments: [id.project.description, id.name.description])
            return Dictionary(uniqueKeysWithValues: rows.map { ($0["what"], $0["count"]) })
        }
    }

    /// A run that is to go.
    private struct Old {
        let run: RunID
        let workload: WorkloadID
        let outcome: String
        let decided: Int64
    }

    private static func old(_ rows: [Row]) -> [Old] {
        rows.compactMap { row in
            guard let run = RunID(row["run_id"]), let workload = workloadID(row) else { return nil }
            return Old(run: run, workload: workload, outcome: row["outcome"] ?? "", decided: row["decided_ms"])
        }
    }

    private static let good = "coalesce(outcome, '') IN ('succeeded', 'stopped')"

    /// Forgets finished runs beyond what is kept of each service and job, and runs, due times and events that are too old.
    ///
    /// - Parameters:
    ///   - own: jobs that say themselves how much of theirs is kept; the usual bounds stand in where they do not
    ///   - batch: rows that go in one transaction
    /// - Returns: the runs that are forgotten, whose logs can go; at most ``mostPrunedRuns``
    /// - Throws: ``StoreError``
    public func prune(
        _ usual: Retention, own: [WorkloadID: Retention] = [:], batch: Int = 1000, most: Int = mostPrunedRuns
    ) async throws(StoreError) -> [(RunID, WorkloadID)] {
        let never = Timestamp(milliseconds: Int64.min / 4)
        let (runs, before, failures) = (usual.runs ?? Int(Int32.max), usual.before ?? never, usual.failuresBefore ?? usual.before ?? never)
        let rules = own.map { id, retention in
            [
                id.project.description, id.name.description, "\(retention.runs ?? runs)", "\((retention.before ?? before).milliseconds)",
                "\((retention.failuresBefore ?? failures).milliseconds)",
            ]
        }
        let list: String
        do { list = String(decoding: try JSONEncoder().encode(rules), as: UTF8.self) } catch { throw .storage("\(error)") }
        let own = """
            WITH own AS MATERIALIZED (SELECT value ->> 0 AS project, value ->> 1 AS name, cast(value ->> 2 AS INTEGER) AS runs,
                cast(value ->> 3 AS INTEGER) AS before_ms, cast(value ->> 4 AS INTEGER) AS failures_ms FROM json_each(?3))
            """
        let old = try await read { db in
            HistoryStore.old(
                try Row.fetchAll(
                    db,
                    sql: """
                        \(own) SELECT run_id, project, name, outcome, decided_ms FROM (
                            SELECT run_id, r.project, r.name, state, outcome, decided_ms, coalesce(o.runs, ?1) AS most,
                                CASE WHEN \(HistoryStore.good) THEN coalesce(o.before_ms, ?2) ELSE coalesce(o.failures_ms, ?5) END AS oldest,
                                row_number() OVER (PARTITION BY r.project, r.name, \(HistoryStore.good) ORDER BY run_id DESC) AS place
                            FROM run_rows r LEFT JOIN own o ON o.project = r.project AND o.name = r.name
                        ) WHERE state = 'finished' AND (place > most OR decided_ms < oldest) LIMIT ?4
                        """, arguments: [runs, before.milliseconds, list, most, failures.milliseconds]))
        }
        for (table, column, kind, state, sum) in [("due_rows", "due_ms", "due", "result", "sum(count)"), ("event_rows", "at_ms", "event", "''", "count(*)")] {
            let isOld = """
                \(column) >= ?1 AND \(column) < ?2 AND NOT EXISTS
                    (SELECT 1 FROM own o WHERE o.project = \(table).project AND o.name = \(table).name)
                """
            // From one batch to the next by the time's index: what stays is passed over once.
            var from = Int64.min
            while from < before.milliseconds {
                let last = try await read { [from] db in
                    try Int64.fetchOne(
                        db, sql: "\(own) SELECT max(at) FROM (SELECT \(column) AS at FROM \(table) WHERE \(isOld) ORDER BY \(column) LIMIT ?4)",
                        arguments: [from, before.milliseconds, list, batch])
                }
                guard let last else { break }
                try await write { [from] db in
                    let counted = try Row.fetchAll(
                        db,
                        sql: """
                            \(own) SELECT coalesce(project, '') AS project, coalesce(name, '') AS name, \(state) AS state, \(sum) AS n, max(\(column)) AS at
                            FROM \(table) WHERE \(isOld) GROUP BY 1, 2, 3
                            """, arguments: [from, last + 1, list])
                    try HistoryStore.count(counted, kind, db)
                    try db.cachedStatement(sql: "\(own) DELETE FROM \(table) WHERE \(isOld)").execute(arguments: [from, last + 1, list])
                }
                from = last + 1
            }
            for rule in rules {
                let key = table == "due_rows" ? "project, name, due_ms, era" : "id"
                let some = "(\(key)) IN (SELECT \(key) FROM \(table) WHERE project = ?1 AND name = ?2 AND \(column) < cast(?3 AS INTEGER) LIMIT ?4)"
                let arguments: StatementArguments = [rule[0], rule[1], rule[3], batch]
                while try await write({ db in
                    let counted = try Row.fetchAll(
                        db, sql: "SELECT project, name, \(state) AS state, \(sum) AS n, max(\(column)) AS at FROM \(table) WHERE \(some) GROUP BY 1, 2, 3",
                        arguments: arguments)
                    try HistoryStore.count(counted, kind, db)
                    let statement = try db.cachedStatement(sql: "DELETE FROM \(table) WHERE \(some)")
                    try statement.execute(arguments: arguments)
                    return db.changesCount
                }) > 0 {}
            }
        }
        return try await remove(old, batch: batch)
    }

    private static func count(_ rows: [Row], _ kind: String, _ db: Database) throws {
        for row in rows {
            try db.cachedStatement(sql: count).execute(arguments: [
                row["project"] as String, row["name"] as String, kind, row["state"] as String, row["n"] as Int64, row["at"] as Int64,
            ])
        }
    }

    /// Last of all: the logs of these runs are known only by what is returned.
    private func remove(_ old: [Old], batch: Int) async throws(StoreError) -> [(RunID, WorkloadID)] {
        for rows in stride(from: 0, to: old.count, by: batch).map({ old[$0..<min($0 + batch, old.count)] }) {
            try await write { db in
                for row in rows {
                    try db.cachedStatement(sql: "DELETE FROM run_rows WHERE run_id = ? AND state = 'finished'").execute(arguments: [row.run.description])
                    guard db.changesCount > 0 else { continue }
                    try db.cachedStatement(sql: HistoryStore.count).execute(arguments: [
                        row.workload.project.description, row.workload.name.description, "run", row.outcome, 1, row.decided,
                    ])
                }
            }
        }
        return old.map { ($0.run, $0.workload) }
    }

    /// Forgets the oldest finished runs, first those that went well, where the history takes more than it may of the disk.
    ///
    /// - Parameter bytes: what it may take
    /// - Returns: the runs that are forgotten; at most ``mostPrunedRuns``, so that it is to be called again
    /// - Throws: ``StoreError``
    public func prune(toBytes bytes: Int64, batch: Int = 1000, most: Int = mostPrunedRuns) async throws(StoreError) -> [(RunID, WorkloadID)] {
        guard try await usedBytes() > bytes else { return [] }
        let old = try await read { db in
            var rows: [Row] = []
            for which in [HistoryStore.good, "NOT \(HistoryStore.good)"] where rows.isEmpty {
                rows = try Row.fetchAll(
                    db, sql: "SELECT run_id, project, name, outcome, decided_ms FROM run_rows WHERE state = 'finished' AND \(which) ORDER BY run_id LIMIT ?",
                    arguments: [most])
            }
            return HistoryStore.old(rows)
        }
        return try await remove(old, batch: batch)
    }

    /// What rows take, in bytes: pages that are free are used again, and the reserve is among them.
    ///
    /// - Throws: ``StoreError``
    public func usedBytes() async throws(StoreError) -> Int64 {
        try await read { db in
            try Int64.fetchOne(
                db,
                sql: """
                    SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size
                    """) ?? 0
        }
    }
}
