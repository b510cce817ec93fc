import Ledger
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

/// Jobs that come after others, and jobs that share a pool.
@Suite struct ChainTests {
    static let start = Make.time("2026-01-01T00:00:00Z")
    static func name(_ text: String) -> WorkloadName { Make.id(text).name }

    static func world(_ recipe: Recipe, _ ends: [String: (Duration, WorkloadModel.ExitStatus.Ending)]) -> World {
        var world = World(at: start)
        world.script = { request, _ in ends[request.workload.name.description] ?? (.seconds(1), .exited(code: 0)) }
        world.take(.apply(recipe, explicit: true, actor: "t"))
        return world
    }

    static func starts(_ world: World, _ name: String) -> [String] {
        world.starts.filter { $0.workload == Make.id(name) }.map { start in
            "\(start.trigger.rawValue) \((start.at - Self.start).wholeMilliseconds / 1000) s\(start.dueAt.map { " for \($0.description.prefix(16))" } ?? "")"
        }
    }

    static func dropped(_ world: World) -> [String] { world.events.filter { $0.kind == "dropped" }.map { "\($0.workload?.description ?? "-"): \($0.text)" } }

    struct Case: Sendable {
        let outcome: WorkloadModel.ExitStatus.Ending
        let condition: AfterCondition
        let runs: Bool
    }

    @Test(arguments: [
        Case(outcome: .exited(code: 0), condition: .success, runs: true), Case(outcome: .exited(code: 0), condition: .failure, runs: false),
        Case(outcome: .exited(code: 0), condition: .always, runs: true), Case(outcome: .exited(code: 3), condition: .success, runs: false),
        Case(outcome: .exited(code: 3), condition: .failure, runs: true), Case(outcome: .exited(code: 3), condition: .always, runs: true),
        Case(outcome: .signaled(number: 9), condition: .failure, runs: true), Case(outcome: .startError("no"), condition: .failure, runs: true),
        Case(outcome: .lost("gone"), condition: .success, runs: false), Case(outcome: .lost("gone"), condition: .failure, runs: true),
        Case(outcome: .lost("gone"), condition: .always, runs: true),
    ]) func aJobStartsWhenTheOneBeforeItEndedSo(item: Case) {
        let recipe = Make.recipe(
            Make.job("dump", JobPolicy(schedule: Make.schedule("0 1 * * *"))), Make.job("send", JobPolicy(after: [Self.name("dump"): item.condition])))
        var world = Self.world(recipe, ["dump": (.seconds(30), item.outcome)])
        world.run(until: Self.start + .seconds(7200))
        // It passes on which due time it is all about.
        let begun = if case .startError = item.outcome { "3600" } else { "3630" }
        #expect(Self.starts(world, "send") == (item.runs ? ["after \(begun) s for 2026-01-01T01:00"] : []))
        #expect(world.broken(accounted: []).isEmpty)
        let send = world.runs.values.first { $0.open.workload == Make.id("send") }
        #expect(send?.open.arrivals.first?.job == (item.runs ? Self.name("dump") : nil))
    }

    /// A run ends while its recipe cannot be read: what follows is decided once it can, and after another crash just the same.
    @Test(arguments: [false, true]) func anEndWithoutARecipeIsHeardOfLater(crashes: Bool) {
        let recipe = Make.recipe(
            Make.job("dump", JobPolicy(schedule: Make.schedule("0 1 * * *"), retries: RetryPolicy(limit: 1, backoff: .seconds(60)))),
            Make.job("good", JobPolicy(schedule: Make.schedule("0 1 * * *"))),
            Make.job("send", JobPolicy(after: [Self.name("good"): .success])), Make.job("alarm", JobPolicy(after: [Self.name("dump"): .failure])))
        var world = Self.world(recipe, ["dump": (.seconds(600), .exited(code: 1)), "good": (.seconds(600), .exited(code: 0))])
        world.run(until: Self.start + .seconds(3700))
        world.restart(after: .seconds(1), unreadable: true)
        world.run(until: Self.start + .seconds(5000))
        #expect(Self.starts(world, "dump").count == 1 && Self.starts(world, "send").isEmpty)
        #expect(world.runs.values.allSatisfy { $0.outcome != nil }, "the ends themselves are history at once")
        if crashes { world.restart(after: .seconds(1), newBoot: true, unreadable: true) }
        world.take(.apply(recipe, explicit: false, actor: "t"))
        world.run(until: Self.start + .seconds(7000))
        let applied = crashes ? 5001 : 5000
        #expect(Self.starts(world, "dump") == ["schedule 3600 s for 2026-01-01T01:00", "retry \(applied + 60) s for 2026-01-01T01:00"])
        #expect(Self.starts(world, "send") == ["after \(applied) s for 2026-01-01T01:00"])
        #expect(Self.starts(world, "alarm") == ["after \(applied + 660) s for 2026-01-01T01:00"])
        #expect(world.broken(accounted: []).isEmpty, "\(world.broken(accounted: []))")
        #expect(world.jobs.values.allSatisfy { $0.unheard.isEmpty })
        let retry = world.runs.values.first { $0.open.trigger == .retry }
        #expect(retry?.open.retryOf == world.runs.values.first { $0.open.workload == Make.id("dump") && $0.open.trigger == .schedule }?.open.id)
    }

