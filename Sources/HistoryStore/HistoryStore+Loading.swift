internal import Foundation
internal import GRDB
public import Ledger
internal import Schedules
public import WorkloadModel

/// What a start reads back.
public struct LoadedState: Sendable {
    /// Recipes as they were put; reading them is the caller's. `nil` where one cannot be opened.
    public let recipeSources: [(project: String, source: String?)]
    /// All but the recipes.
    public let state: StoredState
    /// Rows that could not be read and could not be replaced, each with a sentence. They stay as they are.
    public let unreadable: [String]
    /// Rows that could not be read, and others now stand for.
    public let replaced: [ReplacedRow]
}

/// A row that could not be read. It is kept in `damaged_rows`, and in its place is one that leaves things as they are until a person
/// decides: a service that runs runs on, one that does not is stopped, and a job is paused.
public struct ReplacedRow: Sendable {
    /// The service or job that the row was of.
    public let workload: WorkloadID
    /// For people.
    public let sentence: String
}

extension HistoryStore {
    /// The recipes in force, as they were put; those that cannot be opened are left out.
    ///
    /// - Throws: ``StoreError``
    public func recipeSources() async throws(StoreError) -> [String] {
        try await read { [seal] db in try String.fetchAll(db, sql: "SELECT source FROM recipe_rows ORDER BY project").compactMap { opened($0, seal) } }
    }

    /// - Throws: ``StoreError``
    public func load() async throws(StoreError) -> LoadedState {
        let (isSound, found) = try await read { [seal] db in
            let found = try Loading(db, seal)
            return (found.damaged.isEmpty, found.state(replaced: []))
        }
        if isSound { return found }
        // Where nothing can be written this fails: taken for new ones, what was stopped would be started.
        return try await write { [seal] db in
            // Runs come first: what a service's row stands for depends on them.
            let damaged = try Loading(db, seal).damaged
            let replaced = try (damaged.filter { $0.kind == .run } + damaged.filter { $0.kind != .run }).compactMap { try $0.replace(db, seal) }
            return try Loading(db, seal).state(replaced: replaced)
        }
    }
}

/// One reading of the state.
private struct Loading {
    private var stored = StoredState()
    private var sources: [(project: String, source: String?)] = []
    private(set) var damaged: [DamagedRow] = []

    init(_ db: Database, _ seal: Seal?) throws {
        stored.bootID = try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'boot_id'")
        stored.era = try Int.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'era'") ?? 0
        stored.copiedAt = try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = '\(HistoryStore.copyMark)'").map { Timestamp(milliseconds: $0) }
        stored.lastKnownAt = try Int64.fetchOne(
            db,
            sql: """
                WITH run AS (SELECT decided_ms AS at FROM run_rows ORDER BY run_id DESC LIMIT 1), event AS (SELECT at_ms AS at FROM event_rows ORDER BY id DESC LIMIT 1)
                SELECT max(at) FROM (SELECT at FROM event UNION ALL SELECT at FROM run WHERE NOT EXISTS
                    (SELECT 1 FROM event_rows e WHERE e.kind = 'clock-set' AND e.text NOT LIKE 'the clock went forward%' AND e.at_ms < run.at))
                """
        ).map { Timestamp(milliseconds: $0) }
        for row in try Row.fetchAll(db, sql: "SELECT * FROM service_rows") {
            if let record = ServiceRecord(row) { stored.services.append(record) } else { damaged.append(DamagedRow(kind: .service, row: row)) }
        }
        for row in try Row.fetchAll(db, sql: "SELECT * FROM job_rows") {
            if let record = JobRecord(row, seal) { stored.jobs.append(record) } else { damaged.append(DamagedRow(kind: .job, row: row)) }
        }
        for row in try Row.fetchAll(db, sql: "SELECT * FROM run_rows WHERE state <> 'finished'") {
            if let run = Run(row, seal) { stored.openRuns.append(run) } else { damaged.append(DamagedRow(kind: .run, row: row)) }
        }
        for row in try Row.fetchAll(db, sql: "SELECT project, source FROM recipe_rows ORDER BY project") {
            sources.append((row["project"], opened(row["source"], seal)))
        }
    }

    func state(replaced: [ReplacedRow]) -> LoadedState {
        let recipes = sources.filter { $0.source == nil }.map {
            "recipe of \($0.project): it is damaged, or was sealed with another key than the one beside the database"
        }
        return LoadedState(
            recipeSources: sources, state: stored, unreadable: damaged.map { "\($0.kind.rawValue) row of \($0.name)" } + recipes, replaced: replaced)
    }
}

/// A row of the state that cannot be read.
private struct DamagedRow {
    enum Kind: String {
        case service, job, run
    }

