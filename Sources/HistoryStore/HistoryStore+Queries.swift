internal import FoundationEssentials
public import GRDB
public import Ledger
public import Schedules
public import WorkloadModel

/// Which runs are asked for; `nil` is all.
public struct RunFilter: Sendable, Hashable {
    /// The project's name.
    public var project: String?
    /// The name of a service or job, in any project.
    public var name: String?
    /// Words of ``WorkloadModel/Outcome``, any of them; empty is all runs, also those that have not ended.
    public var outcomes: [String] = []
    /// A word of ``WorkloadModel/Trigger``.
    public var trigger: String?
    /// Runs that were decided at this instant or later.
    public var since: Timestamp?
    /// Runs that were decided at this instant or earlier.
    public var until: Timestamp?
    /// The run's id, or its beginning or end.
    public var id: String?
    /// The most runs of the answer, 1 to 100,000; other numbers are moved to the nearest of these.
    public var limit = 50

    /// All runs, the 50 newest.
    public init() {}
}

extension RunInfo: FetchableRecord {}
extension DueInfo: FetchableRecord {}
extension EventInfo: FetchableRecord {}
extension ProbeInfo: FetchableRecord {}

extension HistoryStore {
    /// The last probes of a service that differ from the ones before them, newest first; at most five.
    ///
    /// - Throws: ``StoreError``
    public func probes(of id: InstanceID) async throws(StoreError) -> [ProbeInfo] {
        try await read { db in
            try ProbeInfo.fetchAll(
                db,
                sql: """
                    SELECT at, run_id, duration_ms, exit_code, failure, output FROM probes WHERE project = ? AND name = ? AND slot = ? ORDER BY at DESC
                    """, arguments: [id.workload.project.description, id.workload.name.description, id.slot])
        }
    }

    /// Runs, newest first.
    ///
    /// - Throws: ``StoreError``
    public func runs(_ filter: RunFilter) async throws(StoreError) -> [RunInfo] {
        var conditions: [String] = []
        var arguments: [(any DatabaseValueConvertible)?] = []
        func add(_ condition: String, _ value: (any DatabaseValueConvertible)?) {
            guard let value else { return }
            conditions.append(condition)
            arguments.append(value)
        }
        add("project = ?", filter.project)
        add("name = ?", filter.name)
        add("trigger = ?", filter.trigger)
        // Run ids begin with the time, so a bound on time is one on the key.
        add("run_id >= ?", filter.since.map { RunID(now: $0, random: 0).description })
        add("run_id <= ?", filter.until.map { RunID(now: $0, random: .max).description })
        if let id = filter.id {
            conditions.append("(run_id = ? OR substr(run_id, 1, length(?)) = ? OR substr(run_id, -length(?)) = ?)")
            arguments += [id, id, id, id, id]
        }
        if !filter.outcomes.isEmpty {
            conditions.append("outcome IN (\(filter.outcomes.map { _ in "?" }.joined(separator: ", ")))")
            arguments += filter.outcomes
        }
        let condition = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        let sql = "SELECT * FROM runs \(condition) ORDER BY run_id DESC LIMIT ?"
        let statementArguments = StatementArguments(arguments + [max(1, min(filter.limit, 100_000))])
        return try await read { db in try RunInfo.fetchAll(db, sql: sql, arguments: statementArguments) }
    }

    /// What became of due times, newest first.
    ///
    /// - Throws: ``StoreError``
    public func dueTimes(
        project: String?, name: String?, results: [String], since: Timestamp?, limit: Int
    ) async throws(StoreError) -> [DueInfo] {
        var conditions: [String] = []
        var arguments: [(any DatabaseValueConvertible)?] = []
        if let project {
            conditions.append("project = ?")
            arguments.append(project)
        }
        if let name {
            conditions.append("name = ?")
            arguments.append(name)
        }
        if let since {
            conditions.append("due_ms >= ?")
            arguments.append(since.milliseconds)
        }
        if !results.isEmpty {
            conditions.append("result IN (\(results.map { _ in "?" }.joined(separator: ", ")))")
            arguments += results
        }
        let condition = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        let sql = "SELECT * FROM due_times \(condition) ORDER BY due_ms DESC LIMIT ?"
        let statementArguments = StatementArguments(arguments + [max(1, min(limit, 100_000))])
        return try await read { db in try DueInfo.fetchAll(db, sql: sql, arguments: statementArguments) }
    }

