internal import GRDB
internal import Glibc
internal import HostOS
public import Ledger
public import Schedules
internal import Synchronization
public import WorkloadModel

/// The database: what should be, every run, every due time, every event.
///
/// One connection writes, in transactions that keep what belongs together; a commit has reached the disk when it returns
/// (`synchronous=FULL`, read back when opening). Users read the views `runs`, `due_times`, `services` and `events` with
/// any SQLite program, opened read-only.
public final class HistoryStore: Sendable {
    let pool: DatabasePool
    /// Where the database is.
    public let path: String
    private let engine: String
    /// The file that was opened.
    private let opened: [UInt64]?
    /// `nil` leaves all that is stored readable, for tests.
    let seal: Seal?
    let snapshotProblem = Mutex<String?>(nil)

    /// Opens the database, and makes it when there is none.
    ///
    /// - Parameters:
    ///   - engine: what new runs say of their engine
    ///   - seal: for what holds values of variables from now on
    /// - Throws: ``StoreError``
    public convenience init(path: String, engine: String, seal: Seal? = nil) throws(StoreError) {
        try self.init(path: path, engine: engine, seal: seal, through: nil)
    }

    /// As an earlier release left it, for tests: up to a migration.
    package init(path: String, engine: String, seal: Seal? = nil, through migration: String?) throws(StoreError) {
        self.path = path
        self.engine = engine
        self.seal = seal
        do {
            var configuration = Configuration()
            configuration.maximumReaderCount = 3
            configuration.busyMode = .timeout(5)
            configuration.label = "history"
            pool = try DatabasePool(path: path, configuration: configuration)
            // A pool sets NORMAL while it opens, with which a commit may be lost in a power cut; so it is set after that,
            // and read back.
            try pool.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA synchronous = FULL")
                let level = try Int.fetchOne(db, sql: "PRAGMA synchronous")
                let mode = try String.fetchOne(db, sql: "PRAGMA journal_mode")
                guard level == 2, mode == "wal" else {
                    throw StoreError.notDurable("\(path): SQLite has synchronous=\(level ?? -1), journal_mode=\(mode ?? "?"); 2 and wal are needed")
                }
            }
            if try pool.read(Schema.migrator.hasBeenSuperseded) {
                throw StoreError.newerSchema("\(path) was written by a newer release of Berth; start that one, or restore an older copy")
            }
            opened = HistoryStore.identity(path)
            if let migration {
                try Schema.migrator.migrate(pool, upTo: migration)
            } else {
                try Schema.migrator.migrate(pool)
                try pool.write { try $0.execute(sql: HistoryStore.pruned + HistoryStore.audit) }
            }
        } catch {
            throw StoreError(error, path: path)
        }
    }

    /// Device and inode; `nil` when there is no such file.
    private static func identity(_ path: String) -> [UInt64]? {
        var info = stat()
        return stat(path, &info) == 0 ? [UInt64(info.st_dev), UInt64(info.st_ino)] : nil
    }

    /// Why what is written now will not be found later, though it can be written; `nil` when all is well.
    public var misplacement: String? {
        guard let opened else { return nil }
        guard let found = HistoryStore.identity(path) else { return "\(path) was removed: what is written now is lost when the daemon ends; restart it" }
        return found == opened ? nil : "\(path) was replaced: what is written now goes to the old file, and is lost when the daemon ends; restart it"
    }

    /// Looks for damage. Reads the whole file.
    public func check() throws(StoreError) {
        let result: String?
        do { result = try pool.read { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") } } catch { throw StoreError(error, path: path) }
        if result != "ok" { throw .corrupt("\(path): \(result ?? "it cannot be checked")") }
        unlink(damageMark)
    }

    private var damageMark: String { path + ".damaged" }

    /// Whether the daily look found damage, so that the next start looks as well, however large the file is.
    public var isSaidToBeDamaged: Bool { HostFile.exists(damageMark) }

    func sayDamaged() { try? HostFile.replace(damageMark, with: "") }

    /// Closes the database; the store is of no use after it.
    public func close() throws(StoreError) {
        do { try pool.close() } catch { throw StoreError(error, path: path) }
    }

    // MARK: Writing

    /// A recipe that comes or goes, in the same transaction as what follows from it.
    public enum RecipeChange: Hashable, Sendable {
        /// `source` is opaque here, and sealed.
        case put(ProjectName, source: String, digest: String, at: Timestamp)
        /// The recipe of the project is removed; nothing happens when there is none.
        case remove(ProjectName)
    }

    /// Makes writes durable, all or none.
    public func commit(_ writes: [Write], recipes: [RecipeChange] = []) async throws(StoreError) {
        do {
            try await pool.write { [engine, seal] db in
                for change in recipes { try HistoryStore.perform(change, db, seal) }
                try FailPoint.insideApply.hit(when: !recipes.isEmpty)
                for write in writes { try HistoryStore.perform(write, db, seal, engine: engine) }
                try FailPoint.insideStarting.hit(when: writes.openRuns)
            }
        } catch { throw StoreError(error, path: path) }
    }

    private static func perform(_ change: RecipeChange, _ db: Database, _ seal: Seal?) throws {
        switch change {
        case .put(let project, let source, let digest, let at):
            try db.execute(
                sql: "INSERT OR REPLACE INTO recipe_rows (project, source, digest, applied_ms) VALUES (?, ?, ?, ?)",
                arguments: [project.description, try seal?.close(source) ?? source, digest, at.milliseconds])
        case .remove(let project): try db.execute(sql: "DELETE FROM recipe_rows WHERE project = ?", arguments: [project.description])
        }
    }

    private static func perform(_ write: Write, _ db: Database, _ seal: Seal?, engine: String) throws {
        switch write {
        case .openRun(let run): try open(run, db, seal, engine: engine)
        case .runStarted(let id, let at, let image):
            try db.cachedStatement(
                sql: """
                    UPDATE run_rows SET state = 'running', started_ms = ?, image = coalesce(?, image)
                    WHERE run_id = ? AND state = 'starting'
                    """
            ).execute(arguments: [at.milliseconds, image, id.description])
        case .stopRequested(let id, let at, let reason, let after):
            let others = after.isEmpty ? nil : after.map(\.description).joined(separator: " ")
            try db.cachedStatement(sql: "UPDATE run_rows SET stop_ms = ?, stop_reason = ?, stop_after = ? WHERE run_id = ? AND state <> 'finished'")
                .execute(arguments: [at.milliseconds, reason, others, id.description])
        case .closeRun(let id, let outcome, let status, let reason): try close(id, outcome, status, reason, db)
        case .due(let due): try insert(due, db)
        case .dueCaughtUp(let id, let dueAt, let run):
            try db.cachedStatement(
                sql: """
                    UPDATE due_rows SET run_id = ?1 WHERE project = ?2 AND name = ?3 AND due_ms >= ?4 AND first_due_ms <= ?4 AND era =
                    (SELECT max(era) FROM due_rows WHERE project = ?2 AND name = ?3 AND due_ms >= ?4 AND first_due_ms <= ?4)
                    """
            )
            .execute(arguments: [run.description, id.project.description, id.name.description, dueAt.milliseconds])
        case .service(let record): try put(record, db)
        case .job(let record): try put(record, db, seal)
        case .probe(let id, let run, let probe): try insert(probe, id, run, db)
        case .removeService(let id):
            try db.cachedStatement(sql: "DELETE FROM probe_rows WHERE project = ? AND name = ? AND slot = ?")
                .execute(arguments: [id.workload.project.description, id.workload.name.description, id.slot])
            try db.cachedStatement(sql: "DELETE FROM service_rows WHERE project = ? AND name = ? AND slot = ?")
                .execute(arguments: [id.workload.project.description, id.workload.name.description, id.slot])
        case .removeJob(let id):
            try db.cachedStatement(sql: "DELETE FROM job_rows WHERE project = ? AND name = ?")
                .execute(arguments: [id.project.description, id.name.description])
        case .event(let event):
            try db.cachedStatement(sql: "INSERT INTO event_rows (at_ms, project, name, run_id, kind, actor, text) VALUES (?, ?, ?, ?, ?, ?, ?)")
                .execute(arguments: [
                    event.at.milliseconds, event.project?.description, event.workload?.description, event.runID?.description, event.kind,
                    event.actor, event.text,
                ])
        case .boot(let id):
            try db.execute(sql: "INSERT OR REPLACE INTO meta (key, value) VALUES ('boot_id', ?)", arguments: [id])
        case .era(let era):
            try db.execute(sql: "INSERT OR REPLACE INTO meta (key, value) VALUES ('era', ?)", arguments: [era])
        case .copyTakenUp: try db.execute(sql: "DELETE FROM meta WHERE key = '\(copyMark)'")
        }
    }

    private static func open(_ run: Run, _ db: Database, _ seal: Seal?, engine: String) throws {
        // Values of variables are in them.
        let changes = try run.changes.map { try StoredJSON.text($0) }
        try db.cachedStatement(
            sql: """
                INSERT INTO run_rows (run_id, project, name, slot, kind, trigger, attempt, due_ms, decided_ms, state, image, recipe_digest, engine,
                boot_id, fingerprint, caused_by, retry_of, arrivals, changes, changes_data, generation)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'starting', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            run.id.description, run.workload.project.description, run.workload.name.description, run.instance.slot, run.kind.rawValue,
            run.trigger.rawValue, run.attempt, run.dueAt?.milliseconds, run.decidedAt.milliseconds, run.image, run.recipeDigest, engine,
            run.bootID, run.fingerprint, run.arrivals.last?.run.description, run.retryOf?.description,
            run.arrivals.isEmpty ? nil : try StoredJSON.text(list: run.arrivals),
            run.changes?.summary, try changes.map { try seal?.close($0) ?? $0 }, run.generation,
        ])
    }

    /// A finished run is never touched again.
    private static func close(_ id: RunID, _ outcome: Outcome, _ status: ExitStatus, _ reason: String?, _ db: Database) throws {
        var code: Int32?
        var signal: Int32?
        switch status.ending {
        case .exited(let number): code = number
        case .signaled(let number): signal = number
        case .startError, .lost: break
        }
        let usage = status.usage
        try db.cachedStatement(
            sql: """
                UPDATE run_rows SET state = 'finished', outcome = ?, exit_code = ?, signal = ?, oom_killed = ?, reason = ?,
                started_ms = coalesce(?, started_ms), finished_ms = ?, cpu_us = ?, memory_peak_bytes = ?, io_read_bytes = ?,
                io_write_bytes = ?, log_bytes = ?, log_dropped_bytes = ? WHERE run_id = ? AND state <> 'finished'
                """
        ).execute(arguments: [
            outcome.rawValue, code, signal, usage.oomKills > 0, reason, status.startedAt?.milliseconds, status.finishedAt.milliseconds,
            usage.cpuMicroseconds, usage.memoryPeakBytes, usage.ioReadBytes, usage.ioWriteBytes, usage.logBytes, usage.logDroppedBytes,
            id.description,
        ])
    }

    private static func insert(_ due: DueRecord, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO due_rows (project, name, due_ms, first_due_ms, result, reason, count, run_id, note, era)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
                """
        ).execute(arguments: [
            due.workload.project.description, due.workload.name.description, due.dueAt.milliseconds, due.firstDueAt.milliseconds,
            due.result.rawValue, due.reason?.rawValue, due.count, due.runID?.description, due.note, due.era,
        ])
    }

    /// How many probes of a service are kept.
    static let mostProbes = 5

    private static func insert(_ probe: Probe, _ id: InstanceID, _ run: RunID, _ db: Database) throws {
        var code: Int32?
        var failure: String?
        switch probe.result {
        case .exited(let number): code = number
        case .timedOut: failure = "timed out"
        case .failed(let sentence): failure = sentence
        }
        let key: StatementArguments = [id.workload.project.description, id.workload.name.description, id.slot]
        try db.cachedStatement(
            sql: """
                INSERT INTO probe_rows (project, name, slot, run_id, at_ms, duration_ms, exit_code, failure, output) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: key + [run.description, probe.at.milliseconds, probe.duration.wholeMilliseconds, code, failure, probe.output])
        try db.cachedStatement(
            sql: """
                DELETE FROM probe_rows WHERE project = ?1 AND name = ?2 AND slot = ?3 AND id <=
                (SELECT id FROM probe_rows WHERE project = ?1 AND name = ?2 AND slot = ?3 ORDER BY id DESC LIMIT 1 OFFSET \(mostProbes))
                """
        ).execute(arguments: key)
    }

    private static func put(_ record: ServiceRecord, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO service_rows (project, name, slot, wanted, state, since_ms, restarts, failures, next_start_ms, run_id, generation, unheard,
                last_outcome, health, health_since_ms, health_failures, health_counted_ms, health_worked, health_ending)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            record.id.workload.project.description, record.id.workload.name.description, record.id.slot, record.wanted, record.phase.name,
            record.since.milliseconds,
            record.restarts, record.failures, record.phase.nextStartAt?.milliseconds, record.runID?.description, record.generation,
            try record.unheard.map { try StoredJSON.text($0) }, record.lastOutcome?.rawValue, record.health?.state.rawValue,
            record.health?.since.milliseconds, record.health?.failures ?? 0, record.health?.countedAt?.milliseconds, record.health?.hasWorked ?? false,
            record.health?.isEnding ?? false,
        ])
    }

    /// A list as JSON, sealed when what was changed for one of its runs has values of variables.
    private static func text(_ list: [some Encodable], sealedFor changes: [RunChanges?], _ seal: Seal?) throws -> String {
        let text = try StoredJSON.text(list: list)
        guard let seal, changes.contains(where: { $0?.environment.isEmpty == false }) else { return text }
        return try seal.close(text)
    }

    private static func put(_ record: JobRecord, _ db: Database, _ seal: Seal?) throws {
        let pending = try text(record.pending, sealedFor: record.pending.map(\.changes), seal)
        let unheard = try text(record.unheard, sealedFor: record.unheard.map(\.changes), seal)
        try db.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO job_rows (project, name, paused, cursor_ms, boot_id, last_outcome, streak, pending, arrivals, era, seen_ms, unheard)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            record.id.project.description, record.id.name.description, record.paused, record.cursor.milliseconds, record.bootID,
            record.lastOutcome?.rawValue, record.streak, pending, try StoredJSON.text(list: record.arrivals), record.era,
            record.seen?.milliseconds, unheard,
        ])
    }

    /// Reads, for the extensions of this type.
    func read<Value: Sendable>(_ body: @Sendable @escaping (Database) throws -> Value) async throws(StoreError) -> Value {
        do { return try await pool.read(body) } catch { throw StoreError(error, path: path) }
    }

    /// Writes, for the extensions of this type.
    func write<Value: Sendable>(_ body: @Sendable @escaping (Database) throws -> Value) async throws(StoreError) -> Value {
        do { return try await pool.write(body) } catch { throw StoreError(error, path: path) }
    }
}