    let kind: Kind
    let row: Row

    /// Which row it is. Its values stay out of it: a start that waits holds the variables of a run by hand.
    var name: String { "\(row["project"] as String? ?? "?")/\(row["name"] as String? ?? "?")" }

    /// Keeps the row aside and puts one in its place that leaves things as they are.
    ///
    /// - Returns: `nil` where that cannot be done, or would lose what another key can open
    func replace(_ db: Database, _ seal: Seal?) throws -> ReplacedRow? {
        guard let id = workloadID(row) else { return nil }
        let source = try String.fetchOne(db, sql: "SELECT source FROM recipe_rows WHERE project = ?", arguments: [id.project.description])
        // Without its recipe nothing of the project is started or stopped anyway.
        guard source == nil || opened(source, seal) != nil else { return nil }
        let sentence: String
        switch kind {
        case .service: sentence = try replaceService(id, db)
        case .job: sentence = try replaceJob(id, db, seal)
        case .run:
            guard let text = try replaceRun(id, db) else { return nil }
            sentence = text
        }
        let content = String(decoding: try JSONSerialization.data(withJSONObject: columns, options: [.sortedKeys]), as: UTF8.self)
        try db.execute(
            sql: "INSERT INTO damaged_rows (at_ms, kind, project, name, content) VALUES (\(DamagedRow.now), ?, ?, ?, ?)",
            arguments: [kind.rawValue, id.project.description, id.name.description, try seal?.close(content) ?? content])
        try db.execute(
            sql: "INSERT INTO event_rows (at_ms, project, name, kind, actor, text) VALUES (\(DamagedRow.now), ?, ?, 'damaged', 'berthd', ?)",
            arguments: [id.project.description, id.name.description, sentence])
        return ReplacedRow(workload: id, sentence: sentence)
    }

    private static let now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000"

    private var columns: [String: Any] {
        Dictionary(
            uniqueKeysWithValues: row.map { name, value in
                let plain: Any =
                    switch value.storage {
                    case .int64(let number): number
                    case .double(let number): number
                    case .string(let text): text
                    case .blob(let data): data.base64EncodedString()
                    case .null: NSNull()
                    }
                return (name, plain)
            })
    }

    private func replaceService(_ id: WorkloadID, _ db: Database) throws -> String {
        // What runs, and nobody asked to end, was to be on.
        let run = try String.fetchOne(
            db,
            sql: """
                SELECT run_id FROM run_rows WHERE project = ? AND name = ? AND kind = 'service' AND state IN ('starting', 'running') AND stop_reason IS NULL
                ORDER BY run_id DESC LIMIT 1
                """, arguments: [id.project.description, id.name.description])
        try db.execute(
            sql: "UPDATE service_rows SET wanted = ?, state = ?, next_start_ms = NULL, run_id = ?, unheard = NULL WHERE project = ? AND name = ?",
            arguments: [run != nil, run == nil ? "stopped" : "running", run, id.project.description, id.name.description])
        return "the row of the service \(id) in the history could not be read; "
            + (run == nil ? "it is stopped until 'berth start \(id)'" : "it runs, and is taken for one that is to run")
    }

    private func replaceJob(_ id: WorkloadID, _ db: Database, _ seal: Seal?) throws -> String {
        func isSound<Value: Decodable>(_ column: String, _ type: Value.Type) -> Bool { (decoded(row, column, seal) as Value?) != nil }
        let pending = isSound("pending", [PendingStart].self) ? row["pending"] as String : "[]"
        let arrivals = isSound("arrivals", [Arrival].self) ? row["arrivals"] as String : "[]"
        let unheard = isSound("unheard", [RunEnd].self) ? row["unheard"] as String : "[]"
        try db.execute(
            sql: "UPDATE job_rows SET paused = 1, pending = ?, arrivals = ?, unheard = ? WHERE project = ? AND name = ?",
            arguments: [pending, arrivals, unheard, id.project.description, id.name.description])
        return "the row of the job \(id) in the history could not be read; it is paused until 'berth resume \(id)', and starts that waited are not known"
    }

    private func replaceRun(_ id: WorkloadID, _ db: Database) throws -> String? {
        guard let run = RunID(row["run_id"]) else { return nil }
        let isService = try Bool.fetchOne(
            db, sql: "SELECT EXISTS (SELECT 1 FROM service_rows WHERE project = ? AND name = ?)", arguments: [id.project.description, id.name.description])
        let kind = WorkloadKind(rawValue: row["kind"]) ?? (isService == true ? .service : .job)
        let hasEnded = (row["finished_ms"] as Int64?) != nil || (row["outcome"] as String?) != nil
        let state: RunState =
            hasEnded ? .finished : RunState(rawValue: row["state"]) ?? ((row["started_ms"] as Int64?) == nil ? .starting : .running)
        try db.execute(
            sql: "UPDATE run_rows SET kind = ?, trigger = ?, state = ? WHERE run_id = ?",
            arguments: [kind.rawValue, (Trigger(rawValue: row["trigger"]) ?? .manual).rawValue, state.rawValue, run.description])
        return "the row of the run \(run) of \(id) in the history could not be read; it is taken for one that \(hasEnded ? "has ended" : "goes on")"
    }
}

