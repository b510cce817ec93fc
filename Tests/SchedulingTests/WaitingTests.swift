import EngineAPI
import Ledger
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

/// Starts that wait, and what must not happen to them. Each of these was once decided wrongly.
@Suite struct WaitingTests {
    static let start = ChainTests.start

    static func name(_ text: String) -> WorkloadName { ChainTests.name(text) }

    @Test(arguments: MissedPolicy.Kind.allCases) func aStartThatWaitsForAnotherJobWaitsOnOverARestart(kind: MissedPolicy.Kind) {
        let recipe = Make.recipe(
            Make.job("dump", JobPolicy(schedule: Make.schedule("59 1 * * *"))),
            Make.job("report", JobPolicy(schedule: Make.schedule("0 2 * * *"), missed: MissedPolicy(kind: kind), after: [Self.name("dump"): .success])))
        var world = ChainTests.world(recipe, ["dump": (.seconds(600), .exited(code: 0))])
        world.run(until: Self.start + .seconds(7210))
        world.restart(after: .seconds(180))
        world.run(until: Self.start + .seconds(10_000))
        #expect(ChainTests.starts(world, "report") == ["schedule 7740 s for 2026-01-01T02:00"])
        #expect(SchedulerTests.rows(world, "report") == ["2026-01-01T02:00 ran 1"])
    }

    @Test func catchUpsKeepTheOrderOfAChain() {
        let report = JobPolicy(schedule: Make.schedule("0 2 * * *"), after: [Self.name("dump"): .success])
        let recipe = Make.recipe(Make.job("dump", JobPolicy(schedule: Make.schedule("0 1 * * *"))), Make.job("areport", report))
        for code: Int32 in [0, 1] {
            var world = ChainTests.world(recipe, ["dump": (.seconds(600), .exited(code: code))])
            world.restart(after: .seconds(3 * 3600), newBoot: true)
            world.run(until: world.now + .seconds(3600))
            #expect(ChainTests.starts(world, "dump") == ["catch-up 10800 s for 2026-01-01T01:00"])
            #expect(ChainTests.starts(world, "areport") == (code == 0 ? ["catch-up 11400 s for 2026-01-01T02:00"] : []))
            #expect(ChainTests.dropped(world).count == (code == 0 ? 0 : 1))
        }
    }

    @Test func whoWaitsLongestGetsThePlace() {
        let pool = Self.name("p")
        let recipe = Make.recipe(
            Make.job("x", JobPolicy(schedule: Make.schedule("every 2s"), overlap: .queue, pool: pool)),
            Make.job("y", JobPolicy(schedule: Make.schedule("every 10s"), overlap: .queue, pool: pool)), pools: ["p": 1])
        var world = ChainTests.world(recipe, ["x": (.seconds(4), .exited(code: 0)), "y": (.seconds(1), .exited(code: 0))])
        world.run(until: Self.start + .seconds(60))
        #expect(ChainTests.starts(world, "y").count >= 5, "\(ChainTests.starts(world, "y"))")
        #expect(world.broken(accounted: []).isEmpty)
    }

