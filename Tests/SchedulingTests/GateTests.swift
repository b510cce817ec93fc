import EngineAPI
import Ledger
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

/// What services and jobs depend on, and how services are asked whether they work.
@Suite struct GateTests {
    static let start = ChainTests.start

    static func name(_ text: String) -> WorkloadName { Make.id(text).name }

    /// A service that is asked each ten seconds, and three times before it is unhealthy.
    static func asked(
        _ name: String, _ restart: RestartPolicy = .always, period: Int64 = 0, startInterval: Int64? = nil, _ onUnhealthy: UnhealthyPolicy = .nothing
    ) -> Workload {
        Make.service(name, restart) { container, policy in
            var check = HealthCheckSpec(test: .shell("ask"))
            check.interval = .seconds(10)
            check.startPeriod = .seconds(period)
            check.startInterval = startInterval.map { .seconds($0) }
            container.healthCheck = Shared(check)
            policy.onUnhealthy = onUnhealthy
        }
    }

    static func service(_ name: String, _ restart: RestartPolicy = .always, on dependencies: [String: Dependency]) -> Workload {
        Make.service(name, restart) { _, policy in
            policy.dependsOn = Dictionary(uniqueKeysWithValues: dependencies.map { (Self.name($0.key), $0.value) })
        }
    }

    static func world(_ workloads: Workload..., ends: [String: (Duration, WorkloadModel.ExitStatus.Ending)] = [:]) -> World {
        var world = World(at: start)
        world.script = { request, _ in ends[request.workload.name.description] ?? (.seconds(1_000_000), .exited(code: 0)) }
        world.stopTakes = .seconds(1)
        return world
    }

    static func up(_ world: inout World, _ workloads: Workload...) {
        world.take(.apply(recipe(workloads), explicit: true, actor: "t"))
    }

    static func recipe(_ workloads: [Workload]) -> Recipe {
        Recipe(project: Make.id("x").project, workloads: workloads.sorted { $0.id < $1.id }, volumes: [], digest: "d\(workloads.count)")
    }

    static func seconds(_ world: World, _ name: String) -> [Int64] {
        world.starts.filter { $0.workload == Make.id(name) }.map { ($0.at - start).wholeMilliseconds / 1000 }
    }

    static func state(_ world: World, _ name: String) -> String {
        guard let status = world.scheduler.status(of: Make.id(name)) else { return "none" }
        return status.state + (status.health.map { " \($0.rawValue)" } ?? "") + (status.waitsFor.map { ": \($0)" } ?? "")
    }

    // MARK: The end

    /// Names in the order of their ends.
    private static func ends(_ world: World) -> [String] {
        world.runs.values.filter { $0.outcome != nil }.sorted { $0.closedAfter.runs < $1.closedAfter.runs }.map(\.open.workload.name.description)
    }

    /// As Compose: what uses another ends before it is told to. A daemon that dies between changes nothing of that.
    @Test(arguments: [nil, 1, 2] as [Int64?]) func whatIsTakenDownEndsInReverse(_ death: Int64?) {
        var world = Self.world()
        Self.up(
            &world, Self.asked("db"), Self.service("app", on: ["db": Dependency(condition: .healthy)]), Self.service("proxy", on: ["app": Dependency()]),
            Self.service("other", on: [:]))
        world.run(until: Self.start + .seconds(60))
        world.take(.down(Make.id("x").project, actor: "t"))
        #expect(world.runs.values.allSatisfy { $0.open.stopReason != nil })
        world.run(until: Self.start + .seconds(60 + (death ?? 0)))
        if death != nil { world.restart(after: .milliseconds(200), newBoot: false) }
        world.run(until: Self.start + .seconds(80))
        let ends = Self.ends(world)
        #expect(ends.filter { $0 != "other" } == ["proxy", "app", "db"] && ends.firstIndex(of: "other") ?? 9 <= 1, "\(ends)")
        #expect(world.scheduler.statuses.isEmpty && world.violations.isEmpty, "\(world.violations)")
    }