/// A text that may be sealed; `nil` when it cannot be opened.
private func opened(_ text: String?, _ seal: Seal?) -> String? {
    guard let text, let seal else { return text }
    return try? seal.open(text)
}

func workloadID(_ row: Row) -> WorkloadID? {
    guard let project = try? ProjectName(row["project"]), let name = try? WorkloadName(row["name"]) else { return nil }
    return WorkloadID(project: project, name: name)
}

func timestamp(_ row: Row, _ column: String) -> Timestamp? {
    (row[column] as Int64?).map { Timestamp(milliseconds: $0) }
}

private func decoded<Value: Decodable>(_ row: Row, _ column: String, _ seal: Seal? = nil) -> Value? {
    opened(row[column] as String?, seal).flatMap { StoredJSON.value($0) }
}

extension ServiceRecord {
    fileprivate init?(_ row: Row) {
        guard let id = workloadID(row), let since = timestamp(row, "since_ms"),
            let phase = Phase(name: row["state"], until: timestamp(row, "next_start_ms") ?? since)
        else { return nil }
        self.init(id: InstanceID(id, slot: row["slot"]), wanted: row["wanted"], phase: phase, since: since)
        restarts = row["restarts"]
        failures = row["failures"]
        runID = (row["run_id"] as String?).flatMap { RunID($0) }
        generation = row["generation"]
        lastOutcome = (row["last_outcome"] as String?).flatMap { Outcome(rawValue: $0) }
        if let state = (row["health"] as String?).flatMap({ ServiceHealth.State(rawValue: $0) }) {
            var found = ServiceHealth(since: timestamp(row, "health_since_ms") ?? since)
            found.state = state
            found.failures = row["health_failures"]
            found.countedAt = timestamp(row, "health_counted_ms")
            found.hasWorked = row["health_worked"]
            found.isEnding = row["health_ending"]
            health = found
        }
        guard (row["unheard"] as String?) != nil else { return }
        guard let end: ServiceEnd = decoded(row, "unheard") else { return nil }
        unheard = end
    }
}

extension JobRecord {
    fileprivate init?(_ row: Row, _ seal: Seal?) {
        guard let id = workloadID(row), let cursor = timestamp(row, "cursor_ms") else { return nil }
        guard let pending: [PendingStart] = decoded(row, "pending", seal), let arrivals: [Arrival] = decoded(row, "arrivals"),
            let unheard: [RunEnd] = decoded(row, "unheard", seal)
        else { return nil }
        self.init(
            id: id, paused: row["paused"], cursor: cursor, bootID: row["boot_id"],
            lastOutcome: (row["last_outcome"] as String?).flatMap { Outcome(rawValue: $0) }, streak: row["streak"], pending: pending,
            arrivals: arrivals, era: row["era"], seen: timestamp(row, "seen_ms"), unheard: unheard)
    }
}

extension Run {
    fileprivate init?(_ row: Row, _ seal: Seal?) {
        guard let id = RunID(row["run_id"]), let workload = workloadID(row), let kind = WorkloadKind(rawValue: row["kind"]),
            let trigger = Trigger(rawValue: row["trigger"]), let state = RunState(rawValue: row["state"]), state != .finished,
            let decidedAt = timestamp(row, "decided_ms")
        else { return nil }
        self.init(id: id, instance: InstanceID(workload, slot: row["slot"]), kind: kind, trigger: trigger, decidedAt: decidedAt)
        attempt = row["attempt"]
        dueAt = timestamp(row, "due_ms")
        recipeDigest = row["recipe_digest"]
        bootID = row["boot_id"]
        fingerprint = row["fingerprint"]
        generation = row["generation"]
        arrivals = decoded(row, "arrivals") ?? []
        retryOf = (row["retry_of"] as String?).flatMap { RunID($0) }
        changes = decoded(row, "changes_data", seal)
        if changes == nil { forgottenChanges = row["changes"] }
        image = row["image"]
        startedAt = state == .starting ? nil : timestamp(row, "started_ms") ?? decidedAt
        stopReason = row["stop_reason"]
        stopAfter = (row["stop_after"] as String? ?? "").split(separator: " ").compactMap { RunID(String($0)) }
    }
}