    @Test func aJobThatGoesLeavesItsPlaceToTheNext() {
        let policy = JobPolicy(overlap: .queue, pool: Self.name("p"))
        var world = ChainTests.world(Make.recipe(Make.job("x", policy), Make.job("y", policy), pools: ["p": 1]), ["x": (.seconds(5000), .exited(code: 0))])
        world.take(.run(Make.id("x"), actor: "t"))
        #expect(world.take(.run(Make.id("y"), actor: "t")) == .queued)
        world.run(until: Self.start + .seconds(10))
        world.take(.apply(Make.recipe(Make.job("y", policy), pools: ["p": 1]), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(20))
        #expect(ChainTests.starts(world, "y") == ["manual 10 s"])
        // A job that leaves the pool, and one that is larger now, do so as well.
        var other = ChainTests.world(Make.recipe(Make.job("a", policy), Make.job("z", policy), pools: ["p": 1]), ["z": (.seconds(5000), .exited(code: 0))])
        other.take(.run(Make.id("z"), actor: "t"))
        other.take(.run(Make.id("a"), actor: "t"))
        other.take(.apply(Make.recipe(Make.job("a", policy), Make.job("z", policy), pools: ["p": 2]), explicit: true, actor: "t"))
        #expect(ChainTests.starts(other, "a") == ["manual 0 s"])
    }

    @Test func theOrderOfNamesDecidesNothing() {
        let after = JobPolicy(schedule: Make.schedule("0 2 * * *"), after: [Self.name("dump"): .success])
        let recipe = Make.recipe(Make.job("check", after), Make.job("dump", JobPolicy(schedule: Make.schedule("0 2 * * *"))), Make.job("verify", after))
        var world = ChainTests.world(recipe, ["dump": (.seconds(60), .exited(code: 0))])
        world.run(until: Self.start + .seconds(10_000))
        #expect(ChainTests.starts(world, "check") == ["schedule 7260 s for 2026-01-01T02:00"])
        #expect(ChainTests.starts(world, "verify") == ["schedule 7260 s for 2026-01-01T02:00"])
    }

    /// The one before is never idle: its end counts, not its rest. And a deadline ends the waiting.
    @Test func nobodyWaitsForAJobToBeIdle() {
        let dump = Make.job("dump", JobPolicy(schedule: Make.schedule("every 2s"), overlap: .queue))
        let report = JobPolicy(schedule: Make.schedule("* * * * *"), after: [Self.name("dump"): .success])
        var world = ChainTests.world(Make.recipe(dump, Make.job("report", report)), ["dump": (.seconds(3), .exited(code: 0))])
        world.run(until: Self.start + .seconds(250))
        #expect(ChainTests.starts(world, "report").count == 4)
        #expect(SchedulerTests.rows(world, "report").allSatisfy { $0.contains("ran") })
        let late = JobPolicy(schedule: Make.schedule("0 1 * * *"), deadline: .seconds(5), after: [Self.name("dump"): .success])
        var slow = ChainTests.world(
            Make.recipe(Make.job("dump", JobPolicy(schedule: Make.schedule("59 0 * * *"))), Make.job("report", late)),
            ["dump": (.seconds(5000), .exited(code: 0))])
        slow.run(until: Self.start + .seconds(3607))
        #expect(SchedulerTests.rows(slow, "report") == ["2026-01-01T01:00 skipped deadline 1"])
    }

    @Test func aRetryThatIsDroppedWasTheEnd() {
        let recipe = Make.recipe(
            Make.job("dump", JobPolicy(schedule: Make.schedule("0 1 * * *"), retries: RetryPolicy(limit: 3, backoff: .seconds(600)))),
            Make.job("alarm", JobPolicy(after: [Self.name("dump"): .failure])))
        for event in [Event.pause(Make.id("dump"), actor: "t"), .stop(Make.id("dump"), actor: "t")] {
            var world = ChainTests.world(recipe, ["dump": (.seconds(1), .exited(code: 1))])
            world.run(until: Self.start + .seconds(3700))
            #expect(ChainTests.starts(world, "alarm").isEmpty)
            world.take(event)
            world.run(until: Self.start + .seconds(5000))
            #expect(ChainTests.starts(world, "alarm").count == 1, "\(event)")
        }
    }

    @Test func aLinkThatIsDueWhenTheDaemonLeavesIsStartedByTheNext() {
        let recipe = Make.recipe(Make.job("long", JobPolicy()), Make.job("clean", JobPolicy(after: [Self.name("long"): .always])))
        var world = ChainTests.world(recipe, ["long": (.seconds(5000), .exited(code: 0))])
        world.take(.run(Make.id("long"), actor: "t"))
        world.run(until: Self.start + .seconds(10))
        world.take(.stopAll)
        world.run(until: Self.start + .seconds(20))
        #expect(ChainTests.starts(world, "clean").isEmpty && world.jobs[Make.id("clean")]?.pending.count == 1)
        world.restart(after: .seconds(5))
        world.run(until: Self.start + .seconds(60))
        #expect(ChainTests.starts(world, "clean") == ["after 25 s"])
    }

    @Test func oneMissingZoneOfTwoHoldsTheWholeJob() {
        func schedule(_ zone: Zone) -> Schedule {
            Schedule(
                [zone, .utc].enumerated().map {
                    ScheduleEntry(text: "\($0) * * * *", rule: try! ScheduleRule("\($0 * 30) * * * *", seed: "x"), zone: $1, seed: "x")
                })
        }
        let lisbon = Make.zone("Europe/Lisbon")
        func recipe(_ zone: Zone) -> Recipe { Make.recipe(Make.job("x", JobPolicy(schedule: schedule(zone)))) }
        var world = ChainTests.world(recipe(lisbon), [:])
        world.run(until: Self.start + .seconds(3700))
        world.take(.zonesChanged(recipe(.unavailable(name: "Europe/Lisbon"))))
        world.run(until: Self.start + .seconds(3 * 3600))
        world.take(.zonesChanged(recipe(lisbon)))
        world.run(until: Self.start + .seconds(4 * 3600))
        #expect(world.broken(accounted: [(Make.id("x"), Self.start, schedule(lisbon))]).isEmpty)
        #expect(SchedulerTests.rows(world, "x").contains("2026-01-01T03:00 missed zone missing 4"))
    }

    @Test func rebootRunsUnderADeadClockToo() {
        let recipe = Make.recipe(Make.job("x", JobPolicy(schedule: Make.schedule("@reboot"), missed: MissedPolicy(kind: .skip))))
        var world = ChainTests.world(recipe, [:])
        world.run(until: Self.start + .seconds(100))
        world.now = Make.time("2020-01-01T00:00:00Z")
        world.latest = world.now
        world.restart(after: .zero, newBoot: true)
        world.run(until: world.now + .seconds(10))
        #expect(world.starts.count == 1 && world.starts.last?.trigger == .schedule)
    }

    @Test func aPastDueTimeIsTriedAgainAfterARestart() {
        let recipe = Make.recipe(Make.job("x", JobPolicy(schedule: Make.schedule("0 0 * * *"), retries: RetryPolicy(limit: 1, backoff: .seconds(1)))))
        var world = ChainTests.world(recipe, ["x": (.seconds(60), .exited(code: 1))])
        world.run(until: Self.start + .seconds(86400 + 3600))
        world.take(.run(Make.id("x"), RunChanges(dueAt: Make.time("2026-01-02T00:00:00Z")), actor: "t"))
        world.restart(after: .seconds(5))
        world.run(until: world.now + .seconds(200))
        #expect(world.starts.suffix(2).map(\.trigger) == [.manual, .retry])
    }

    /// Two jobs of a pool, each with an older start that is not ready: neither may give way to the other for ever.
    @Test func givingWayComesToAnEnd() {
        let pool = Self.name("p")
        let policy = { (text: String) in
            JobPolicy(
                schedule: Make.schedule(text), overlap: .queue, retries: RetryPolicy(limit: 3, backoff: .seconds(40), factor: 1), pool: pool,
                after: [Self.name("gate"): .always])
        }
        let recipe = Make.recipe(
            Make.job("a", policy("* * * * *")), Make.job("b", policy("* * * * *")),
            Make.job("c", JobPolicy(schedule: Make.schedule("*/2 * * * *"), overlap: .queue, pool: pool)),
            Make.job("gate", JobPolicy(schedule: Make.schedule("*/3 * * * *"), overlap: .queue)), pools: ["p": 1])
        for seed in 0..<20 as Range<UInt64> {
            var world = World(at: Self.start, seed: seed)
            world.script = { _, dice in (.seconds(Int64.random(in: 1...90, using: &dice)), .exited(code: Int32.random(in: 0...1, using: &dice))) }
            world.take(.apply(recipe, explicit: true, actor: "t"))
            world.run(until: Self.start + .seconds(3600))
            #expect(world.broken(accounted: []).isEmpty)
        }
    }

    /// The attempts that failed were the last when the next due time comes first: who comes after them hears of it.
    @Test func aRetryThatGivesWayIsAnEnd() {
        let dump = JobPolicy(schedule: Make.schedule("*/5 * * * *"), retries: RetryPolicy(limit: 3, backoff: .seconds(600)))
        var world = ChainTests.world(
            Make.recipe(Make.job("dump", dump), Make.job("alarm", JobPolicy(after: [Self.name("dump"): .failure]))), ["dump": (.seconds(5), .exited(code: 1))])
        world.run(until: Self.start + .seconds(3599))
        #expect(ChainTests.starts(world, "dump").count == 11)
        // All but the last, whose retry waits still.
        #expect(ChainTests.starts(world, "alarm").count == 10, "\(ChainTests.starts(world, "alarm"))")
        #expect(world.broken(accounted: []).isEmpty)
    }

    /// A due time is rerun once, however its attempts are lost, and its retries go on.
    @Test func aDueTimeIsRerunOnce() {
        let policy = JobPolicy(schedule: Make.schedule("0 1 * * *"), retries: RetryPolicy(limit: 4, backoff: .seconds(10)), onLost: .rerun)
        var world = ChainTests.world(Make.recipe(Make.job("j", policy)), [:])
        // Attempts that are lost last long; the others fail.
        world.script = { request, _ in request.trigger == .rerun ? (.seconds(2), .exited(code: 1)) : (.seconds(1000), .exited(code: 1)) }
        world.run(until: Self.start + .seconds(3610))
        for _ in 0..<5 {
            world.restart(after: .seconds(30), newBoot: true)
            world.run(until: world.now + .seconds(100))
        }
        world.run(until: Self.start + .seconds(20_000))
        #expect(world.starts.map(\.trigger) == [.schedule, .rerun, .retry, .retry, .retry, .retry])
        #expect(world.broken(accounted: []).isEmpty, "\(world.broken(accounted: []))")
    }

    /// A job that waits for a place in a pool and is removed is in nobody's way.
    @Test func whoIsRemovedWaitsForNoPlace() {
        let pool = JobPolicy(overlap: .queue, pool: Make.id("p").name)
        func recipe(_ names: [String]) -> Recipe {
            Recipe(
                project: Make.id("x").project, workloads: names.map { Make.job($0, pool) }, volumes: [], pools: [Make.id("p").name: 1], digest: names.joined())
        }
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(100), .exited(code: 0)) }
        world.take(.apply(recipe(["a", "b", "c"]), explicit: true, actor: "t"))
        #expect(world.take(.run(Make.id("a"), actor: "t")) != .queued)
        world.run(until: Self.start + .seconds(10))
        #expect(world.take(.run(Make.id("c"), actor: "t")) == .queued)
        world.run(until: Self.start + .seconds(20))
        #expect(world.take(.run(Make.id("b"), actor: "t")) == .queued)
        world.take(.apply(recipe(["a", "b"]), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(1000))
        #expect(world.starts.map(\.workload.name.description) == ["a", "b"] && world.violations.isEmpty, "\(world.violations)")
        // It is one that waits again when it is back.
        world.take(.apply(recipe(["a", "b", "c"]), explicit: true, actor: "t"))
        #expect(world.take(.run(Make.id("c"), actor: "t")) != .queued)
    }

