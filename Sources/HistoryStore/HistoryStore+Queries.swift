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

    /// When the last run that succeeded ended, of each of these that has one.
    ///
    /// - Throws: ``StoreError``
    public func lastSuccesses(of workloads: [WorkloadID]) async throws(StoreError) -> [WorkloadID: Timestamp] {
        try await read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT finished_ms FROM run_rows WHERE project = ? AND name = ? AND outcome = 'succeeded' ORDER BY run_id DESC LIMIT 1")
            var found: [WorkloadID: Timestamp] = [:]
            for workload in workloads {
                let at = try Int64.fetchOne(statement, arguments: [workload.project.description, workload.name.description])
                found[workload] = at.map { Timestamp(milliseconds: $0) }
            }
            return found
        }
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
}
