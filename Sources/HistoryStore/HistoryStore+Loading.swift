internal import Foundation
internal import GRDB
public import Planning
internal import Schedules
internal import WorkloadModel

/// What a start reads back.
public struct LoadedState: Sendable {
    /// Recipes as they were put; reading them is the caller's. `nil` where one cannot be opened.
    public let recipeSources: [(project: String, source: String?)]
    /// All but the recipes.
    public let state: StoredState
    /// Rows that could not be read, each with a sentence. They stay where they are.
    public let unreadable: [String]
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
        try await read { [seal] db in
            var unreadable: [String] = []
            let recipes = try Row.fetchAll(db, sql: "SELECT project, source FROM recipe_rows ORDER BY project")
            var state = StoredState()
            state.bootID = try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'boot_id'")
            for row in try Row.fetchAll(db, sql: "SELECT * FROM service_rows") {
                if let record = ServiceRecord(row) { state.services.append(record) } else { unreadable.append(name("service", row)) }
            }
            for row in try Row.fetchAll(db, sql: "SELECT * FROM job_rows") {
                if let record = JobRecord(row, seal) { state.jobs.append(record) } else { unreadable.append(name("job", row)) }
            }
            for row in try Row.fetchAll(db, sql: "SELECT * FROM run_rows WHERE state <> 'finished'") {
                if let run = OpenRun(row) { state.openRuns.append(run) } else { unreadable.append(name("run", row)) }
            }
            let sources = recipes.map { (project: $0["project"] as String, source: opened($0["source"], seal)) }
            unreadable += sources.filter { $0.source == nil }.map {
                "recipe of \($0.project): it is damaged, or was sealed with another key than the one beside the database"
            }
            return LoadedState(recipeSources: sources, state: state, unreadable: unreadable)
        }
    }
}

/// A text that may be sealed; `nil` when it cannot be opened.
private func opened(_ text: String?, _ seal: Seal?) -> String? {
    guard let text, let seal else { return text }
    return try? seal.open(text)
}

/// Which row it is. Its values stay out of it: a start that waits holds the variables of a run by hand.
private func name(_ kind: String, _ row: Row) -> String {
    "\(kind) row of \(row["project"] as String? ?? "?")/\(row["name"] as String? ?? "?")"
}

func workloadID(_ row: Row) -> WorkloadID? {
    guard let project = try? ProjectName(row["project"]), let name = try? WorkloadName(row["name"]) else { return nil }
    return WorkloadID(project: project, name: name)
}

func timestamp(_ row: Row, _ column: String) -> Timestamp? {
    (row[column] as Int64?).map { Timestamp(milliseconds: $0) }
}

private func decoded<Value: Decodable>(_ row: Row, _ column: String, _ seal: Seal? = nil) -> Value? {
    opened(row[column] as String?, seal).flatMap { try? JSONDecoder().decode(Value.self, from: Data($0.utf8)) }
}

extension ServiceRecord {
    fileprivate init?(_ row: Row) {
        guard let id = workloadID(row), let phase = Phase(rawValue: row["state"]), let since = timestamp(row, "since_ms") else { return nil }
        self.init(
            id: id, wanted: row["wanted"], phase: phase, since: since, restarts: row["restarts"], failures: row["failures"],
            nextStartAt: timestamp(row, "next_start_ms"), runID: (row["run_id"] as String?).flatMap { RunID($0) }, generation: row["generation"])
    }
}

extension JobRecord {
    fileprivate init?(_ row: Row, _ seal: Seal?) {
        guard let id = workloadID(row), let cursor = timestamp(row, "cursor_ms") else { return nil }
        guard let pending: [PendingStart] = decoded(row, "pending", seal), let arrivals: [Arrival] = decoded(row, "arrivals") else { return nil }
        self.init(
            id: id, paused: row["paused"], cursor: cursor, bootID: row["boot_id"],
            lastOutcome: (row["last_outcome"] as String?).flatMap { Outcome(rawValue: $0) }, streak: row["streak"], pending: pending,
            arrivals: arrivals, era: row["era"], seen: timestamp(row, "seen_ms"))
    }
}

extension OpenRun {
    fileprivate init?(_ row: Row) {
        guard let id = RunID(row["run_id"]), let workload = workloadID(row), let kind = WorkloadKind(rawValue: row["kind"]),
            let trigger = Trigger(rawValue: row["trigger"]), let state = RunState(rawValue: row["state"]),
            let decidedAt = timestamp(row, "decided_ms")
        else { return nil }
        self.init(
            id: id, workload: workload, kind: kind, trigger: trigger, attempt: row["attempt"], dueAt: timestamp(row, "due_ms"),
            decidedAt: decidedAt, state: state, startedAt: timestamp(row, "started_ms"), bootID: row["boot_id"], fingerprint: row["fingerprint"],
            arrivals: decoded(row, "arrivals") ?? [], changes: row["changes"], generation: row["generation"], stopReason: row["stop_reason"])
    }
}