    /// While a write takes long, what is asked for by hand waits, what comes due is missed for that reason, and links of a chain keep to
    /// their overlap policy.
    @Test func nothingStartsWhileTheHistoryFails() {
        let recipe = Make.recipe(
            Make.job("due", JobPolicy(schedule: Make.schedule("*/10 * * * *"))), Make.job("first", JobPolicy()),
            Make.job("next", JobPolicy(overlap: .skip, after: [Make.id("first").name: .always])))
        var scheduler = Scheduler(bootID: "b", seed: 1)
        func at(_ seconds: Int64) -> Moment { Moment(wall: Self.start + .seconds(seconds), steady: .seconds(seconds)) }
        _ = scheduler.apply(.apply(recipe, explicit: true, actor: "t"), at: at(0))
        var runs: [RunID] = []
        for second in [1, 2] as [Int64] {
            guard case .run(let run) = scheduler.apply(.run(Make.id(second == 1 ? "first" : "next"), actor: "t"), at: at(second)).reply else {
                Issue.record("it does not run")
                return
            }
            runs.append(run)
            _ = scheduler.apply(.launched(run, at: at(second).wall, image: nil), at: at(second))
        }
        let failing = scheduler.apply(.historyFails, at: at(600))
        #expect(failing.effects.isEmpty && scheduler.isHeld)
        // The job runs already: no link of it waits for later.
        _ = scheduler.apply(.exited(runs[0], ExitStatus(ending: .exited(code: 0), finishedAt: at(610).wall)), at: at(610))
        #expect(scheduler.apply(.run(Make.id("first"), actor: "t"), at: at(620)).reply == .queued)
        #expect(scheduler.plan(recipe, at: at(630)).changesNothing)
        let back = scheduler.apply(.historyWorks, at: at(1810))
        let launched = back.effects.compactMap { if case .launch(let request) = $0 { "\(request.workload.name) \(request.trigger)" } else { nil } }
        #expect(launched.sorted() == ["due schedule", "first manual"])
        let rows = back.writes.compactMap { if case .due(let due) = $0 { "\(due.result) \(due.reason?.rawValue ?? "-") \(due.count)" } else { nil } }
        #expect(rows.sorted() == ["missed history not writable 2", "ran - 1"], "\(rows)")
        _ = scheduler.apply(.exited(runs[1], ExitStatus(ending: .exited(code: 0), finishedAt: at(1820).wall)), at: at(1820))
        #expect(scheduler.activeRuns(of: Make.id("next")).isEmpty)
    }

