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
    ///   - batch: rows that go in one transaction, at most
    /// - Returns: the runs that are forgotten, whose logs can go; at most ``mostPrunedRuns``
    /// - Throws: ``StoreError``
    public func prune(
        _ usual: Retention, own: [WorkloadID: Retention] = [:], batch: Int = 1000, most: Int = mostPrunedRuns
    ) async throws(StoreError) -> [(RunID, WorkloadID)] {
        var old: [Old] = []
        // One service or job after the other: no reader keeps the log of changes from being moved into the file for long.
        var last = ("", "")
        while old.count < most, let next = try await nextName(after: last) {
            last = next
            let rule = (try? WorkloadID(project: ProjectName(next.0), name: WorkloadName(next.1))).flatMap { own[$0] }
            let kept = Retention(
                runs: rule?.runs ?? usual.runs, before: rule?.before ?? usual.before,
                failuresBefore: rule?.failuresBefore ?? usual.failuresBefore ?? usual.before)
            old += try await read { [most = most - old.count] db in try HistoryStore.old(db, next, kept, most: most) }
        }
        try await pruneByTime(usual, own: own, batch: batch)
        try await pruneAudit(usual, batch: batch)
        return try await remove(old, batch: batch)
    }

    private func nextName(after last: (String, String)) async throws(StoreError) -> (String, String)? {
        try await read { db in
            try Row.fetchOne(
                db, sql: "SELECT project, name FROM run_rows WHERE (project, name) > (?, ?) ORDER BY project, name LIMIT 1", arguments: [last.0, last.1]
            ).map { ($0["project"], $0["name"]) }
        }
    }

    /// What is to go of one service or job. By its index alone, and no further than it is read: with millions of rows each question is short.
    private static func old(_ db: Database, _ name: (String, String), _ kept: Retention, most: Int) throws -> [Old] {
        var found: [Old] = []
        let count =
            try kept.runs == nil
            ? 0 : Int.fetchOne(db, sql: "SELECT count(*) FROM run_rows WHERE project = ? AND name = ?", arguments: [name.0, name.1]) ?? 0
        for (which, before) in [(good, kept.before), ("NOT \(good)", kept.failuresBefore)] where found.count < most {
            // A run's name begins with the time at which it was decided.
            var bound = before.map { RunID(now: $0, random: 0).description } ?? ""
            if let runs = kept.runs, count > runs {
                // The newest one that goes, and it as well.
                let newest = try String.fetchOne(
                    db,
                    sql: """
                        SELECT run_id FROM run_rows WHERE project = ? AND name = ? AND \(which) AND state = 'finished'
                        ORDER BY run_id DESC LIMIT 1 OFFSET ?
                        """, arguments: [name.0, name.1, runs])
                bound = max(bound, newest.map { $0 + "~" } ?? "")
            }
            found += Self.old(
                try Row.fetchAll(
                    db,
                    sql: """
                        SELECT run_id, project, name, outcome, decided_ms FROM run_rows
                        WHERE project = ? AND name = ? AND run_id < ? AND \(which) AND state = 'finished' ORDER BY run_id LIMIT ?
                        """, arguments: [name.0, name.1, bound, most - found.count]))
        }
        return found
    }

    /// Due times and events.
    private func pruneByTime(_ usual: Retention, own: [WorkloadID: Retention], batch: Int) async throws(StoreError) {
        let before = usual.before?.milliseconds ?? Int64.min
        let rules = own.map { id, retention in
            [id.project.description, id.name.description, "\((retention.before ?? usual.before)?.milliseconds ?? Int64.min)"]
        }
        let list: String
        do { list = String(decoding: try JSONEncoder().encode(rules), as: UTF8.self) } catch { throw .storage("\(error)") }
        let own = "WITH own AS MATERIALIZED (SELECT value ->> 0 AS project, value ->> 1 AS name FROM json_each(?3))"
        for (table, column, kind, state, sum) in [("due_rows", "due_ms", "due", "result", "sum(count)"), ("event_rows", "at_ms", "event", "''", "count(*)")] {
            let isOld = """
                \(column) >= ?1 AND \(column) < ?2 AND NOT EXISTS
                    (SELECT 1 FROM own o WHERE o.project = \(table).project AND o.name = \(table).name)
                """
            // From one batch to the next by the time's index: what stays is passed over once.
            var from = Int64.min
            var bite = Bite(most: batch)
            while from < before {
                let last = try await read { [from, bite] db in
                    try Int64.fetchOne(
                        db, sql: "\(own) SELECT max(at) FROM (SELECT \(column) AS at FROM \(table) WHERE \(isOld) ORDER BY \(column) LIMIT ?4)",
                        arguments: [from, before, list, bite.rows])
                }
                guard let last else { break }
                let begin = ContinuousClock.now
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
                bite.took(ContinuousClock.now - begin)
                from = last + 1
            }
            for rule in rules {
                let key = table == "due_rows" ? "project, name, due_ms, era" : "id"
                let some = "(\(key)) IN (SELECT \(key) FROM \(table) WHERE project = ?1 AND name = ?2 AND \(column) < cast(?3 AS INTEGER) LIMIT ?4)"
                var removed = 0
                repeat {
                    let arguments: StatementArguments = [rule[0], rule[1], rule[2], bite.rows]
                    let begin = ContinuousClock.now
                    removed = try await write { db in
                        let counted = try Row.fetchAll(
                            db, sql: "SELECT project, name, \(state) AS state, \(sum) AS n, max(\(column)) AS at FROM \(table) WHERE \(some) GROUP BY 1, 2, 3",
                            arguments: arguments)
                        try HistoryStore.count(counted, kind, db)
                        let statement = try db.cachedStatement(sql: "DELETE FROM \(table) WHERE \(some)")
                        try statement.execute(arguments: arguments)
                        return db.changesCount
                    }
                    if removed > 0 { bite.took(ContinuousClock.now - begin) }
                } while removed > 0
            }
        }
    }

    /// What was asked for is kept as long as what failed.
    private func pruneAudit(_ usual: Retention, batch: Int) async throws(StoreError) {
        guard let before = (usual.failuresBefore ?? usual.before)?.milliseconds else { return }
        while try await write({ db in
            let some = "SELECT id FROM audit_rows WHERE at_ms < ? ORDER BY at_ms LIMIT ?"
            try db.cachedStatement(sql: "DELETE FROM audit_rows WHERE id IN (\(some))").execute(arguments: [before, batch])
            return db.changesCount
        }) > 0 {}
    }

    /// How many rows go in one transaction: so many as take a few milliseconds, for which a launch may have to wait.
    private struct Bite {
        private static let time = Duration.milliseconds(5)
        let most: Int
        private(set) var rows: Int

        init(most: Int) {
            self.most = most
            rows = min(most, 50)
        }

        mutating func took(_ duration: Duration) {
            let fits = Double(rows) * (Bite.time / max(duration, .microseconds(1)))
            // Twice as many at most: one that was quick says little of the next.
            rows = min(most, max(min(most, 8), min(rows * 2, Int(fits))))
        }
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
        var bite = Bite(most: batch)
        var rest = old[...]
        while !rest.isEmpty {
            let rows = rest.prefix(bite.rows)
            rest = rest.dropFirst(bite.rows)
            let begin = ContinuousClock.now
            try await write { db in
                for row in rows {
                    try db.cachedStatement(sql: "DELETE FROM run_rows WHERE run_id = ? AND state = 'finished'").execute(arguments: [row.run.description])
                    guard db.changesCount > 0 else { continue }
                    try db.cachedStatement(sql: HistoryStore.count).execute(arguments: [
                        row.workload.project.description, row.workload.name.description, "run", row.outcome, 1, row.decided,
                    ])
                }
            }
            bite.took(ContinuousClock.now - begin)
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
