import Ledger
import EngineAPI
import Foundation
import GRDB
import HistoryStore
import Logging
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

@testable import Supervision

/// The loop with a real database, a scripted engine and a manual clock.
@Suite struct SupervisorTests {
    static let start = Make.time("2026-01-01T00:00:00Z")

    /// A daemon that can die and come back on the same store and engine.
    final class Fixture: Sendable {
        let directory: URL
        let store: HistoryStore
        let engine: ScriptedEngine
        let clock: ManualClock

        init() throws {
            directory = FileManager.default.temporaryDirectory.appendingPathComponent("berth-supervisor-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            store = try HistoryStore(path: directory.appendingPathComponent("berth.db").path, engine: "scripted")
            let clock = ManualClock(SupervisorTests.start)
            self.clock = clock
            engine = ScriptedEngine(now: { clock.moment().wall })
        }

        deinit {
            try? store.close()
            try? FileManager.default.removeItem(at: directory)
        }

        func daemon(recipes: [Recipe] = [], boot: String = "boot", seed: UInt64 = 1) async throws -> Supervisor {
            let supervisor = Supervisor(
                scheduler: Scheduler(bootID: boot, seed: seed), store: store, engine: engine, clock: clock,
                log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            var state = try await store.load().state
            state.recipes = recipes
            try await supervisor.start(state)
            return supervisor
        }

        /// Waits for something that follows from what was done; a failure after half a minute.
        func eventually(_ what: Comment, _ condition: () async throws -> Bool) async throws {
            for _ in 0..<6000 {
                if try await condition() { return }
                try await Task.sleep(for: .milliseconds(5))
            }
            Issue.record("never: \(what)")
        }

        func runs(_ name: String) async throws -> [RunInfo] {
            var filter = RunFilter()
            filter.name = name
            return try await store.runs(filter)
        }
    }

    /// What is old is forgotten, and a clock that was far ahead for a moment makes nothing old.
    @Test func aClockThatIsAheadForAMomentForgetsNothing() async throws {
        let fixture = try Fixture()
        let daemon = try await fixture.daemon()
        await daemon.take(.apply(Make.recipe(Make.job("j", JobPolicy())), explicit: true, actor: "t"))
        await daemon.take(.run(Make.id("j"), actor: "t"))
        try await fixture.eventually("it runs") { fixture.engine.alive(of: "j").count == 1 }
        fixture.engine.end(fixture.engine.alive(of: "j")[0], .exited(code: 0))
        try await fixture.eventually("it has ended") { try await fixture.runs("j").first?.state == "finished" }
        let right = fixture.clock.moment().wall
        for _ in 0..<5 {
            fixture.clock.set(right + .seconds(4000 * 86400))
            fixture.clock.advance(by: .seconds(300))
            // Time for the tick to be looked at while the clock is wrong.
            try await Task.sleep(for: .milliseconds(50))
            fixture.clock.set(right)
            fixture.clock.advance(by: .seconds(900))
        }
        // Time for what should not happen: the next one is looked at after it.
        try await Task.sleep(for: .milliseconds(300))
        #expect(try await fixture.runs("j").count == 1)
        await daemon.shutDown()
        // Far ahead since the daemon started, and steady: it is believed after a day.
        fixture.clock.set(right + .seconds(4000 * 86400))
        let next = try await fixture.daemon()
        for _ in 0..<5 {
            fixture.clock.advance(by: .seconds(4 * 3600))
            try await Task.sleep(for: .milliseconds(50))
        }
        try await Task.sleep(for: .milliseconds(300))
        #expect(try await fixture.runs("j").count == 1)
        for _ in 0..<2 { fixture.clock.advance(by: .seconds(86400)) }
        try await fixture.eventually("it is forgotten") { try await fixture.runs("j").isEmpty }
        await next.shutDown()
    }

    /// While the history takes no writes a stop is begun once, a start whose deadline passes meanwhile is none, and due times that pass
    /// are missed for that reason, not because the daemon was down.
    @Test func whatWaitsForTheHistoryIsNotTooLateAndNotTwice() async throws {
        let fixture = try Fixture()
        let daemon = try await fixture.daemon()
        let hourly = Make.schedule("0 * * * *")
        let recipe = Make.recipe(
            Make.service("web", .always), Make.job("late", JobPolicy(schedule: hourly, deadline: .seconds(5))), Make.job("any", JobPolicy(schedule: hourly)),
            Make.job("often", JobPolicy(schedule: Make.schedule("0,10,20,30 1-23 * * *"))))
        await daemon.take(.apply(recipe, explicit: true, actor: "t"))
        try await fixture.eventually("it runs, and nothing is on its way to the disk") {
            guard try await fixture.runs("web").first?.state == "running" else { return false }
            return await daemon.containers != nil
        }
        // Somebody else holds the database. What is decided now waits for it.
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let other = try DatabaseQueue(path: fixture.store.path, configuration: configuration)
        try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        fixture.clock.advance(by: .seconds(3600))
        try await fixture.eventually("they are decided") { await daemon.runs.count == 4 }
        fixture.clock.advance(by: .seconds(2))
        try await fixture.eventually("nothing more is started") { await daemon.isHeld }
        let stopping = Task { await daemon.take(.stop(Make.id("web"), actor: "t")) }
        try await fixture.eventually("it is known") { await daemon.degraded != nil }
        for _ in 0..<20 { fixture.clock.advance(by: .seconds(98)) }
        #expect(await daemon.runs.count == 4 && fixture.engine.alive(of: "often").isEmpty)
        try await other.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
        _ = await stopping.value
        try await fixture.eventually("what may be late starts") { fixture.engine.alive(of: "any").count == 1 }
        try await fixture.eventually("the other has ended") { try await fixture.runs("late").first?.state == "finished" }
        let late = try #require(try await fixture.runs("late").first)
        #expect(late.outcome == "stopped" && late.reason?.contains("its deadline passed before it started") == true && fixture.engine.alive(of: "late").isEmpty)
        #expect(fixture.engine.calls.filter { if case .stop = $0 { true } else { false } }.count <= 2, "\(fixture.engine.calls)")
        #expect(await daemon.degraded == nil)
        let database = try DatabaseQueue(path: fixture.store.path)
        let rows = try await database.read {
            try String.fetchAll($0, sql: "SELECT result || ' ' || coalesce(reason, '') || ' ' || count FROM due_rows WHERE name = 'often' ORDER BY due_ms")
        }
        #expect(rows == ["ran  1", "missed history not writable 3"], "\(rows)")
        try other.close()
        await daemon.shutDown()
    }

    /// Nothing is kept of a client that waited for the end of a run and left.
    @Test func whoLeavesIsNotWaitedWith() async throws {
        let fixture = try Fixture()
        let daemon = try await fixture.daemon()
        await daemon.take(.apply(Make.recipe(Make.service("web", .always)), explicit: true, actor: "t"))
        try await fixture.eventually("it runs") { !fixture.engine.alive(of: "web").isEmpty }
        let run = fixture.engine.alive(of: "web")[0]
        let waiters = (0..<100).map { _ in Task { await daemon.waitForEnd(of: run) } }
        try await fixture.eventually("they wait") { await daemon.waiting == 100 }
        for waiter in waiters.dropFirst() { waiter.cancel() }
        try await fixture.eventually("they are forgotten") { await daemon.waiting == 1 }
        // Who was gone before does not wait at all.
        let late = Task {
            try? await Task.sleep(for: .seconds(3600))
            await daemon.waitForEnd(of: run)
        }
        late.cancel()
        await late.value
        #expect(await daemon.waiting == 1)
        fixture.engine.end(run, .exited(code: 0))
        await waiters[0].value
        #expect(await daemon.waiting == 0)
        await daemon.shutDown()
    }

    @Test func aServiceIsStartedRestartedAndStopped() async throws {
        let fixture = try Fixture()
        let daemon = try await fixture.daemon()
        await daemon.take(.apply(Make.recipe(Make.service("web", .always)), explicit: true, actor: "t"))
        try await fixture.eventually("it runs") { fixture.engine.alive(of: "web").count == 1 }
        let first = fixture.engine.alive(of: "web")[0]
        fixture.engine.end(first, .exited(code: 1))
        try await fixture.eventually("it waits for its next start") { await daemon.statuses.first?.state == "backoff" }
        fixture.clock.advance(by: .seconds(2))
        try await fixture.eventually("it runs again") { fixture.engine.alive(of: "web").count == 1 }
        await daemon.take(.stop(Make.id("web"), actor: "t"))
        try await fixture.eventually("it is stopped") { await daemon.statuses.first?.state == "stopped" }
        fixture.clock.advance(by: .seconds(1000))
        await daemon.take(.tick)
        #expect(fixture.engine.alive(of: "web").isEmpty)
        // What was decided is on disk a little later.
        try await fixture.eventually("its ends are on record") { try await fixture.runs("web").map(\.outcome) == ["stopped", "failed"] }
        await daemon.shutDown()
    }

    @Test func theRowIsOnDiskBeforeTheLaunch() async throws {
        let fixture = try Fixture()
        let daemon = try await fixture.daemon()
        await daemon.take(.apply(Make.recipe(Make.job("backup", JobPolicy(schedule: Make.schedule("* * * * *")))), explicit: true, actor: "t"))
        fixture.clock.advance(by: .seconds(60))
        try await fixture.eventually("it is launched") { !fixture.engine.alive(of: "backup").isEmpty }
        let run = try #require(fixture.engine.alive(of: "backup").first)
        #expect(fixture.engine.request(run)?.dueAt == Self.start + .seconds(60))
        let rows = try await fixture.store.dueTimes(project: nil, name: "backup", results: [], since: nil, limit: 10)
        #expect(rows.map(\.result) == ["ran"] && rows.first?.run_id == run.description)
        await daemon.shutDown()
    }

    @Test func aDaemonThatComesBackAdoptsAndBooks() async throws {
        let fixture = try Fixture()
        let recipe = Make.recipe(Make.service("web", .always), Make.job("long", JobPolicy()), Make.job("short", JobPolicy()))
        let first = try await fixture.daemon()
        await first.take(.apply(recipe, explicit: true, actor: "t"))
        await first.take(.run(Make.id("long"), actor: "t"))
        await first.take(.run(Make.id("short"), actor: "t"))
        try await fixture.eventually("all run") {
            await first.runs.count == 3 && fixture.engine.alive(of: "short").count == 1 && fixture.engine.alive(of: "long").count == 1
        }
        try await fixture.eventually("all are on record as running") { try await fixture.store.runs(RunFilter()).allSatisfy { $0.state == "running" } }
        await first.shutDown()
        // While nobody listens, one ends.
        fixture.engine.end(fixture.engine.alive(of: "short")[0], .exited(code: 7))
        let second = try await fixture.daemon(recipes: [recipe], seed: 2)
        try await fixture.eventually("the end is booked") { try await fixture.runs("short").first?.outcome == "failed" }
        #expect(try await fixture.runs("short").first?.exit_code == 7)
        #expect(fixture.engine.starts.values.allSatisfy { $0 == 1 } && fixture.engine.starts.count == 3)
        fixture.engine.end(fixture.engine.alive(of: "long")[0], .exited(code: 42))
        try await fixture.eventually("its code is booked") { try await fixture.runs("long").first?.exit_code == 42 }
        await second.shutDown()
    }

    @Test func aLaunchThatFailsIsAStartErrorAndIsRetried() async throws {
        let fixture = try Fixture()
        fixture.engine.fail(Make.id("bad").name, with: .command("no such command"))
        let daemon = try await fixture.daemon()
        await daemon.take(.apply(Make.recipe(Make.job("bad", JobPolicy(retries: RetryPolicy(limit: 1, backoff: .seconds(5))))), explicit: true, actor: "t"))
        await daemon.take(.run(Make.id("bad"), actor: "t"))
        try await fixture.eventually("the first attempt failed") { try await fixture.runs("bad").first?.outcome == "start-error" }
        fixture.engine.fail(Make.id("bad").name, with: nil)
        fixture.clock.advance(by: .seconds(6))
        try await fixture.eventually("the second attempt runs") { fixture.engine.alive(of: "bad").count == 1 }
        #expect(try await fixture.runs("bad").map(\.trigger) == ["retry", "manual"])
        #expect(try await fixture.runs("bad").last?.reason == "no such command")
        await daemon.shutDown()
    }

    @Test func manyDueAtOnceShareATransactionAndAllRun() async throws {
        let fixture = try Fixture()
        let daemon = try await fixture.daemon()
        let jobs = (0..<200).map { Make.job("job\($0)", JobPolicy(schedule: Make.schedule("0 1 * * *"))) }
        await daemon.take(
            .apply(Recipe(project: Make.id("x").project, workloads: jobs.sorted { $0.id < $1.id }, volumes: [], digest: "d"), explicit: true, actor: "t"))
        fixture.clock.advance(by: .seconds(3600))
        try await fixture.eventually("all are launched") { fixture.engine.starts.count == 200 }
        for job in jobs { for run in fixture.engine.alive(of: job.id.name.description) { fixture.engine.end(run, .exited(code: 0)) } }
        var filter = RunFilter()
        filter.limit = 1000
        // Booked is what is in the history: the daemon's own decision comes before it.
        try await fixture.eventually("all are booked") { [filter] in try await fixture.store.runs(filter).count { $0.outcome == "succeeded" } == 200 }
        #expect(await daemon.runs.isEmpty)
        await daemon.shutDown()
    }
}