    /// A deadline is for due times: what people ask for, and attempts that follow others, have none, also over a restart.
    @Test(arguments: [Trigger.manual, .retry, .rerun, .schedule, .after]) func aDeadlineIsForDueTimes(trigger: Trigger) {
        let policy = JobPolicy(schedule: Make.schedule("0 1 * * *"), deadline: .seconds(60))
        let recipe = Make.recipe(Make.job("j", policy))
        let due = Self.start + .seconds(3600)
        let now = due + .seconds(600)
        let id = RunID(now: due, random: 1)
        var open = Run(id: id, instance: Make.instance("j"), kind: .job, trigger: trigger, decidedAt: due)
        open.dueAt = trigger == .manual ? nil : due
        open.bootID = "b"
        open.fingerprint = recipe.workloads[0].container.fingerprint
        let stored = StoredState(
            recipes: [recipe], jobs: [JobRecord(id: Make.id("j"), cursor: due, bootID: "b")], openRuns: [open], bootID: "b")
        var scheduler = Scheduler(bootID: "b", seed: 1)
        let decision = scheduler.restore(stored, observed: [:], at: Moment(wall: now, steady: .zero))
        let launched = decision.effects.contains { if case .launch(let request) = $0 { request.id == id } else { false } }
        #expect(launched == [.manual, .retry, .rerun].contains(trigger), "\(decision.effects)")
    }