    /// What rests, and is of no kind that the next recipe has: it ends, and leaves no record behind.
    @Test func anotherRecipeEndsWhatRested() {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(100_000), .exited(code: 0)) }
        let kept = Make.job("kept", JobPolicy(schedule: Make.schedule("0 * * * *")))
        world.take(
            .apply(
                Make.recipe(
                    kept, Make.service("web", .always), Make.service("turns", .always), Make.job("gone", JobPolicy(schedule: Make.schedule("0 1 * * *"))),
                    Make.job("idle", JobPolicy(schedule: Make.schedule("0 9 * * *")))), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(3700))
        world.restart(after: .seconds(1), unreadable: true)
        world.take(.apply(Make.recipe(kept, Make.job("turns", JobPolicy(schedule: Make.schedule("0 5 * * *")))), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(3800))
        #expect(Set(world.services.keys).isEmpty && Set(world.jobs.keys) == [Make.id("kept"), Make.id("turns")], "\(world.services.keys) \(world.jobs.keys)")
        let open = world.runs.values.filter { $0.outcome == nil }.map(\.open.workload)
        #expect(open == [Make.id("kept")])
        #expect(world.lostByRestart().isEmpty, "\(world.lostByRestart())")
    }

    @Test func onlyTheLastAttemptCounts() {
        let recipe = Make.recipe(
            Make.job("dump", JobPolicy(schedule: Make.schedule("0 1 * * *"), retries: RetryPolicy(limit: 2, backoff: .seconds(60), factor: 1))),
            Make.job("alarm", JobPolicy(after: [Self.name("dump"): .failure])), Make.job("send", JobPolicy(after: [Self.name("dump"): .success])))
        var world = Self.world(recipe, ["dump": (.seconds(1), .exited(code: 1))])
        world.run(until: Self.start + .seconds(7200))
        #expect(Self.starts(world, "dump").count == 3)
        #expect(Self.starts(world, "alarm") == ["after 3723 s for 2026-01-01T01:00"])
        #expect(Self.starts(world, "send").isEmpty)
    }

    @Test func aJobAfterSeveralWaitsForAllOfThemAndOverACrash() {
        let recipe = Make.recipe(
            Make.job("a", JobPolicy(schedule: Make.schedule("0 1 * * *"))), Make.job("b", JobPolicy(schedule: Make.schedule("30 1 * * *"))),
            Make.job("both", JobPolicy(after: [Self.name("a"): .success, Self.name("b"): .always])),
            Make.job("third", JobPolicy(after: [Self.name("both"): .success])))
        for crash in [false, true] {
            var world = Self.world(recipe, [:])
            world.run(until: Self.start + .seconds(4000))
            #expect(world.jobs[Make.id("both")]?.arrivals.map(\.job) == [Self.name("a")])
            if crash { world.restart(after: .seconds(10)) }
            world.run(until: Self.start + .seconds(2 * 86400))
            #expect(Self.starts(world, "both").map { String($0.prefix(12)) } == ["after 5401 s", "after 91801 "])
            #expect(Self.starts(world, "third").count == 2)
            #expect(world.broken(accounted: []).isEmpty)
        }
    }

    @Test func aScheduleWithAfterWaitsForWhatIsGoingAndIsSkippedWhenItFailed() {
        let report = JobPolicy(schedule: Make.schedule("0 2 * * *"), after: [Self.name("dump"): .success])
        let dump = { (text: String, retries: Int) in
            Make.job("dump", JobPolicy(schedule: Make.schedule(text), retries: RetryPolicy(limit: retries, backoff: .seconds(600))))
        }
        // Ended well before, ended badly, still going, going to be tried again.
        var well = Self.world(Make.recipe(dump("0 1 * * *", 0), Make.job("report", report)), [:])
        well.run(until: Self.start + .seconds(10_000))
        #expect(Self.starts(well, "report") == ["schedule 7200 s for 2026-01-01T02:00"])
        var badly = Self.world(Make.recipe(dump("0 1 * * *", 0), Make.job("report", report)), ["dump": (.seconds(1), .exited(code: 1))])
        badly.run(until: Self.start + .seconds(10_000))
        #expect(Self.starts(badly, "report").isEmpty && SchedulerTests.rows(badly, "report") == ["2026-01-01T02:00 skipped after 1"])
        #expect(badly.due[Make.id("report")]?.values.first?.note == "dump ended as failed")
        var going = Self.world(Make.recipe(dump("59 1 * * *", 0), Make.job("report", report)), ["dump": (.seconds(600), .exited(code: 0))])
        going.run(until: Self.start + .seconds(10_000))
        #expect(Self.starts(going, "report") == ["schedule 7740 s for 2026-01-01T02:00"])
        #expect(SchedulerTests.rows(going, "report") == ["2026-01-01T02:00 ran 1"])
        var again = Self.world(Make.recipe(dump("59 1 * * *", 1), Make.job("report", report)), [:])
        again.script = { request, _ in (.seconds(90), .exited(code: request.workload == Make.id("dump") && request.attempt == 1 ? 1 : 0)) }
        again.run(until: Self.start + .seconds(10_000))
        #expect(Self.starts(again, "report") == ["schedule 7920 s for 2026-01-01T02:00"])
        // A person who ends what it waits for lets it come to its turn as well.
        var stopped = Self.world(Make.recipe(dump("59 1 * * *", 1), Make.job("report", report)), ["dump": (.seconds(1), .exited(code: 1))])
        stopped.run(until: Self.start + .seconds(7300))
        #expect(stopped.jobs[Make.id("report")]?.pending.count == 1)
        stopped.take(.stop(Make.id("dump"), actor: "t"))
        #expect(SchedulerTests.rows(stopped, "report") == ["2026-01-01T02:00 skipped after 1"])
    }

    @Test(arguments: OverlapPolicy.allCases) func aLinkThatFindsAnEarlierRunGoingFollowsItsPolicy(overlap: OverlapPolicy) {
        let recipe = Make.recipe(
            Make.job("tick", JobPolicy(schedule: Make.schedule("* * * * *"))),
            Make.job("slow", JobPolicy(overlap: overlap, after: [Self.name("tick"): .success])))
        var world = Self.world(recipe, ["slow": (.seconds(150), .exited(code: 0))])
        world.run(until: Self.start + .seconds(600))
        let drops = Self.dropped(world).count
        let expected: (starts: Int, drops: Int) =
            switch overlap {
            case .skip: (3, 6)
            case .queue: (4, 4)
            case .replace: (9, 0)
            case .allow: (9, 0)
            }
        #expect(Self.starts(world, "slow").count == expected.starts && drops == expected.drops, "\(Self.starts(world, "slow")) \(drops)")
        #expect(world.broken(accounted: []).isEmpty)
    }

    @Test(arguments: OverlapPolicy.allCases) func aFullPoolHoldsBackWhatDoesNotFit(overlap: OverlapPolicy) {
        let policy = JobPolicy(schedule: Make.schedule("0 1 * * *"), overlap: overlap, pool: Self.name("heavy"))
        let recipe = Make.recipe(
            Make.job("a", policy), Make.job("b", policy), Make.job("c", policy), Make.job("d", policy),
            Make.job("free", JobPolicy(schedule: Make.schedule("0 1 * * *"))),
            pools: ["heavy": 2])
        let ends = ["a", "b", "c", "d"].map { ($0, (Duration.seconds(100), WorkloadModel.ExitStatus.Ending.exited(code: 0))) }
        var world = Self.world(recipe, Dictionary(uniqueKeysWithValues: ends))
        world.run(until: Self.start + .seconds(3650))
        if overlap == .queue || overlap == .replace { world.restart(after: .seconds(5)) }
        world.run(until: Self.start + .seconds(7200))
        #expect(Self.starts(world, "free").count == 1)
        let rows = ["a", "b", "c", "d"].map { SchedulerTests.rows(world, $0).joined() }
        switch overlap {
        case .skip, .allow:
            #expect(
                rows == ["2026-01-01T01:00 ran 1", "2026-01-01T01:00 ran 1", "2026-01-01T01:00 skipped pool full 1", "2026-01-01T01:00 skipped pool full 1"])
        case .queue, .replace:
            #expect(rows.allSatisfy { $0 == "2026-01-01T01:00 ran 1" })
            #expect(
                ["a", "b", "c", "d"].map { Self.starts(world, $0).joined().prefix(13) } == ["schedule 3600", "schedule 3600", "schedule 3700", "schedule 3700"])
        }
        #expect(world.broken(accounted: []).isEmpty)
    }

    /// What is behind the bound: a clock, a failing command or another job must not start a job over and over.
    @Test func noJobIsStartedOverAndOver() {
        let recipe = Make.recipe(
            Make.job("fails", JobPolicy(schedule: Make.schedule("0 1 * * *"), retries: RetryPolicy(limit: 500, backoff: .zero))),
            Make.job("late", JobPolicy(schedule: Make.schedule("* * * * *"), missed: MissedPolicy(kind: .all))))
        var world = Self.world(recipe, ["fails": (.milliseconds(1), .exited(code: 1)), "late": (.milliseconds(1), .exited(code: 0))])
        world.run(until: Self.start + .seconds(3610))
        #expect((95...110).contains(Self.starts(world, "fails").count), "\(Self.starts(world, "fails").count)")
        world.restart(after: .seconds(3 * 3600))
        let before = world.starts.count
        world.run(until: world.now + .milliseconds(900))
        #expect(
            world.starts[before...].count { $0.workload == Make.id("late") }
                + world.starts[..<before].count { $0.daemon == world.seed && $0.workload == Make.id("late") } == 10)
        world.run(until: world.now + .seconds(30))
        #expect(world.starts.count { $0.trigger == .catchUp } == 100)
        #expect(world.broken(accounted: []).isEmpty)
    }

    @Test func aRunByHandTakesChangesAndPastDueTimes() {
        let recipe = Make.recipe(Make.job("x", JobPolicy(schedule: Make.schedule("0 1 * * *"), overlap: .queue, retries: RetryPolicy(limit: 1))))
        var world = Self.world(recipe, [:])
        world.script = { request, _ in (.seconds(30), .exited(code: request.attempt == 1 ? 1 : 0)) }
        world.run(until: Self.start + .seconds(2 * 86400))
        let changes = RunChanges(environment: ["FULL": EnvironmentValue("secret")], command: ["dump", "--all"], dueAt: Make.time("2026-01-01T01:00:00Z"))
        guard case .run(let run) = world.take(.run(Make.id("x"), changes, actor: "t")) else {
            Issue.record("it does not run")
            return
        }
        let request = world.containers[run]?.request
        #expect(request?.container.command == ["dump", "--all"] && request?.container.environment["FULL"]?.revealed == "secret")
        #expect(request?.dueAt == Make.time("2026-01-01T01:00:00Z") && request?.trigger == .manual)
        #expect(request?.changes?.summary == "env FULL; command dump --all; for 2026-01-01T01:00:00.000Z")
        // One more waits, and what is tried again keeps its changes.
        #expect(world.take(.run(Make.id("x"), RunChanges(command: ["other"]), actor: "t")) == .queued)
        world.run(until: world.now + .seconds(200))
        #expect(world.starts.suffix(4).map(\.trigger) == [.manual, .manual, .retry, .retry])
        let commands = world.runs.values.sorted { $0.open.id < $1.open.id }.suffix(4).map { $0.open.changes?.summary ?? "-" }
        #expect(commands.filter { $0.contains("other") }.count == 2 && commands.filter { $0.contains("--all") }.count == 2)
        // Not for what was never due, nor for what is to come, unless the history has it.
        for (time, words) in [
            ("2026-01-01T01:30:00Z", "nearest due times are 2026-01-01T01:00:00.000Z and 2026-01-02T01:00:00.000Z"),
            ("2027-01-01T01:00:00Z", "has not come yet"),
        ] {
            guard case .refused(let sentence) = world.take(.run(Make.id("x"), RunChanges(dueAt: Make.time(time)), actor: "t")) else {
                Issue.record("\(time) was not refused")
                continue
            }
            #expect(sentence.contains(words), "\(sentence)")
        }
        #expect(world.take(.run(Make.id("x"), RunChanges(dueAt: Make.time("2026-01-01T01:30:00Z")), recorded: true, actor: "t")) != .done)
        #expect(!"\(world.events)".contains("secret"))
        #expect(world.broken(accounted: [(Make.id("x"), Self.start, Make.schedule("0 1 * * *"))]).isEmpty)
    }

    /// Attempts that follow, in the daemon after it too, have what was changed for the first; where an earlier release kept only words of
    /// it, there are none.
    @Test(arguments: [true, false]) func whatWasChangedByHandIsNotTriedAgainWithoutTheChanges(isKept: Bool) {
        let recipe = Make.recipe(Make.job("x", JobPolicy(retries: RetryPolicy(limit: 3, backoff: .seconds(1)))))
        var world = Self.world(recipe, ["x": (.seconds(60), .exited(code: 1))])
        world.take(.run(Make.id("x"), RunChanges(command: ["only-this"]), actor: "t"))
        if !isKept {
            for id in world.runs.keys {
                world.runs[id]?.open.changes = nil
                world.runs[id]?.open.forgottenChanges = "command only-this"
            }
        }
        world.restart(after: .seconds(5))
        world.run(until: world.now + .seconds(300))
        #expect(world.starts.count == (isKept ? 4 : 1) && Self.dropped(world).count == (isKept ? 0 : 1))
        #expect(world.runs.values.allSatisfy { $0.open.changes?.command == (isKept ? ["only-this"] : nil) })
    }

    @Test func aZoneThatVanishesStopsOnlyItsJobs() {
        func recipe(_ zone: Zone) -> Recipe {
            Make.recipe(
                Make.job("lisbon", JobPolicy(schedule: Make.schedule("0 * * * *", zone: zone))),
                Make.job("utc", JobPolicy(schedule: Make.schedule("0 * * * *"))))
        }
        let lisbon = Make.zone("Europe/Lisbon")
        var world = Self.world(recipe(lisbon), [:])
        world.run(until: Self.start + .seconds(3700))
        world.recipes[Make.id("x").project] = recipe(.unavailable(name: "Europe/Lisbon"))
        world.take(.zonesChanged(recipe(.unavailable(name: "Europe/Lisbon"))))
        world.run(until: Self.start + .seconds(5 * 3600))
        #expect(Self.starts(world, "lisbon").count == 1 && Self.starts(world, "utc").count == 5)
        #expect(world.scheduler.statuses.first?.state == "no zone" && world.events.contains { $0.kind == "zone-missing" })
        // Also over a restart; and back again, every due time is accounted for.
        world.restart(after: .seconds(5))
        world.run(until: Self.start + .seconds(6 * 3600 + 60))
        world.take(.zonesChanged(recipe(lisbon)))
        world.run(until: Self.start + .seconds(8 * 3600))
        #expect(
            SchedulerTests.rows(world, "lisbon") == [
                "2026-01-01T01:00 ran 1", "2026-01-01T06:00 missed zone missing 5", "2026-01-01T07:00 ran 1", "2026-01-01T08:00 ran 1",
            ])
        #expect(world.broken(accounted: [(Make.id("lisbon"), Self.start, Make.schedule("0 * * * *", zone: lisbon))]).isEmpty)
    }

    /// A host whose clock begins at some old time at each boot, until the network sets it.
    @Test func aDeadClockAtBootMissesOnlyWhatWasNotAccountedFor() {
        let recipe = Make.recipe(Make.job("x", JobPolicy(schedule: Make.schedule("0 * * * *"))))
        var world = Self.world(recipe, [:])
        world.run(until: Self.start + .seconds(10 * 3600 + 60))
        // Off for two hours; the clock says 2020 when it is up.
        world.advance(to: world.now + .seconds(2 * 3600))
        let truth = world.now
        world.now = Make.time("2020-05-05T00:00:00Z")
        world.latest = world.now
        world.restart(after: .zero, newBoot: true)
        #expect(world.events.last { $0.kind == "clock-set" } != nil)
        world.run(until: world.now + .seconds(3700))
        #expect(world.starts.last?.dueAt == Make.time("2020-05-05T01:00:00Z"))
        world.setClock(by: truth + .seconds(3700) - world.now)
        let rows = SchedulerTests.rows(world, "x")
        // Eleven and twelve passed while it was off, thirteen under the wrong clock.
        #expect(rows.last == "2026-01-01T13:00 missed clock jump 3", "\(rows)")
        #expect(world.broken(accounted: [(Make.id("x"), Self.start, Make.schedule("0 * * * *"))]).isEmpty)
    }

    /// The clock goes far back and comes forward to just past where it was: nothing new has come due in between.
    @Test func aClockThatComesForwardToWhereItWasEndsTheDecision() {
        let schedule = Make.schedule("0 0 * * *")
        var world = Self.world(Make.recipe(Make.job("x", JobPolicy(schedule: schedule))), [:])
        world.run(until: Self.start + .seconds(4 * 86400 + 600))
        world.setClock(by: .zero - .seconds(3 * 86400))
        world.run(until: world.now + .seconds(3600))
        world.setClock(by: .seconds(3 * 86400))
        world.run(until: world.now + .seconds(86400))
        #expect(world.broken(accounted: [(Make.id("x"), Self.start, schedule)]).isEmpty)
        #expect(SchedulerTests.rows(world, "x").suffix(2) == ["2026-01-05T00:00 ran 1", "2026-01-06T00:00 ran 1"])
    }
}