    /// Whether a due time has a row of its own.
    ///
    /// - Throws: ``StoreError``
    public func hasDueTime(_ workload: WorkloadID, at: Timestamp) async throws(StoreError) -> Bool {
        try await read { db in
            try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM due_rows WHERE project = ? AND name = ? AND due_ms = ?)",
                arguments: [workload.project.description, workload.name.description, at.milliseconds]) ?? false
        }
    }

    /// Whether a run has a row.
    ///
    /// - Throws: ``StoreError``
    public func knows(_ run: RunID) async throws(StoreError) -> Bool {
        try await read { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM run_rows WHERE run_id = ?)", arguments: [run.description]) ?? false }
    }

    /// Events, newest first.
    ///
    /// - Throws: ``StoreError``
    public func events(project: String?, name: String?, limit: Int) async throws(StoreError) -> [EventInfo] {
        try await read { db in
            try EventInfo.fetchAll(
                db,
                sql: """
                    SELECT * FROM events WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR name = ?2) ORDER BY id DESC LIMIT ?3
                    """, arguments: [project, name, max(1, min(limit, 100_000))])
        }
    }

    /// The runs that are forgotten at a time; the rest are the next time.
    public static let mostPrunedRuns = 50_000

    /// Forgets finished runs beyond `keep` for each workload, and runs, due times and events older than `before`.
    ///
    /// What goes is looked for beside the writer and removed a little at a time, so that nothing waits for it long.
    ///
    /// - Parameters:
    ///   - own: jobs that say themselves how much of theirs is kept; the other two bounds stand in where they do not
    ///   - batch: rows that go in one transaction
    /// - Returns: the runs that are forgotten, whose logs can go; at most ``mostPrunedRuns``
    /// - Throws: ``StoreError``
    public func prune(keep: Int, before: Timestamp, own: [WorkloadID: Retention] = [:], batch: Int = 1000, most: Int = mostPrunedRuns) async throws(StoreError)
        -> [(RunID, WorkloadID)]
    {
        let rules = own.map { id, retention in
            [id.project.description, id.name.description, "\(retention.runs ?? keep)", "\((retention.before ?? before).milliseconds)"]
        }
        let list: String
        do { list = String(decoding: try JSONEncoder().encode(rules), as: UTF8.self) } catch { throw .storage("\(error)") }
        let own = """
            WITH own AS MATERIALIZED (SELECT value ->> 0 AS project, value ->> 1 AS name, cast(value ->> 2 AS INTEGER) AS runs,
                cast(value ->> 3 AS INTEGER) AS before_ms FROM json_each(?3))
            """
        let old = try await read { db in
            try Row.fetchAll(
                db,
                sql: """
                    \(own) SELECT run_id, project, name FROM (
                        SELECT run_id, r.project, r.name, state, decided_ms, coalesce(o.runs, ?1) AS most, coalesce(o.before_ms, ?2) AS oldest,
                            row_number() OVER (PARTITION BY r.project, r.name ORDER BY run_id DESC) AS place
                        FROM run_rows r LEFT JOIN own o ON o.project = r.project AND o.name = r.name
                    ) WHERE state = 'finished' AND (place > most OR decided_ms < oldest) LIMIT ?4
                    """, arguments: [keep, before.milliseconds, list, most]
            ).compactMap { row -> (RunID, WorkloadID)? in
                guard let id = RunID(row["run_id"]), let workload = workloadID(row) else { return nil }
                return (id, workload)
            }
        }
        for (table, column) in [("due_rows", "due_ms"), ("event_rows", "at_ms")] {
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
                    try db.cachedStatement(sql: "\(own) DELETE FROM \(table) WHERE \(isOld)").execute(arguments: [from, last + 1, list])
                }
                from = last + 1
            }
            for rule in rules {
                let key = table == "due_rows" ? "project, name, due_ms, era" : "id"
                try await deleteInBatches(
                    """
                    DELETE FROM \(table) WHERE (\(key)) IN
                        (SELECT \(key) FROM \(table) WHERE project = ?1 AND name = ?2 AND \(column) < cast(?3 AS INTEGER) LIMIT ?4)
                    """, [rule[0], rule[1], rule[3], batch])
            }
        }
        // Last: the logs of these runs are known only by what is returned.
        for rows in stride(from: 0, to: old.count, by: batch).map({ old[$0..<min($0 + batch, old.count)] }) {
            try await write { db in
                for (id, _) in rows {
                    try db.cachedStatement(sql: "DELETE FROM run_rows WHERE run_id = ? AND state = 'finished'").execute(arguments: [id.description])
                }
            }
        }
        return old
    }

    /// Runs a statement that removes some rows until it finds none: each time on its own, so that a launch's write comes between.
    private func deleteInBatches(_ sql: String, _ arguments: StatementArguments) async throws(StoreError) {
        while try await write({ db in
            let statement = try db.cachedStatement(sql: sql)
            try statement.execute(arguments: arguments)
            return db.changesCount
        }) > 0 {}
    }
}

/// How much of one job's past is kept; `nil` is as of any other.
public struct Retention: Sendable, Hashable {
    /// How many finished runs are kept.
    public let runs: Int?
    /// Finished runs, due times and events from before this instant are forgotten.
    public let before: Timestamp?

    /// All of its fields.
    public init(runs: Int?, before: Timestamp?) {
        self.runs = runs
        self.before = before
    }
}