    /// A service of an earlier release, whose fingerprint is of another form, is adopted as it is; one that is known to be of another
    /// container is replaced.
    @Test(arguments: ["f6a5132b8e34c066", "3:f6a5132b8e34c066", nil]) func aFingerprintOfAnotherFormSaysNothing(fingerprint: String?) {
        let recipe = Make.recipe(Make.service("web", .always))
        let id = RunID(now: Self.start, random: 1)
        var open = Run(id: id, instance: Make.instance("web"), kind: .service, trigger: .start, decidedAt: Self.start)
        open.bootID = "b"
        open.startedAt = Self.start
        open.fingerprint = fingerprint ?? recipe.workloads[0].container.fingerprint
        #expect(recipe.workloads[0].container.fingerprint.hasPrefix("3:"))
        var record = ServiceRecord(id: Make.instance("web"), wanted: true, phase: .running, since: Self.start)
        record.runID = id
        let stored = StoredState(recipes: [recipe], services: [record], openRuns: [open], bootID: "b")
        var scheduler = Scheduler(bootID: "b", seed: 1)
        let decision = scheduler.restore(stored, observed: [id: .alive(startedAt: Self.start)], at: Moment(wall: Self.start + .seconds(60), steady: .zero))
        #expect(decision.effects == (fingerprint?.hasPrefix("3:") == true ? [.stop(id)] : []), "\(decision.effects)")
    }

    /// A day that one schedule of a list excludes is not excluded for the other, and takes no catch-up away.
    @Test func anExcludedDayTakesNoCatchUpAway() {
        let day = CivilDate(year: 2026, month: 1, day: 2)!
        func world(_ schedules: [Schedule]) -> World {
            var world = ChainTests.world(Make.recipe(Make.job("j", JobPolicy(schedule: Schedule(schedules.flatMap(\.entries))))), [:])
            world.run(until: Self.start + .seconds(13 * 3600))
            // Down from 13:00 to 03:00.
            world.restart(after: .seconds(14 * 3600), newBoot: true)
            world.run(until: world.now + .seconds(60))
            return world
        }
        let excluded = Make.schedule("0 2 * * *", except: [day...day])
        // The last due time of the day before; the next that counts is a day later.
        #expect(ChainTests.starts(world([excluded, Make.schedule("0 14 * * *")]), "j").last == "catch-up 97200 s for 2026-01-01T14:00")
        // The same second, excluded in one of them.
        for both in [[excluded, Make.schedule("0 2 * * *")], [Make.schedule("0 2 * * *"), excluded]] {
            #expect(ChainTests.starts(world(both), "j").last == "catch-up 97200 s for 2026-01-02T02:00")
        }
    }
}
