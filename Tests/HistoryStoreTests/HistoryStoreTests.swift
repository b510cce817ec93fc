import Ledger
import Foundation
import GRDB
@testable import HistoryStore
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

@Suite struct HistoryStoreTests {
    /// A store in a directory of its own, removed afterwards.
    static func with<Value>(_ body: (HistoryStore, String) async throws -> Value) async throws -> Value {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("berth-store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let path = directory.appendingPathComponent("berth.db").path
        let store = try HistoryStore(path: path, engine: "test")
        let value = try await body(store, path)
        try? store.close()
        return value
    }

    static let now = Make.time("2026-03-29T01:02:03.456Z")

    static func request(_ number: UInt32, _ name: String = "backup", at time: Timestamp = now, trigger: Trigger = .schedule) -> RunRequest {
        Make.request(name, number, at: time, trigger: trigger) { run in
            run.dueAt = time
            run.recipeDigest = "abc"
        }
    }

    static func opening(_ request: RunRequest) -> Write {
        .openRun(request.run)
    }

    static func id(_ write: Write) -> RunID {
        guard case .openRun(let run) = write else { fatalError() }
        return run.id
    }

    static func status(_ ending: WorkloadModel.ExitStatus.Ending, at time: Timestamp = now) -> WorkloadModel.ExitStatus {
        var status = WorkloadModel.ExitStatus(ending: ending, finishedAt: time + .milliseconds(1500))
        status.startedAt = time
        status.usage.cpuMicroseconds = 12_345
        status.usage.memoryPeakBytes = 4096
        return status
    }

    @Test func commitsReachTheDisk() async throws {
        try await Self.with { store, path in
            // Another process's view: read-only, on its own.
            var configuration = Configuration()
            configuration.readonly = true
            let other = try DatabaseQueue(path: path, configuration: configuration)
            let open = Self.opening(Self.request(1))
            try await store.commit([open])
            let state = try await other.read { try String.fetchOne($0, sql: "SELECT state FROM runs") }
            #expect(state == "starting")
        }
    }

    @Test func viewsShowTimesAsRFC3339() async throws {
        try await Self.with { store, path in
            let open = Self.opening(Self.request(1))
            let id = Self.id(open)
            try await store.commit([
                open, .runStarted(id, at: Self.now, image: "img@sha256:1"), .closeRun(id, .failed, Self.status(.exited(code: 3)), reason: "exit code 3"),
                .due(DueRecord(workload: Make.id("backup"), dueAt: Self.now, result: .ran, runID: id)),
                .service(ServiceRecord(id: Make.instance("web"), wanted: true, phase: .running, since: Self.now)),
                .event(EventRecord(at: Self.now, project: Make.id("x").project, kind: "applied", actor: "uid 0", text: "t")),
            ])
            let queue = try DatabaseQueue(path: path)
            let run = try queue.read { try Row.fetchOne($0, sql: "SELECT * FROM runs") }
            let shown: [String?] = ["started_at", "duration_ms", "outcome", "exit_code", "cpu_ms", "image", "engine"].map { name in
                run.flatMap { row in String.fromDatabaseValue(row[name]) ?? Int.fromDatabaseValue(row[name]).map { "\($0)" } }
            }
            #expect(shown == ["2026-03-29T01:02:03.456Z", "1500", "failed", "3", "12", "img@sha256:1", "test"])
            let columns = [
                "run_id", "project", "name", "slot", "kind", "trigger", "attempt", "due_at", "started_at", "finished_at", "duration_ms", "state",
                "outcome", "exit_code", "signal", "oom_killed", "reason", "cpu_ms", "memory_peak_bytes", "io_read_bytes", "io_write_bytes", "log_bytes",
                "log_dropped_bytes", "image", "recipe_digest", "engine", "caused_by", "changes", "retry_of",
            ]
            #expect(run.map { Array($0.columnNames) } == columns)
            for (view, column) in [("due_times", "due_at"), ("services", "since"), ("events", "at")] {
                let text = try await queue.read { try String.fetchOne($0, sql: "SELECT \(column) FROM \(view)") }
                #expect(text == "2026-03-29T01:02:03.456Z", "\(view)")
            }
        }
    }

    @Test func aFinishedRunIsNeverTouchedAgain() async throws {
        try await Self.with { store, _ in
            let open = Self.opening(Self.request(1))
            let id = Self.id(open)
            try await store.commit([open, .closeRun(id, .lost, Self.status(.lost("gone")), reason: "gone")])
            try await store.commit([
                .runStarted(id, at: Self.now + .seconds(9), image: nil), .closeRun(id, .succeeded, Self.status(.exited(code: 0)), reason: nil),
            ])
            let row = try await store.runs(RunFilter()).first
            #expect(row?.outcome == "lost" && row?.started_at == Self.now.description)
        }
    }

    @Test func aCommitIsAllOrNothing() async throws {
        try await Self.with { store, _ in
            let open = Self.opening(Self.request(1))
            await #expect(throws: StoreError.self) { try await store.commit([open, open]) }
            let rows = try await store.runs(RunFilter())
            #expect(rows.isEmpty)
        }
    }

    @Test func aDueTimeHasOneRow() async throws {
        try await Self.with { store, _ in
            let first = DueRecord(workload: Make.id("backup"), dueAt: Self.now, result: .skipped, reason: .overlap)
            try await store.commit([.due(first)])
            try await store.commit([.due(DueRecord(workload: Make.id("backup"), dueAt: Self.now, result: .missed, reason: .hostOff))])
            let rows = try await store.dueTimes(project: nil, name: nil, results: [], since: nil, limit: 10)
            #expect(rows.map(\.result) == ["skipped"])
        }
    }

    @Test func readsBackWhatItWrote() async throws {
        try await Self.with { store, path in
            var service = ServiceRecord(id: Make.instance("web"), wanted: true, phase: .backoff(until: Self.now + .seconds(7)), since: Self.now)
            service.restarts = 3
            service.failures = 2
            service.runID = RunID(now: Self.now, random: 7)
            let job = JobRecord(
                id: Make.id("backup"), paused: true, cursor: Self.now, bootID: "b", lastOutcome: .oomKilled, streak: 4,
                pending: [PendingStart(trigger: .retry, dueAt: Self.now, attempt: 2, notBefore: Self.now, queued: true)])
            let open = Self.opening(Self.request(1))
            try await store.commit(
                [.service(service), .job(job), open, .boot("boot")], recipes: [.put(Make.id("x").project, source: "{}", digest: "d", at: Self.now)])
            try store.close()
            let again = try HistoryStore(path: path, engine: "test")
            let loaded = try await again.load()
            #expect(loaded.state.services == [service] && loaded.state.jobs == [job] && loaded.state.bootID == "boot")
            #expect(loaded.state.openRuns.map(\.id) == [Self.id(open)] && loaded.recipeSources.map(\.source) == ["{}"])
            try again.close()
        }
    }

    @Test func filtersRuns() async throws {
        try await Self.with { store, _ in
            for number in 0..<20 {
                let open = Self.opening(Self.request(UInt32(number), number % 2 == 0 ? "a" : "b", at: Self.now + .seconds(Int64(number))))
                let outcome: Outcome = number % 5 == 0 ? .failed : .succeeded
                try await store.commit([open, .closeRun(Self.id(open), outcome, Self.status(.exited(code: 0)), reason: nil)])
            }
            var filter = RunFilter()
            filter.name = "a"
            #expect(try await store.runs(filter).count == 10)
            filter.outcomes = ["failed"]
            #expect(try await store.runs(filter).count == 2)
            filter = RunFilter()
            filter.since = Self.now + .seconds(15)
            let recent = try await store.runs(filter)
            #expect(recent.count == 5 && recent.first!.run_id > recent.last!.run_id)
            filter = RunFilter()
            filter.id = String(recent[0].run_id.prefix(10))
            #expect(try await store.runs(filter).map(\.run_id) == [recent[0].run_id])
        }
    }

    @Test func prunesTheOldestOfEachJobAndNothingThatRuns() async throws {
        try await Self.with { store, _ in
            for number in 0..<10 {
                let open = Self.opening(Self.request(UInt32(number), "a", at: Self.now + .seconds(Int64(number))))
                try await store.commit(number == 0 ? [open] : [open, .closeRun(Self.id(open), .succeeded, Self.status(.exited(code: 0)), reason: nil)])
            }
            let gone = try await store.prune(Retention(runs: 4, before: Self.now - .seconds(10), failuresBefore: nil))
            #expect(gone.count == 5)
            let left = try await store.runs(RunFilter())
            #expect(left.count == 5 && left.contains { $0.state == "starting" })
        }
    }

    @Test func aJobsOwnWordOnWhatIsKeptCountsForItAlone() async throws {
        try await Self.with { store, _ in
            for number in 0..<10 {
                for name in ["a", "b"] {
                    let request = Make.request(name, name == "a" ? 1 : 2, at: Self.now + .seconds(number))
                    let open = Self.opening(request)
                    let due = DueRecord(workload: Make.id(name), dueAt: Self.now + .seconds(number), result: .ran, runID: request.id)
                    try await store.commit([open, .closeRun(Self.id(open), .succeeded, Self.status(.exited(code: 0)), reason: nil), .due(due)])
                }
            }
            let own = [
                Make.id("a"): Retention(runs: 3, before: nil, failuresBefore: nil),
                Make.id("b"): Retention(runs: nil, before: Self.now - .seconds(100), failuresBefore: nil),
            ]
            let usual = Retention(runs: 5, before: Self.now + .seconds(4), failuresBefore: nil)
            // Fewer at a time than there are.
            var gone: [(RunID, WorkloadID)] = []
            while case let some = try await store.prune(usual, own: own, batch: 2, most: 5), !some.isEmpty {
                gone += some
            }
            #expect(gone.count == 7 + 5)
            var filter = RunFilter()
            filter.name = "a"
            #expect(try await store.runs(filter).count == 3)
            #expect(try await store.dueTimes(project: nil, name: "a", results: [], since: nil, limit: 100).count == 6)
            #expect(try await store.dueTimes(project: nil, name: "b", results: [], since: nil, limit: 100).count == 10)
        }
    }

    @Test func failuresAreKeptLongerAndWhatGoesIsCounted() async throws {
        try await Self.with { store, path in
            for number in 0..<20 {
                let request = Self.request(UInt32(number), "a", at: Self.now + .seconds(number))
                let open = Self.opening(request)
                let good = number % 2 == 0
                let due = DueRecord(workload: Make.id("a"), dueAt: Self.now + .seconds(number), result: .ran, runID: request.id)
                let status = Self.status(.exited(code: good ? 0 : 1))
                try await store.commit([open, .closeRun(Self.id(open), good ? .succeeded : .failed, status, reason: nil), .due(due)])
            }
            // All but the last second are old; failures are old from the tenth second back.
            let usual = Retention(runs: 100, before: Self.now + .seconds(19), failuresBefore: Self.now + .seconds(10))
            let gone = try await store.prune(usual, batch: 3)
            #expect(gone.count == 15)
            let left = try await store.runs(RunFilter())
            #expect(left.count == 5 && left.allSatisfy { $0.outcome == "failed" })
            #expect(try await store.forgotten(Make.id("a")) == ["run succeeded": 10, "run failed": 5, "due ran": 19])
            // So many that failed, however many went well after them.
            #expect(try await store.prune(Retention(runs: 2, before: nil, failuresBefore: nil)).count == 3)
            #expect(try await store.forgotten(Make.id("a"))["run failed"] == 8)
            // It is no layout of its own, so that an earlier release opens it.
            try store.close()
            let again = try HistoryStore(path: path, engine: "test")
            #expect(try await again.forgotten(Make.id("a"))["due ran"] == 19)
            try again.close()
        }
    }

    @Test func aHistoryThatIsTooLargeForgetsItsOldestSuccesses() async throws {
        try await Self.with { store, _ in
            for number in 0..<600 {
                let open = Self.opening(Self.request(UInt32(number), "a", at: Self.now + .seconds(number)))
                let good = number >= 100
                try await store.commit([open, .closeRun(Self.id(open), good ? .succeeded : .failed, Self.status(.exited(code: good ? 0 : 1)), reason: nil)])
            }
            let size = try await store.usedBytes()
            #expect(try await store.prune(toBytes: size).isEmpty)
            var gone: [(RunID, WorkloadID)] = []
            while case let some = try await store.prune(toBytes: size * 3 / 4, most: 50), !some.isEmpty { gone += some }
            #expect((100...300).contains(gone.count))
            let left = try await store.usedBytes()
            #expect(left <= size * 3 / 4)
            var filter = RunFilter()
            filter.limit = 1000
            let runs = try await store.runs(filter)
            #expect(runs.filter { $0.outcome == "failed" }.count == 100 && runs.count == 600 - gone.count)
        }
    }

    /// What was written before the clock went back says nothing of the time.
    @Test func theTimeThatIsKnownIsThatSinceTheClockWentBack() async throws {
        try await Self.with { store, path in
            #expect(try await store.load().state.lastKnownAt == nil)
            func event(_ kind: String, _ text: String, _ at: Timestamp) async throws {
                try await store.commit([.event(EventRecord(at: at, kind: kind, actor: "daemon", text: text))])
            }
            try await event("applied", "recipe", Self.now)
            #expect(try await store.load().state.lastKnownAt == Self.now)
            try await store.commit([Self.opening(Self.request(1, "a", at: Self.now + .seconds(100)))])
            #expect(try await store.load().state.lastKnownAt == Self.now + .seconds(100))
            try await event("clock-set", "the clock went forward by 9h", Self.now + .seconds(32_000))
            try await store.commit([Self.opening(Self.request(2, "a", at: Self.now + .seconds(32_100)))])
            #expect(try await store.load().state.lastKnownAt == Self.now + .seconds(32_100))
            try await event("clock-set", "the clock went back by 9h", Self.now + .seconds(200))
            #expect(try await store.load().state.lastKnownAt == Self.now + .seconds(200))
        }
    }

    /// Whatever becomes of the log of changes, what is left is a history: the beginning of what was committed, whole.
    @Test(arguments: ["cut", "empty", "gone", "index gone", "zeros"]) func aTornLogOfTheHistoryLosesNoMoreThanItsEnd(how: String) async throws {
        try await Self.with { store, path in
            for number in 0..<50 { try await store.commit([Self.opening(Self.request(UInt32(number), "a", at: Self.now + .seconds(number)))]) }
            // As a power cut leaves it: with its log, not moved into the file.
            let copy = path + "-copy"
            for ending in ["", "-wal", "-shm"] { try FileManager.default.copyItem(atPath: path + ending, toPath: copy + ending) }
            let size = try #require(try FileManager.default.attributesOfItem(atPath: copy + "-wal")[.size] as? UInt64)
            #expect(size > 100_000)
            let log = try #require(FileHandle(forUpdatingAtPath: copy + "-wal"))
            switch how {
            case "cut": try log.truncate(atOffset: size / 2 + 100)
            case "empty": try log.truncate(atOffset: 0)
            case "zeros":
                try log.seek(toOffset: size / 2)
                try log.write(contentsOf: Data(count: Int(size / 2)))
            case "gone": try FileManager.default.removeItem(atPath: copy + "-wal")
            default: break
            }
            try log.close()
            try FileManager.default.removeItem(atPath: copy + "-shm")
            let again = try HistoryStore(path: copy, engine: "test")
            try again.check()
            var filter = RunFilter()
            filter.limit = 100
            let runs = try await again.runs(filter).map(\.run_id)
            let all = try await store.runs(filter).map(\.run_id)
            #expect(how == "index gone" ? runs == all : all.suffix(runs.count) == runs[...])
            try await again.commit([Self.opening(Self.request(100, "a", at: Self.now + .seconds(100)))])
            try again.close()
        }
    }

    /// What the first release wrote is read by this one, and nothing of it is lost.
    @Test func takesOverADatabaseOfTheFirstLayout() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("berth-\(UUID().uuidString).db").path
        defer { for ending in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + ending) } }
        do {
            let store = try HistoryStore(path: path, engine: "test", through: "1")
            try store.close()
            let queue = try DatabaseQueue(path: path)
            try await queue.write { db in
                try db.execute(
                    sql: """
                        INSERT INTO job_rows VALUES ('shop', 'x', 1, 5000, 'b', 'failed', 3, '[{"trigger":"retry","attempt":2,"notBefore":{"milliseconds":7},"queued":true}]');
                        INSERT INTO due_rows VALUES ('shop', 'x', 5000, 1000, 'missed', 'host off', 5, NULL, 'n');
                        INSERT INTO run_rows (run_id, project, name, kind, trigger, attempt, decided_ms, state, recipe_digest, engine, boot_id, fingerprint)
                            VALUES ('0000000000000001', 'shop', 'x', 'job', 'manual', 1, 4000, 'running', 'd', 'native', 'b', 'f');
                        """)
            }
            try queue.close()
        }
        let store = try HistoryStore(path: path, engine: "test")
        let state = try await store.load()
        #expect(state.unreadable.isEmpty)
        // Its job may be removed and come back.
        #expect(state.state.era == 1)
        #expect(state.state.jobs.first?.pending.first?.attempt == 2 && state.state.jobs.first?.era == 0 && state.state.jobs.first?.paused == true)
        #expect(state.state.openRuns.map(\.id.description) == ["0000000000000001"])
        let due = try await store.dueTimes(project: nil, name: nil, results: [], since: nil, limit: 5)
        try store.check()
        #expect(due.map(\.count) == [5] && due.first?.reason == "host off" && due.first?.note == "n")
        try store.close()
    }

    /// The layout before slots: services as they were left, with their one copy, and runs as they stand.
    @Test func takesOverADatabaseWithoutSlots() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("berth-\(UUID().uuidString).db").path
        defer { for ending in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + ending) } }
        do {
            let store = try HistoryStore(path: path, engine: "test", through: "4")
            try store.close()
            let queue = try DatabaseQueue(path: path)
            try await queue.write { db in
                try db.execute(
                    sql: """
                        INSERT INTO service_rows (project, name, wanted, state, since_ms, restarts, failures, next_start_ms, run_id, generation) VALUES
                            ('shop', 'off', 0, 'stopped', 5000, 2, 0, NULL, NULL, 3), ('shop', 'web', 1, 'backoff', 6000, 4, 2, 9000, '0000000000000002', 1);
                        INSERT INTO run_rows (run_id, project, name, kind, trigger, attempt, decided_ms, started_ms, state, recipe_digest, engine, boot_id,
                            fingerprint, generation, stop_ms, stop_reason, changes) VALUES
                            ('0000000000000001', 'shop', 'x', 'job', 'manual', 1, 4000, 4500, 'running', 'd', 'native', 'b', 'f', 0, 4600, 'by hand', 'env A');
                        INSERT INTO event_rows (at_ms, project, name, kind, actor, text) VALUES (7000, 'shop', 'off', 'stopped', 'uid 0', 'stopped by hand');
                        """)
            }
            try queue.close()
        }
        let store = try HistoryStore(path: path, engine: "test")
        let loaded = try await store.load()
        try store.check()
        let services = Dictionary(uniqueKeysWithValues: loaded.state.services.map { ($0.id, $0) })
        let (off, web) = (services[Make.instance("off")], services[Make.instance("web")])
        #expect(off?.wanted == false && off?.phase == .stopped && off?.restarts == 2 && off?.generation == 3)
        #expect(
            web?.wanted == true && web?.phase == .backoff(until: Timestamp(milliseconds: 9000)) && web?.failures == 2
                && web?.runID?.description == "0000000000000002")
        let run = try #require(loaded.state.openRuns.first)
        #expect(run.instance == Make.instance("x") && run.stopReason == "by hand" && run.forgottenChanges == "env A" && run.changes == nil)
        #expect(run.startedAt == Timestamp(milliseconds: 4500) && loaded.state.lastKnownAt == Timestamp(milliseconds: 7000))
        #expect(try await store.events(project: "shop", name: "off", limit: 5).map(\.text) == ["stopped by hand"])
        #expect(try await store.runs(RunFilter()).map(\.slot) == [0])
        try store.close()
    }

    /// The layout before ends of services were kept, and before removed jobs had an era of their own: history, a stopped service and a start that
    /// waits are there, and a job that comes back begins above what it left.
    @Test func takesOverADatabaseWithoutErasOfRemovedJobs() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("berth-\(UUID().uuidString).db").path
        defer { for ending in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + ending) } }
        do {
            let store = try HistoryStore(path: path, engine: "test", through: "7")
            try store.close()
            let queue = try DatabaseQueue(path: path)
            try await queue.write { db in
                try db.execute(
                    sql: """
                        INSERT INTO service_rows (project, name, slot, wanted, state, since_ms, restarts, failures, run_id, generation) VALUES
                            ('shop', 'off', 0, 0, 'stopped', 5000, 2, 0, '0000000000000001', 3);
                        INSERT INTO job_rows (project, name, paused, cursor_ms, boot_id, streak, pending) VALUES ('shop', 'x', 0, 5000, 'b', 0,
                            '{"v":1,"value":[{"trigger":"manual","attempt":1,"notBefore":{"milliseconds":7},"queued":true}]}');
                        INSERT INTO run_rows (run_id, project, name, slot, kind, trigger, attempt, decided_ms, started_ms, finished_ms, state, outcome,
                            recipe_digest, engine, boot_id, fingerprint, generation) VALUES
                            ('0000000000000001', 'shop', 'off', 0, 'service', 'start', 1, 4000, 4500, 4900, 'finished', 'stopped', 'd', 'native', 'b', 'f', 3);
                        INSERT INTO due_rows (project, name, due_ms, first_due_ms, result, count, era) VALUES
                            ('shop', 'gone', 9000, 9000, 'ran', 1, 0), ('shop', 'gone', 8000, 8000, 'ran', 1, 1), ('shop', 'x', 5000, 5000, 'ran', 1, 0);
                        """)
            }
            try queue.close()
        }
        let store = try HistoryStore(path: path, engine: "test")
        let loaded = try await store.load()
        try store.check()
        #expect(loaded.unreadable == [] && loaded.replaced.isEmpty && loaded.state.era == 2)
        let off = loaded.state.services.first
        #expect(off?.wanted == false && off?.phase == .stopped && off?.restarts == 2 && off?.generation == 3 && off?.unheard == nil)
        #expect(loaded.state.jobs.first?.pending.map(\.trigger) == [.manual] && loaded.state.openRuns.isEmpty)
        #expect(try await store.runs(RunFilter()).map(\.outcome) == ["stopped"])
        #expect(try await store.dueTimes(project: nil, name: nil, results: [], since: nil, limit: 5).count == 3)
        try store.close()
    }

    /// What an earlier release stored in clear is sealed when the database is opened, and is nowhere in its files any more.
    @Test func whatWasStoredInClearIsSealed() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("berth-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = "\(directory)/berth.db"
        func bytes() throws -> String {
            try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("berth.db") }
                .map { String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\($0)")), as: Unicode.ASCII.self) }.joined()
        }
        let canary = "canary-" + String(repeating: "x", count: 20_000)
        let changes = RunChanges(environment: ["A": EnvironmentValue("canary-variable")])
        let pending = PendingStart(trigger: .manual, dueAt: nil, notBefore: Timestamp(milliseconds: 7), queued: true, changes: changes)
        let ended = Make.request("j", 1, at: Timestamp(milliseconds: 7)) { $0.changes = changes }
        let record = JobRecord(
            id: Make.id("j"), cursor: Timestamp(milliseconds: 5000), bootID: "b", pending: [pending], unheard: [RunEnd(ended.run, .failed)])
        do {
            let store = try HistoryStore(path: path, engine: "test")
            for text in ["\(canary)-1", "\(canary)-2"] {
                try await store.commit([.job(record)], recipes: [.put(Make.id("j").project, source: text, digest: "d", at: Timestamp(milliseconds: 1))])
            }
            try store.close()
            #expect(try bytes().contains("canary"))
        }
        let seal = try Seal(keyFile: "\(directory)/seal.key")
        // Somebody reads meanwhile: old pages stay, and that is not forgotten.
        do {
            let reader = try DatabasePool(path: path)
            let store = try HistoryStore(path: path, engine: "test", seal: seal)
            try await reader.read { db in
                _ = try Int.fetchOne(db, sql: "SELECT count(*) FROM recipe_rows")
                #expect(throws: StoreError.self) { try store.sealWhatIsClear() }
            }
            try reader.close()
            try store.close()
        }
        for _ in 0..<2 {
            let store = try HistoryStore(path: path, engine: "test", seal: seal)
            #expect(try store.sealWhatIsClear() == .none)
            #expect(!(try bytes().contains("canary")))
            let loaded = try await store.load()
            #expect(loaded.recipeSources.map(\.source) == ["\(canary)-2"])
            #expect(loaded.state.jobs == [record])
            try await store.commit([.job(record)], recipes: [.put(Make.id("j").project, source: "\(canary)-2", digest: "d", at: Timestamp(milliseconds: 1))])
            #expect(!(try bytes().contains("canary")))
            try store.close()
        }
        // Without the key it is kept, and said.
        let other = try HistoryStore(path: path, engine: "test", seal: try Seal(keyFile: "\(directory)/other.key"))
        let loaded = try await other.load()
        #expect(loaded.recipeSources.map(\.source) == [nil] && loaded.unreadable.count == 2 && loaded.state.jobs.isEmpty, "\(loaded.unreadable)")
    }

    /// A file that is gone, or another one, takes no history, though every write to the old one succeeds.
    @Test func aDatabaseThatIsGoneIsNoticed() async throws {
        try await Self.with { store, path in
            #expect(store.misplacement == nil)
            try FileManager.default.moveItem(atPath: path, toPath: path + ".moved")
            try await store.commit([.service(ServiceRecord(id: Make.instance("a"), wanted: true, phase: .running, since: Self.now))])
            #expect(store.misplacement?.contains("was removed") == true)
            try FileManager.default.copyItem(atPath: path + ".moved", toPath: path)
            #expect(store.misplacement?.contains("was replaced") == true)
        }
    }

    /// What cannot be read is kept, and nothing begins or ends because of it.
    @Test func rowsThatCannotBeReadRest() async throws {
        try await Self.with { store, path in
            func request(_ name: String, _ number: UInt32, _ kind: WorkloadKind) -> RunRequest {
                Make.request(name, number, at: Self.now, kind: kind, trigger: .start)
            }
            let (up, ending, late) = (request("up", 1, .service), request("ending", 2, .service), request("late", 3, .service))
            let pending = PendingStart(trigger: .manual, dueAt: nil, notBefore: Self.now, queued: true)
            try await store.commit(
                ["up", "ending", "down", "sound"].map { .service(ServiceRecord(id: Make.instance($0), wanted: true, phase: .running, since: Self.now)) }
                    + ["pending", "arrivals", "whole"].map { .job(JobRecord(id: Make.id($0), cursor: Self.now, bootID: "b", pending: [pending])) }
                    + [
                        Self.opening(up), Self.opening(ending), Self.opening(late), .runStarted(up.id, at: Self.now, image: nil),
                        .stopRequested(ending.id, at: Self.now, reason: "r", after: [up.id, late.id]),
                    ])
            try store.close()
            let queue = try DatabaseQueue(path: path)
            try await queue.write { db in
                try db.execute(
                    sql: """
                        UPDATE service_rows SET state = 'odd' WHERE name IN ('up', 'ending'); UPDATE service_rows SET unheard = '{' WHERE name = 'down';
                        UPDATE job_rows SET pending = '[{]' WHERE name = 'pending'; UPDATE job_rows SET arrivals = 'x' WHERE name = 'arrivals';
                        UPDATE run_rows SET state = 'odd', trigger = 'odd' WHERE name = 'late'; UPDATE run_rows SET kind = 'odd' WHERE name = 'up';
                        INSERT INTO run_rows (run_id, project, name, kind, trigger, attempt, decided_ms, finished_ms, state, outcome, recipe_digest, engine, boot_id, fingerprint)
                            VALUES ('0000000000000001', 'shop', 'over', 'job', 'odd', 1, 4000, 5000, 'odd', 'failed', 'd', 'native', 'b', 'f');
                        """)
            }
            try queue.close()
            for isFirst in [true, false] {
                let store = try HistoryStore(path: path, engine: "test")
                let loaded = try await store.load()
                #expect(loaded.unreadable == [] && loaded.replaced.count == (isFirst ? 8 : 0), "\(loaded.replaced)")
                let services = Dictionary(uniqueKeysWithValues: loaded.state.services.map { ($0.id, $0) })
                #expect(
                    services[Make.instance("up")]?.wanted == true && services[Make.instance("up")]?.phase == .running
                        && services[Make.instance("up")]?.runID == up.id)
                for name in ["ending", "down"] { #expect(services[Make.instance(name)]?.wanted == false && services[Make.instance(name)]?.phase == .stopped) }
                #expect(services[Make.instance("sound")]?.wanted == true)
                let jobs = Dictionary(uniqueKeysWithValues: loaded.state.jobs.map { ($0.id, $0) })
                #expect(jobs[Make.id("pending")]?.paused == true && jobs[Make.id("pending")]?.pending == [] && jobs[Make.id("pending")]?.cursor == Self.now)
                #expect(jobs[Make.id("arrivals")]?.paused == true && jobs[Make.id("arrivals")]?.pending == [pending])
                #expect(jobs[Make.id("whole")]?.paused == false)
                #expect(
                    loaded.state.openRuns.map(\.id) == [up.id, ending.id, late.id] && loaded.state.openRuns.map(\.state) == [.running, .starting, .starting])
                #expect(loaded.state.openRuns.first?.kind == .service)
                #expect(loaded.state.openRuns.map(\.stopAfter) == [[], [up.id, late.id], []])
                let reader = try DatabaseQueue(path: path)
                let kept = try await reader.read { db in try String.fetchAll(db, sql: "SELECT content FROM damaged_rows WHERE kind = 'job' ORDER BY id") }
                try reader.close()
                #expect(kept.count == 2 && kept[1].contains("[{]") && kept[0].contains("\"arrivals\":\"x\""), "\(kept)")
                #expect(try await store.events(project: nil, name: nil, limit: 50).filter { $0.kind == "damaged" }.count == 8)
                try store.close()
            }
        }
    }

    @Test func chainsChangesAndErasAreReadBack() async throws {
        try await Self.with { store, _ in
            let arrival = Arrival(job: Make.id("a").name, run: RunID(now: Self.now, random: 9), outcome: .succeeded)
            let request = Make.request("x", 1, at: Self.now, trigger: .after) { run in
                run.dueAt = Self.now
                run.arrivals = [arrival]
                run.retryOf = arrival.run
                run.changes = RunChanges(environment: ["A": EnvironmentValue("secret")])
            }
            let pending = PendingStart(
                trigger: .manual, dueAt: nil, notBefore: Self.now, queued: true, arrivals: [arrival],
                changes: RunChanges(environment: ["K": EnvironmentValue("v")], command: ["c"], dueAt: Self.now))
            let record = JobRecord(
                id: Make.id("x"), cursor: Self.now, bootID: "b", pending: [pending], arrivals: [arrival], era: 2, seen: Self.now + .seconds(9),
                unheard: [RunEnd(request.run, .failed)])
            var service = ServiceRecord(id: Make.instance("web"), wanted: true, phase: .running, since: Self.now)
            var status = ExitStatus(ending: .exited(code: 3), finishedAt: Self.now)
            status.startedAt = Self.now
            service.unheard = ServiceEnd(request.run, .failed, status)
            try await store.commit([
                .era(4), Self.opening(request), .job(record), .service(service),
                .due(DueRecord(workload: Make.id("x"), dueAt: Self.now, result: .ran, runID: request.id)),
                .due(DueRecord(workload: Make.id("x"), dueAt: Self.now, result: .missed, reason: .clockJump, era: 1)),
                .dueCaughtUp(Make.id("x"), dueAt: Self.now, RunID(now: Self.now, random: 7)),
            ])
            let state = try await store.load().state
            #expect(state.jobs == [record] && state.services == [service] && state.era == 4)
            #expect(state.openRuns == [request.run])
            let row = try await store.runs(RunFilter()).first
            #expect(row?.caused_by == arrival.run.description && row?.changes == "env A" && row?.retry_of == arrival.run.description)
            let due = try await store.dueTimes(project: nil, name: nil, results: [], since: nil, limit: 5)
            #expect(Set(due.map { "\($0.result) \($0.run_id ?? "-")" }) == ["ran \(request.id)", "missed \(RunID(now: Self.now, random: 7))"])
            try store.check()
            #expect(try await store.hasDueTime(Make.id("x"), at: Self.now))
            #expect(try await !store.hasDueTime(Make.id("x"), at: Self.now + .seconds(1)))
        }
    }

    /// Starts that wait, and what led to them, as the layout before wrote them (sealed and clear); and a form that is not known yet.
    @Test func readsEachFormOfStoredJSON() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("berth-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = "\(directory)/berth.db"
        let seal = try Seal(keyFile: "\(directory)/seal.key")
        let arrival = Arrival(job: Make.id("a").name, run: RunID(now: Self.now, random: 9), outcome: .failed)
        func pending(_ changes: RunChanges?) -> [PendingStart] {
            [PendingStart(trigger: .manual, dueAt: nil, notBefore: Self.now, queued: true, arrivals: [arrival], changes: changes)]
        }
        let secret = pending(RunChanges(environment: ["A": EnvironmentValue("v")]))
        #expect(Self.now.milliseconds == 1_774_746_123_456)
        // As they stand in databases of that layout, to the letter.
        let arrivals = #"[{"job":"a","run":"06eke75wr0000009","outcome":"failed"}]"#
        func text(_ changes: String) -> String {
            #"[{"attempt":1,"trigger":"manual","arrivals":\#(arrivals),"notBefore":{"milliseconds":1774746123456},"queued":true\#(changes)}]"#
        }
        let clear = text("")
        let sealed = try seal.close(text(#","changes":{"environment":{"A":"v"}}"#))
        do {
            let store = try HistoryStore(path: path, engine: "test", seal: seal, through: "5")
            try store.close()
            let queue = try DatabaseQueue(path: path)
            try await queue.write { db in
                for (name, pending, arrivals) in [("clear", clear, arrivals), ("sealed", sealed, "[]"), ("new", #"{"v":2,"value":[]}"#, "[]")] {
                    try db.execute(
                        sql: """
                            INSERT INTO job_rows (project, name, paused, cursor_ms, boot_id, streak, pending, arrivals, era)
                            VALUES ('shop', ?, 0, 5000, 'b', 0, ?, ?, 0)
                            """, arguments: [name, pending, arrivals])
                }
                try db.execute(
                    sql: """
                        INSERT INTO run_rows (run_id, project, name, kind, trigger, attempt, decided_ms, state, recipe_digest, engine, boot_id,
                            fingerprint, arrivals) VALUES ('0000000000000001', 'shop', 'x', 'job', 'after', 1, 4000, 'starting', 'd', 'native', 'b', 'f', ?);
                        """, arguments: [arrivals])
            }
            try queue.close()
        }
        for _ in 0..<2 {
            let store = try HistoryStore(path: path, engine: "test", seal: seal)
            let loaded = try await store.load()
            let jobs = Dictionary(uniqueKeysWithValues: loaded.state.jobs.map { ($0.id.name.description, $0) })
            #expect(jobs["clear"]?.pending == pending(nil) && jobs["clear"]?.arrivals == [arrival] && jobs["clear"]?.paused == false)
            #expect(jobs["sealed"]?.pending == secret && jobs["sealed"]?.arrivals == [])
            #expect(jobs["new"]?.paused == true && jobs["new"]?.pending == [])
            #expect(loaded.state.openRuns.map(\.arrivals) == [[arrival]])
            // Written again they are of the present form.
            try await store.commit(loaded.state.jobs.map { .job($0) })
            try store.close()
        }
        let rows = try await DatabaseQueue(path: path).read { db in
            (
                try String.fetchAll(db, sql: "SELECT pending FROM job_rows WHERE name <> 'sealed' UNION ALL SELECT arrivals FROM job_rows"),
                try String.fetchAll(db, sql: "SELECT content FROM damaged_rows")
            )
        }
        #expect(rows.0.count == 5 && rows.0.allSatisfy { $0.hasPrefix(#"{"v":1,"#) }, "\(rows.0)")
        #expect(try rows.1.map { try seal.open($0) }.contains { $0.contains(#"{\"v\":2,"#) }, "what was not understood is kept")
    }

    @Test func refusesADatabaseOfANewerRelease() async throws {
        try await Self.with { store, path in
            try store.close()
            let queue = try DatabaseQueue(path: path)
            try await queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('99')") }
            try queue.close()
            #expect { try HistoryStore(path: path, engine: "test") } throws: { if case StoreError.newerSchema = $0 { true } else { false } }
        }
    }

    @Test func tellsAFileThatIsNoDatabase() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("berth-\(UUID().uuidString).db").path
        try Data(repeating: 7, count: 8192).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect { try HistoryStore(path: path, engine: "test") } throws: { if case StoreError.corrupt = $0 { true } else { false } }
    }

    // MARK: Copies

    @Test func copiesAreWholeAndKeptByCount() async throws {
        try await Self.with { store, path in
            let request = Self.request(1)
            try await store.commit([Self.opening(request)])
            for day in 0..<9 { try await store.makeSnapshot(now: Timestamp(milliseconds: Self.now.milliseconds + Int64(day) * 86_400_000)) }
            let copies = store.snapshots
            #expect(copies.count == HistoryStore.keptSnapshots && copies.map(\.at) == copies.map(\.at).sorted(by: >) && store.notices.isEmpty)
            // A database of its own, with what was committed, that opens as the history does.
            let copy = try HistoryStore(path: copies[0].path, engine: "test")
            #expect(try await copy.load().state.openRuns.map(\.id) == [request.run.id])
            try copy.close()
            #expect(HistoryStore.snapshots(beside: path) == store.snapshots)
        }
    }

    @Test func aDamagedHistoryMakesNoCopyAndIsSaidTo() async throws {
        try await Self.with { store, path in
            for number in 1..<400 { try await store.commit([Self.opening(Self.request(UInt32(number)))]) }
            let whole = try await store.makeSnapshot(now: Self.now)
            try await store.pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
            let file = try #require(FileHandle(forUpdatingAtPath: path))
            let size = try file.seekToEnd()
            // Pages in the middle, which no connection has looked at yet.
            for page in stride(from: size / 3 / 4096 * 4096, to: size / 3 * 2, by: 4096) {
                try file.seek(toOffset: page)
                file.write(Data(repeating: 0xA5, count: 4096))
            }
            try file.close()
            let later = Timestamp(milliseconds: Self.now.milliseconds + 86_400_000)
            await #expect {
                try await store.makeSnapshot(now: later)
            } throws: { error in
                guard case .corrupt = error as? StoreError else { return false }
                return true
            }
            #expect(store.snapshots == [whole] && store.notices.count == 1 && store.notices[0].contains("no copy of the history"))
        }
    }
}