    @Test func aDaemonThatTakesAllAlongKeepsTheOrder() {
        var world = Self.world()
        Self.up(&world, Self.asked("db"), Self.service("app", on: ["db": Dependency(condition: .healthy)]))
        world.run(until: Self.start + .seconds(60))
        world.take(.stopAll)
        world.run(until: Self.start + .seconds(80))
        #expect(Self.ends(world) == ["app", "db"] && world.violations.isEmpty, "\(world.violations)")
    }

    // MARK: Conditions

    @Test func eachConditionIsWaitedFor() {
        var world = Self.world(ends: ["migrate": (.seconds(30), .exited(code: 0))])
        world.launchTakes = .seconds(2)
        Self.up(
            &world, Self.asked("db"), Self.service("migrate", .no, on: ["db": Dependency(condition: .healthy)]),
            Self.service("app", on: ["migrate": Dependency(condition: .completed)]), Self.service("proxy", on: ["app": Dependency()]))
        #expect(Self.state(world, "app") == "waiting: migrate is waiting itself" && Self.state(world, "migrate") == "waiting: db is not up yet")
        world.run(until: Self.start + .seconds(10))
        #expect(Self.state(world, "app") == "waiting: migrate has not ended yet")
        world.run(until: Self.start + .seconds(100))
        // Launches take two seconds, the first probe comes a tenth of one later.
        #expect(Self.seconds(world, "db") == [2] && Self.seconds(world, "migrate") == [4])
        #expect(Self.seconds(world, "app") == [36] && Self.seconds(world, "proxy") == [38])
        #expect(world.violations.isEmpty)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let condition: Dependency.Condition
        let db: (RestartPolicy, Int32)
        let required: Bool
        let stands: String
        var testDescription: String { "\(condition.rawValue) of one that ends with \(db.1), restart \(db.0), required \(required)" }
    }

    /// One that ends after five seconds.
    @Test(arguments: [
        Case(condition: .started, db: (.no, 1), required: true, stands: "running"),
        Case(condition: .completed, db: (.no, 0), required: true, stands: "running"),
        Case(condition: .completed, db: (.no, 1), required: true, stands: "waiting: db ended as failed"),
        Case(condition: .completed, db: (.no, 1), required: false, stands: "running"),
        Case(condition: .completed, db: (.onFailure(limit: 2), 1), required: true, stands: "waiting: db has failed"),
        Case(condition: .completed, db: (.always, 0), required: true, stands: "running"),
        Case(condition: .healthy, db: (.no, 0), required: true, stands: "waiting: db has ended"),
        Case(condition: .healthy, db: (.no, 0), required: false, stands: "running"),
    ]) func whatEndsIsWaitedForOrNot(_ item: Case) {
        var world = Self.world(ends: ["db": (.seconds(5), .exited(code: item.db.1))])
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(
            &world, Self.asked("db", item.db.0), Self.service("web", on: ["db": Dependency(condition: item.condition, required: item.required)]))
        world.run(until: Self.start + .seconds(60))
        #expect(Self.state(world, "web") == item.stands)
        #expect(world.violations.isEmpty)
    }

    @Test func aBootKeepsTheOrder() {
        var world = Self.world()
        Self.up(&world, Self.asked("db"), Self.service("app", on: ["db": Dependency(condition: .healthy)]))
        world.run(until: Self.start + .seconds(60))
        for newBoot in [true, false] {
            world.restart(after: .seconds(10), newBoot: newBoot)
            if newBoot { #expect(Self.state(world, "app") == "waiting: db is not up yet" || Self.state(world, "app") == "waiting: db is not healthy yet") }
            world.run(until: world.now + .seconds(5))
            #expect(Self.state(world, "app") == "running")
        }
        #expect(Self.seconds(world, "app").count == 2 && Self.seconds(world, "db").count == 2)
        #expect(world.violations.isEmpty)
    }

    @Test func afterACrashItWaitsAgain() {
        var world = Self.world(ends: ["app": (.seconds(20), .exited(code: 1))])
        Self.up(&world, Self.asked("db"), Self.service("app", on: ["db": Dependency(condition: .healthy)]))
        world.run(until: Self.start + .seconds(10))
        world.take(.stop(Make.id("db"), actor: "t"))
        world.run(until: Self.start + .seconds(60))
        // A dependency that goes takes nobody along; one that failed is not started again without it.
        #expect(Self.seconds(world, "app") == [0] && Self.state(world, "app") == "waiting: db is stopped")
        world.take(.start(Make.id("db"), actor: "t"))
        world.run(until: Self.start + .seconds(62))
        #expect(Self.seconds(world, "app") == [0, 60])
    }

    @Test func whoIsStartedByHandGetsWhatItNeeds() {
        var world = Self.world()
        Self.up(&world, Self.asked("db"), Self.service("app", on: ["db": Dependency(condition: .healthy)]))
        for name in ["app", "db"] { world.take(.stop(Make.id(name), actor: "t")) }
        world.run(until: Self.start + .seconds(10))
        #expect(Self.state(world, "db") == "stopped")
        world.take(.start(Make.id("app"), actor: "t"))
        world.run(until: Self.start + .seconds(20))
        #expect(Self.state(world, "db") == "running healthy" && Self.state(world, "app") == "running")
    }

    @Test(arguments: [true, false]) func aRestartTakesThoseAlongThatAskForIt(_ restarts: Bool) {
        var world = Self.world()
        Self.up(&world, Self.asked("db"), Self.service("app", on: ["db": Dependency(condition: .healthy, restart: restarts)]))
        world.run(until: Self.start + .seconds(10))
        world.take(.restart(Make.id("db"), actor: "t"))
        world.run(until: Self.start + .seconds(20))
        #expect(Self.seconds(world, "app").count == (restarts ? 2 : 1) && Self.seconds(world, "db").count == 2)
        #expect(Self.state(world, "app") == "running")
    }

    @Test func aNewRecipeMayLetItGo() {
        var world = Self.world(ends: ["db": (.seconds(1), .exited(code: 1))])
        let db = Make.service("db", .no)
        Self.up(&world, db, Self.service("app", on: ["db": Dependency(condition: .completed)]))
        world.run(until: Self.start + .seconds(10))
        #expect(Self.state(world, "app") == "waiting: db ended as failed")
        world.take(.apply(Self.recipe([db, Make.service("app", .always)]), explicit: false, actor: "t"))
        #expect(Self.state(world, "app") == "running")
    }

    // MARK: Health

    /// When the first probe succeeds, and when the service counts as healthy or not.
    struct Health: Sendable, CustomTestStringConvertible {
        var period: Int64 = 0
        var startInterval: Int64?
        /// From when on it works, and from when on no more.
        let works: Int64
        var until: Int64 = 1_000_000
        /// State at given seconds.
        let states: [(Int64, String)]
        var testDescription: String { "start_period \(period), start_interval \(startInterval.map(String.init) ?? "-"), works from \(works) to \(until)" }
    }

    @Test(arguments: [
        // It is asked early: nobody waits ten seconds for one that works at once.
        Health(works: 0, states: [(0, "starting"), (1, "healthy"), (100, "healthy")]),
        // Failures count each ten seconds, whatever was asked before.
        Health(works: 1000, states: [(9, "starting"), (29, "starting"), (31, "unhealthy")]),
        Health(works: 25, states: [(24, "starting"), (31, "healthy")]), Health(works: 35, states: [(31, "unhealthy"), (41, "healthy")]),
        // In the start period they do not count.
        Health(period: 60, works: 1000, states: [(89, "starting"), (91, "unhealthy")]),
        Health(period: 60, startInterval: 20, works: 15, states: [(19, "starting"), (21, "healthy")]),
        // After a success they do.
        Health(period: 600, works: 0, until: 5, states: [(2, "healthy"), (29, "healthy"), (31, "unhealthy")]),
    ]) func healthIsAsDockersRulesSay(_ item: Health) {
        var world = Self.world()
        let start = Self.start
        // The world's clock is in the request only as the run's start; the script keeps its own.
        Self.up(&world, Self.asked("db", period: item.period, startInterval: item.startInterval))
        for (second, state) in item.states {
            while world.now < start + .seconds(second) {
                let now = (world.now - start).wholeMilliseconds
                let works = now >= item.works * 1000 && now < item.until * 1000
                world.answers = { _, _ in (.zero, .exited(works ? 0 : 1)) }
                world.run(until: min(world.now + .milliseconds(50), start + .seconds(second)))
            }
            #expect(Self.state(world, "db") == "running \(state)", "at \(second) s")
        }
        #expect(world.violations.isEmpty)
    }

    struct Sick: Sendable, CustomTestStringConvertible {
        let policy: UnhealthyPolicy
        let restart: RestartPolicy
        let starts: [Int64]
        let stands: String
        var testDescription: String { "\(policy.rawValue), restart \(restart)" }
    }

    /// One that never works: unhealthy after 30 s, ended a second later.
    @Test(arguments: [
        Sick(policy: .nothing, restart: .always, starts: [0], stands: "running unhealthy"),
        Sick(policy: .stop, restart: .always, starts: [0], stands: "failed"),
        // The pauses are those of failures in a row.
        Sick(policy: .restart, restart: .always, starts: [0, 32, 65, 100], stands: "running"),
        Sick(policy: .restart, restart: .no, starts: [0, 32, 65, 100], stands: "running"),
        Sick(policy: .restart, restart: .onFailure(limit: 1), starts: [0, 32], stands: "failed"),
    ]) func whatBecomesOfTheUnhealthy(_ item: Sick) {
        var world = Self.world()
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(&world, Self.asked("db", item.restart, item.policy))
        world.run(until: Self.start + .seconds(110))
        #expect(Self.seconds(world, "db") == item.starts)
        #expect(Self.state(world, "db").hasPrefix(item.stands))
        #expect(world.events.contains { $0.kind == "unhealthy" && $0.text == "3 probes in a row failed: exit code 1" })
        #expect(world.violations.isEmpty)
    }

    @Test func anIllServiceIsNotForgottenOverARestart() {
        var world = Self.world()
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(&world, Self.asked("db", .always, .nothing))
        world.run(until: Self.start + .seconds(15))
        world.restart(after: .seconds(1))
        world.run(until: Self.start + .seconds(35))
        #expect(Self.state(world, "db") == "running unhealthy")
        world.restart(after: .seconds(1))
        #expect(Self.state(world, "db") == "running unhealthy")
    }

    @Test func aFrozenServiceIsNotAsked() {
        var world = Self.world()
        Self.up(&world, Self.asked("db", .always, .restart))
        world.run(until: Self.start + .seconds(5))
        let run = world.scheduler.status(of: Make.id("db"))!.runs[0]
        world.take(.frozen([run]))
        world.answers = { _, _ in (.zero, .timedOut) }
        world.run(until: Self.start + .seconds(200))
        #expect(Self.seconds(world, "db") == [0] && Self.state(world, "db") == "running healthy")
        world.answers = { _, _ in (.zero, .exited(0)) }
        world.take(.frozen([]))
        world.run(until: Self.start + .seconds(300))
        #expect(Self.state(world, "db") == "running healthy")
    }

    // MARK: Jobs

    static func job(_ on: [String: Dependency], deadline: Duration? = nil, overlap: OverlapPolicy = .skip) -> Workload {
        Make.job(
            "dump",
            JobPolicy(
                schedule: Make.schedule("0 1 * * *"), overlap: overlap, deadline: deadline,
                dependsOn: Dictionary(uniqueKeysWithValues: on.map { (Self.name($0.key), $0.value) })))
    }

    @Test func aDueTimeStartsWhatItNeedsAndWaits() {
        var world = Self.world(ends: ["db": (.seconds(600), .exited(code: 0)), "dump": (.seconds(1), .exited(code: 0))])
        Self.up(&world, Self.asked("db", .no), Self.job(["db": Dependency(condition: .healthy)]))
        world.run(until: Self.start + .seconds(3700))
        #expect(Self.seconds(world, "db") == [0, 3600] && Self.seconds(world, "dump") == [3600])
        #expect(SchedulerTests.rows(world, "dump") == ["2026-01-01T01:00 ran 1"])
        #expect(world.events.contains { $0.text == "started for dump, which depends on it" })
    }

    struct Unmet: Sendable, CustomTestStringConvertible {
        var stopped = false
        var deadline: Duration?
        let row: String
        let at: Int64
        var testDescription: String { "stopped \(stopped), deadline \(deadline.map { "\($0)" } ?? "none")" }
    }

    @Test(arguments: [
        // A user's stop stays; nobody is waited for who does not come.
        Unmet(stopped: true, row: "2026-01-01T01:00 skipped dependency 1", at: 3600), Unmet(row: "2026-01-01T01:00 skipped dependency 1", at: 3901),
        Unmet(deadline: .seconds(20), row: "2026-01-01T01:00 skipped dependency 1", at: 3621),
    ]) func aDueTimeIsSkippedWithoutWhatItNeeds(_ item: Unmet) {
        var world = Self.world(ends: ["dump": (.seconds(1), .exited(code: 0))])
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(&world, Self.asked("db"), Self.job(["db": Dependency(condition: .healthy)], deadline: item.deadline))
        world.run(until: Self.start + .seconds(10))
        if item.stopped { world.take(.stop(Make.id("db"), actor: "t")) }
        world.run(until: Self.start + .seconds(item.at - 1))
        #expect(SchedulerTests.rows(world, "dump") == [])
        world.run(until: Self.start + .seconds(item.at + 1))
        #expect(SchedulerTests.rows(world, "dump") == [item.row])
        let note = world.due[Make.id("dump")]?.values.first?.note
        #expect(note == (item.stopped ? "db is stopped" : "db is unhealthy"))
        #expect(Self.seconds(world, "dump").isEmpty && world.broken(accounted: []).isEmpty)
    }

    @Test func aRunByHandStartsWhatSomebodyStopped() {
        var world = Self.world(ends: ["dump": (.seconds(1), .exited(code: 0))])
        Self.up(&world, Self.asked("db"), Self.job(["db": Dependency(condition: .healthy)]))
        world.take(.stop(Make.id("db"), actor: "t"))
        world.run(until: Self.start + .seconds(10))
        #expect(world.take(.run(Make.id("dump"), actor: "t")) == .queued)
        #expect(Self.state(world, "dump") == "waiting: db is not healthy yet")
        world.run(until: Self.start + .seconds(20))
        #expect(Self.seconds(world, "dump") == [10] && Self.seconds(world, "db") == [0, 10])
    }

    @Test func whatWaitsWaitsOverARestart() {
        var world = Self.world(ends: ["dump": (.seconds(1), .exited(code: 0))])
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(&world, Self.asked("db"), Self.job(["db": Dependency(condition: .healthy)]))
        world.run(until: Self.start + .seconds(3610))
        world.restart(after: .seconds(5))
        world.answers = { _, _ in (.zero, .exited(0)) }
        world.run(until: Self.start + .seconds(3700))
        #expect(SchedulerTests.rows(world, "dump") == ["2026-01-01T01:00 ran 1"])
        #expect(world.broken(accounted: []).isEmpty)
    }

    // MARK: Each of these was once decided wrongly

    @Test func whoWaitsForItsPlaceHasTimeAgain() {
        let policy = { (on: [WorkloadName: Dependency], text: String) in
            JobPolicy(schedule: Make.schedule(text), overlap: .queue, pool: Self.name("p"), dependsOn: on)
        }
        var world = Self.world(ends: ["dump": (.seconds(1), .exited(code: 0)), "other": (.seconds(900), .exited(code: 0))])
        let start = Self.start
        world.script = { request, _ in
            request.workload.name.description == "dump"
                ? (.seconds(1), .exited(code: 0))
                : request.workload.name.description == "other" ? (.seconds(900), .exited(code: 0)) : (.seconds(1_000_000), .exited(code: 0))
        }
        let recipe = Recipe(
            project: Make.id("x").project,
            workloads: [
                Self.asked("db", .no), Make.job("dump", policy([Self.name("db"): Dependency(condition: .healthy)], "0 1 * * *")),
                Make.job("other", policy([:], "0 1 * * *")),
            ].sorted { $0.id < $1.id }, volumes: [], pools: [Self.name("p"): 1], digest: "d")
        world.launchTakes = .seconds(3)
        world.take(.apply(recipe, explicit: true, actor: "t"))
        world.run(until: start + .seconds(10))
        // It ends by itself before the job is due.
        world.finish(world.scheduler.status(of: Make.id("db"))!.runs[0], .exited(code: 0))
        world.run(until: start + .seconds(6000))
        // It was waited for, was up in seconds, and then the place was taken for a quarter of an hour.
        #expect(SchedulerTests.rows(world, "dump") == ["2026-01-01T01:00 ran 1"] && Self.seconds(world, "dump").first ?? 0 > 4400)
        #expect(world.broken(accounted: []).isEmpty)
    }

    @Test(arguments: [-20, 20, -4000, 4000]) func aStepOfTheClockKeepsTheStartPeriod(step: Int64) {
        var world = Self.world()
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(&world, Self.asked("db", .always, period: 600))
        world.run(until: world.now + .seconds(5))
        let base = world.now
        world.setClock(by: .seconds(step))
        world.run(until: base + .seconds(step) + .seconds(500))
        #expect(Self.state(world, "db") == "running starting")
        world.run(until: base + .seconds(step) + .seconds(660))
        #expect(Self.state(world, "db") == "running unhealthy")
    }

    @Test(arguments: [-7200, 7200]) func aStepOfTheClockIsNoTimeThatWasWaited(step: Int64) {
        var world = Self.world(ends: ["dump": (.seconds(1), .exited(code: 0))])
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(&world, Self.asked("db"), Self.job(["db": Dependency(condition: .healthy)]))
        world.run(until: world.now + .seconds(10))
        #expect(world.take(.run(Make.id("dump"), actor: "t")) == .queued)
        world.run(until: world.now + .seconds(10))
        world.setClock(by: .seconds(step))
        world.run(until: world.now + .seconds(200))
        #expect(world.scheduler.status(of: Make.id("dump"))?.waitsFor != nil)
        world.run(until: world.now + .seconds(200))
        #expect(world.scheduler.status(of: Make.id("dump"))?.waitsFor == nil && Self.seconds(world, "dump").isEmpty)
    }

    @Test func whoIsStartedWhileItEndsForBeingIllIsStarted() {
        var world = Self.world()
        world.stopTakes = .seconds(10)
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(&world, Self.asked("db", .always, .stop))
        world.run(until: Self.start + .seconds(35))
        #expect(Self.state(world, "db") == "stopping unhealthy")
        world.take(.start(Make.id("db"), actor: "t"))
        world.run(until: Self.start + .seconds(45))
        #expect(Self.seconds(world, "db").count == 2)
    }

    @Test func aChangedPolicyActsOnWhoIsIllAlready() {
        var world = Self.world()
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(&world, Self.asked("db", .always, .nothing))
        world.run(until: Self.start + .seconds(35))
        #expect(Self.state(world, "db") == "running unhealthy")
        Self.up(&world, Self.asked("db", .always, .stop))
        world.run(until: Self.start + .seconds(40))
        #expect(Self.state(world, "db") == "failed")
    }

    @Test func whoEndsWithTheDaemonIsNotTakenForIll() {
        var world = Self.world()
        world.answers = { _, _ in (.zero, .exited(1)) }
        Self.up(&world, Self.asked("db", .always, .nothing))
        world.run(until: Self.start + .seconds(35))
        world.take(.stopAll)
        world.run(until: Self.start + .seconds(40))
        world.restart(after: .seconds(5), newBoot: true)
        world.run(until: world.now + .seconds(5))
        #expect(Self.seconds(world, "db").count == 2)
    }

    /// The host goes down while one is being replaced: it is looked at before what it depends on is known to be gone.
    @Test func aBootInTheMiddleOfARestartKeepsTheOrder() {
        var world = Self.world()
        world.stopTakes = .seconds(30)
        Self.up(&world, Self.asked("zdb"), Self.service("app", on: ["zdb": Dependency(condition: .started, restart: true)]))
        world.run(until: Self.start + .seconds(10))
        world.take(.restart(Make.id("app"), actor: "t"))
        world.run(until: Self.start + .seconds(20))
        world.restart(after: .seconds(10), newBoot: true)
        #expect(Self.state(world, "app") == "waiting: zdb is not up yet" || Self.state(world, "app") == "running")
        world.run(until: world.now + .seconds(10))
        let (app, db) = (Self.seconds(world, "app"), Self.seconds(world, "zdb"))
        #expect(app.count == 2 && db.count == 2 && world.starts.last?.workload == Make.id("app"), "\(world.starts.map(\.workload))")
        #expect(world.violations.isEmpty)
    }
}
