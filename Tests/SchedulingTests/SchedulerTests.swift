import Ledger
import EngineAPI
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

/// Single decisions of the scheduler, each of them once decided wrongly or easily so.
@Suite struct SchedulerTests {
    static let start = Make.time("2026-01-01T00:00:00Z")

    static func rows(_ world: World, _ name: String) -> [String] {
        (world.due[Make.id(name)] ?? [:]).values.sorted { $0.dueAt < $1.dueAt }.map {
            "\($0.dueAt.description.prefix(16)) \($0.result)\($0.reason.map { " \($0.rawValue)" } ?? "") \($0.count)"
        }
    }

    @Test func aRecipeThatCannotBeReadNowStopsAndForgetsNothing() {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(100_000), .exited(code: 0)) }
        let recipe = Make.recipe(Make.service("web", .always), Make.service("db", .always), Make.job("j", JobPolicy(schedule: Make.schedule("0 * * * *"))))
        world.take(.apply(recipe, explicit: true, actor: "t"))
        world.take(.stop(Make.id("db"), actor: "t"))
        world.take(.pause(Make.id("j"), actor: "t"))
        world.run(until: Self.start + .seconds(60))
        // The daemon comes back and cannot read the recipe.
        var scheduler = Scheduler(bootID: "boot-1", seed: 9)
        var stored = StoredState(
            services: Array(world.services.values), jobs: Array(world.jobs.values), openRuns: world.runs.values.filter { $0.outcome == nil }.map(\.open),
            bootID: "boot-1")
        stored.unreadable = [recipe.project]
        let observed = world.containers.mapValues { ObservedRun.alive(startedAt: $0.startedAt) }
        let decision = scheduler.restore(stored, observed: observed, at: world.moment)
        #expect(decision.effects.isEmpty, "\(decision.effects)")
        #expect(
            !decision.writes.contains {
                switch $0 {
                case .removeService, .removeJob: true;
                default: false
                }
            })
        // What it needs is not known, and it is not taken for one that is not there.
        #expect(scheduler.containers == nil)
        var copy = scheduler
        guard case .refused(let sentence) = copy.apply(.down(recipe.project, actor: "t"), at: world.moment).reply else {
            Issue.record("it is taken down")
            return
        }
        #expect(sentence.contains("cannot be read"))
        // Applied again, everything is as it was left.
        let again = scheduler.apply(.apply(recipe, explicit: false, actor: "t"), at: world.moment)
        #expect(again.effects.isEmpty, "\(again.effects)")
        #expect(scheduler.statuses.map(\.state) == ["stopped", "paused", "running"])
    }

    struct Unread: Sendable, CustomTestStringConvertible {
        let policy: RestartPolicy
        let code: Int32
        let phase: String
        var testDescription: String { "\(policy), exit code \(code): \(phase)" }
    }

    /// A service ends while its recipe cannot be read: its policy decides once it can, also after another crash, and an `up` starts it as any
    /// that has ended.
    @Test(
        arguments: [
            Unread(policy: .no, code: 0, phase: "exited"), Unread(policy: .no, code: 1, phase: "exited"),
            Unread(policy: .onFailure(limit: nil), code: 0, phase: "exited"), Unread(policy: .onFailure(limit: nil), code: 1, phase: "running"),
            Unread(policy: .onFailure(limit: 0), code: 1, phase: "failed"), Unread(policy: .always, code: 0, phase: "running"),
        ], ["mended", "crash", "applied"]) func aServiceThatEndsWithoutARecipe(item: Unread, then: String)
    {
        let recipe = Make.recipe(Make.service("db", item.policy))
        var world = World(at: Self.start)
        world.script = { [code = item.code] _, _ in (.seconds(5), .exited(code: code)) }
        world.take(.apply(recipe, explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(1))
        world.restart(after: .seconds(1), unreadable: true)
        world.run(until: Self.start + .seconds(60))
        #expect(world.starts.count == 1 && world.runs.values.allSatisfy { $0.outcome != nil })
        if then == "crash" { world.restart(after: .seconds(1), unreadable: true) }
        if then == "applied" {
            world.take(.apply(recipe, explicit: false, actor: "t"))
        } else {
            world.restart(after: .seconds(1), unreadable: false)
        }
        #expect(world.services[Make.instance("db")]?.phase.name == item.phase)
        #expect(world.services[Make.instance("db")]?.unheard == nil && world.starts.count == (item.phase == "running" ? 2 : 1))
        world.take(.apply(recipe, explicit: true, actor: "t"))
        #expect(world.starts.count == 2)
        #expect(world.broken(accounted: []).isEmpty, "\(world.broken(accounted: []))")
    }

    /// A service fails again and again, and its recipe cannot be read for a while: the pause before its next start stays what it was.
    @Test(arguments: [false, true], [false, true]) func aPauseOutlivesARecipeThatCannotBeRead(applied: Bool, runs: Bool) {
        let recipe = Make.recipe(Make.service("db", .always))
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(1), .exited(code: 1)) }
        world.take(.apply(recipe, explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(100))
        // Up to its end, or from the middle of a pause on.
        while world.containers.isEmpty == runs { world.run(until: world.now + .seconds(1)) }
        let starts = world.starts.count
        world.restart(after: .zero, unreadable: true)
        world.run(until: world.now + .seconds(2))
        let ended = world.now
        if applied { world.take(.apply(recipe, explicit: false, actor: "t")) } else { world.restart(after: .zero, unreadable: false) }
        #expect(world.starts.count == starts)
        guard case .backoff(let next) = world.services[Make.instance("db")]?.phase else {
            Issue.record("it does not wait: \(String(describing: world.services))")
            return
        }
        #expect(next > ended && next - ended < .seconds(331))
        world.run(until: next + .milliseconds(1))
        #expect(world.starts.count == starts + 1)
        #expect(world.violations.isEmpty, "\(world.violations)")
    }

    /// A container runs on while its recipe cannot be read, and the next recipe has another in its place.
    @Test(arguments: [false, true]) func whatRestedIsReplacedWhenItDiffers(differs: Bool) {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(100_000), .exited(code: 0)) }
        world.take(.apply(Make.recipe(Make.service("web", .always)), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(10))
        world.restart(after: .seconds(1), unreadable: true)
        let other = Workload(id: Make.id("web"), container: ContainerSpec(root: .directory("/other")), kind: .service(ServicePolicy(restart: .always)))
        world.take(.apply(differs ? Make.recipe(other) : Make.recipe(Make.service("web", .always)), explicit: false, actor: "t"))
        world.run(until: Self.start + .seconds(60))
        #expect(world.starts.count == (differs ? 2 : 1) && world.containers.count == 1)
        #expect(world.violations.isEmpty, "\(world.violations)")
    }

    /// The clock was wrong, a job was removed, the clock was set right, and the job came back: what was due in between is due once more, and has
    /// rows of its own.
    @Test(arguments: [false, true]) func aJobThatComesBackHasRowsOfItsOwn(restarts: Bool) {
        let other = Make.job("other", JobPolicy(schedule: Make.schedule("0 0 1 1 *")))
        let recipe = Make.recipe(other, Make.job("j", JobPolicy(schedule: Make.schedule("0 * * * *"))))
        var world = World(at: Self.start)
        world.take(.apply(recipe, explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(6 * 3600 + 60))
        world.take(.apply(Make.recipe(other), explicit: true, actor: "t"))
        if restarts { world.restart(after: .seconds(1)) }
        world.setClock(by: .zero - .seconds(5 * 3600))
        world.take(.apply(recipe, explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(7 * 3600 + 60))
        #expect(world.due[Make.id("j")]?.keys.map(\.era).sorted() == Array(repeating: 0, count: 6) + Array(repeating: 1, count: 6))
        #expect(world.starts.filter { $0.workload == Make.id("j") }.count == 12)
        #expect(world.violations.isEmpty, "\(world.violations)")
    }

    /// Which image a workload runs from stays what it was when its recipe was applied, also when time zones change; all that is still needed is
    /// named.
    @Test func imagesStayWhatWasApplied() {
        func recipe(_ digest: String?) -> Recipe {
            let source = ImageSource(transport: .oci, path: "/i", tag: nil, digest: digest)
            return Make.recipe(
                Workload(id: Make.id("web"), container: ContainerSpec(root: .image(source)), kind: .service(ServicePolicy(restart: .always))),
                Workload(id: Make.id("j"), container: ContainerSpec(root: .image(source)), kind: .job(JobPolicy(schedule: Make.schedule("0 * * * *")))))
        }
        var world = World(at: Self.start)
        world.stopTakes = .seconds(5)
        world.script = { _, _ in (.seconds(100_000), .exited(code: 0)) }
        func images() -> Set<String?> { Set((world.scheduler.containers ?? []).map { $0.image?.digest }) }
        world.take(.apply(recipe("one"), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(10))
        world.take(.zonesChanged(recipe("other")))
        #expect(images() == ["one"])
        world.take(.apply(recipe("one"), explicit: true, actor: "t"))
        #expect(world.containers.count == 1)
        // The old one is needed until its run has ended.
        world.take(.apply(recipe("two"), explicit: true, actor: "t"))
        #expect(images() == ["one", "two"])
        world.run(until: Self.start + .seconds(60))
        #expect(images() == ["two"] && world.containers.values.map { $0.request.container.image?.digest } == ["two"])
        #expect(recipe("one").workloads[0].container.fingerprint == recipe(nil).workloads[0].container.fingerprint)
    }

    /// A plan says of services that rest that they are started, and once of those without a restart policy that nothing brings them back.
    @Test func plansSayWhatUpDoes() {
        let recipe = Make.recipe(Make.service("web", .always), Make.service("once", .no), Make.service("two", .no))
        var world = World(at: Self.start)
        world.script = { request, _ in (request.workload == Make.id("once") ? .seconds(1) : .seconds(100_000), .exited(code: 0)) }
        func plan(_ recipe: Recipe) -> RecipePlan { world.scheduler.plan(recipe, at: world.moment) }
        func words(_ plan: RecipePlan) -> [String] { plan.steps.map { "\($0.id.name) \($0.action) \($0.reasons)" } }
        let first = plan(recipe)
        #expect(first.steps.map(\.action) == [.start, .start, .start])
        #expect(first.notes == ["once, two have no 'restart': nothing starts them again when they end, or after a reboot"])
        world.take(.apply(recipe, explicit: true, actor: "t"))
        #expect(plan(recipe).changesNothing && plan(recipe).notes.isEmpty)
        world.run(until: Self.start + .seconds(10))
        world.take(.stop(Make.id("web"), actor: "t"))
        // Also while it is ending, and after that.
        #expect(words(plan(recipe)).last == "web start [\"stopped by hand\"]")
        world.run(until: Self.start + .seconds(20))
        #expect(words(plan(recipe)) == ["once start [\"ended\"]", "two keep []", "web start [\"stopped by hand\"]"])
        #expect(plan(recipe).notes == ["once has no 'restart': nothing starts it again when it ends, or after a reboot"])
        // A service that the recipe no longer has is only stopped.
        let gone = plan(Make.recipe(Make.service("web", .always)))
        #expect(gone.steps.map(\.action) == [.stop, .stop, .start] && gone.notes.isEmpty)
        // What runs is replaced, a policy is changed in place, and a name may become another kind.
        let other = Make.recipe(Make.service("two", .no, command: "other"), Make.service("once", .always), Make.job("web", JobPolicy()))
        #expect(words(plan(other)) == ["once start [\"ended\", \"restart\"]", "two restart [\"command\"]", "web change [\"command\", \"kind\"]"])
        // A plan changes nothing.
        #expect(world.starts.count == 3 && world.scheduler.recipe(of: recipe.project) == recipe)
    }

    /// A job that becomes a service, or a service that becomes a job, starts when the last run of the other kind has ended; across a
    /// restart, too.
    @Test(arguments: [nil, 1, 30] as [Int?], [false, true]) func aWorkloadThatChangesItsKindNeverRunsTwice(away: Int?, toService: Bool) {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(100_000), .exited(code: 0)) }
        world.stopTakes = .seconds(5)
        let job = Make.recipe(Make.job("x", JobPolicy(schedule: Make.schedule("* * * * *"))))
        let service = Make.recipe(Make.service("x", .always))
        world.take(.apply(toService ? job : service, explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(70))
        world.take(.apply(toService ? service : job, explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(72))
        #expect(world.containers.count == 1)
        if let away { world.restart(after: .seconds(Int64(away))) }
        // Each second: never two of them.
        for second in 73...260 {
            world.run(until: Self.start + .seconds(Int64(second)))
            #expect(world.containers.count <= 1, "second \(second)")
        }
        #expect(world.containers.values.map(\.request.kind) == [toService ? .service : .job])
        #expect(world.violations.isEmpty, "\(world.violations)")
        if toService { #expect(world.services[Make.instance("x")]?.phase == .running && world.jobs.isEmpty) } else { #expect(world.services.isEmpty) }
    }

    /// A recipe that could not be read at a start, then a reboot, then `up`: what was on is on again.
    @Test func upStartsAServiceWhoseRecipeWasUnreadableAcrossAReboot() {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(100_000), .exited(code: 0)) }
        let recipe = Make.recipe(Make.service("web", .always), Make.service("off", .always))
        world.take(.apply(recipe, explicit: true, actor: "t"))
        world.take(.stop(Make.id("off"), actor: "t"))
        world.run(until: Self.start + .seconds(60))
        var scheduler = Scheduler(bootID: "boot-2", seed: 9)
        var stored = StoredState(
            services: Array(world.services.values), openRuns: world.runs.values.filter { $0.outcome == nil }.map(\.open), bootID: "boot-1")
        stored.unreadable = [recipe.project]
        _ = scheduler.restore(stored, observed: [:], at: world.moment)
        let again = scheduler.apply(.apply(recipe, explicit: false, actor: "t"), at: world.moment)
        let launched = again.effects.compactMap { effect in if case .launch(let request) = effect { request.workload.name.description } else { nil } }
        #expect(launched == ["web"], "\(again.effects)")
        #expect(scheduler.statuses.map(\.state) == ["stopped", "starting"])
    }

    /// A due time that is skipped because the run before it is frozen has the reason `disk full`.
    @Test func aDueTimeThatFindsAFrozenRunSaysSo() {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(9000), .exited(code: 0)) }
        world.take(.apply(Make.recipe(Make.job("j", JobPolicy(schedule: Make.schedule("0 * * * *")))), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(3700))
        world.take(.frozen(Set(world.containers.keys)))
        world.run(until: Self.start + .seconds(7300))
        world.take(.frozen([]))
        world.run(until: Self.start + .seconds(10_900))
        #expect(Self.rows(world, "j") == ["2026-01-01T01:00 ran 1", "2026-01-01T02:00 skipped disk full 1", "2026-01-01T03:00 skipped overlap 1"])
    }

    @Test func upDuringAStopStartsTheServiceAgain() {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(100_000), .exited(code: 0)) }
        let recipe = Make.recipe(Make.service("web", .always))
        world.take(.apply(recipe, explicit: true, actor: "t"))
        world.take(.stop(Make.id("web"), actor: "t"))
        world.take(.apply(recipe, explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(10))
        #expect(world.services[Make.instance("web")]?.phase == .running && world.services[Make.instance("web")]?.wanted == true)
        #expect(world.starts.count == 2)
    }

    @Test func aCommandDuringDownKeepsNothing() {
        for command in [Event.stop(Make.id("web"), actor: "t"), .restart(Make.id("web"), actor: "t")] {
            var world = World(at: Self.start)
            world.script = { _, _ in (.seconds(100_000), .exited(code: 0)) }
            world.take(.apply(Make.recipe(Make.service("web", .always)), explicit: true, actor: "t"))
            world.take(.down(Make.id("web").project, actor: "t"))
            world.take(command)
            world.run(until: Self.start + .seconds(10))
            #expect(world.services.isEmpty && world.starts.count == 1)
        }
    }

    @Test func aServiceThatBecomesAJobKeepsTheJobsRecord() {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(100_000), .exited(code: 0)) }
        world.take(.apply(Make.recipe(Make.service("x", .always)), explicit: true, actor: "t"))
        world.take(.apply(Make.recipe(Make.job("x", JobPolicy(schedule: Make.schedule("0 2 * * *")))), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(10))
        #expect(world.services.isEmpty && world.jobs[Make.id("x")] != nil)
        // Down over the due time, with nothing written about the job in between.
        world.restart(after: .seconds(3 * 3600))
        #expect(Self.rows(world, "x") == ["2026-01-01T02:00 missed daemon down 1"])
    }

    @Test func aStartThatWaitedForItsJitterOverAnOutageIsMissed() {
        for (kind, catchUps) in [(MissedPolicy.Kind.skip, 0), (.last, 1)] {
            var world = World(at: Self.start)
            let schedule = Schedule([
                ScheduleEntry(text: "0 2 * * *", rule: try! ScheduleRule("0 2 * * *", seed: "x"), zone: .utc, seed: "x", jitter: .seconds(3000))
            ])
            world.take(.apply(Make.recipe(Make.job("x", JobPolicy(schedule: schedule, missed: MissedPolicy(kind: kind)))), explicit: true, actor: "t"))
            world.run(until: Make.time("2026-01-01T02:00:00Z"))
            #expect(world.jobs[Make.id("x")]?.pending.count == 1 && world.starts.isEmpty)
            world.restart(after: .seconds(10 * 3600))
            #expect(Self.rows(world, "x") == ["2026-01-01T02:00 missed daemon down 1"])
            #expect(world.starts.map(\.trigger) == Array(repeating: .catchUp, count: catchUps))
        }
    }

    @Test func excludedDaysWithinAnOutageHaveTheirRows() {
        let christmas = CivilDate("2026-12-25")!
        let schedule = Make.schedule("0 2 * * *", except: [christmas...christmas])
        var world = World(at: Make.time("2026-12-23T12:00:00Z"))
        world.take(.apply(Make.recipe(Make.job("x", JobPolicy(schedule: schedule, missed: MissedPolicy(kind: .all)))), explicit: true, actor: "t"))
        world.restart(after: .seconds(3 * 86400))
        #expect(
            Self.rows(world, "x") == ["2026-12-24T02:00 missed daemon down 1", "2026-12-25T02:00 skipped excluded 1", "2026-12-26T02:00 missed daemon down 1"])
        world.run(until: world.now + .seconds(60))
        #expect(world.starts.compactMap(\.dueAt).map { "\($0)".prefix(10) } == ["2026-12-24", "2026-12-26"])
        // With `last`, the run is for the last day that is not excluded.
        var last = World(at: Make.time("2026-12-23T12:00:00Z"))
        last.take(
            .apply(
                Make.recipe(Make.job("x", JobPolicy(schedule: schedule, missed: MissedPolicy(kind: .last, window: .seconds(90 * 3600))))), explicit: true,
                actor: "t"))
        last.restart(after: .seconds(2 * 86400))
        #expect(last.starts.compactMap(\.dueAt).map { "\($0)".prefix(10) } == ["2026-12-24"])
        #expect(last.due[Make.id("x")]?.values.compactMap(\.runID).count == 1)
    }

    @Test func aWindowedScheduleIsCaughtUpAtOnceAfterALongOutage() {
        let entry = ScheduleEntry(
            text: "every 1s", rule: try! ScheduleRule("every 1s", seed: "x"), zone: .utc, seed: "x", between: try! TimeWindow("08:00-18:00"))
        var world = World(at: Make.time("2026-01-01T17:00:00Z"))
        world.take(.apply(Make.recipe(Make.job("x", JobPolicy(schedule: Schedule([entry])))), explicit: true, actor: "t"))
        world.restart(after: .seconds(14 * 3600 + 1800))
        #expect(Self.rows(world, "x") == ["2026-01-01T17:59 missed daemon down 3599"])
    }

    @Test func aLongOutageIsOneRow() {
        var world = World(at: Self.start)
        world.take(
            .apply(Make.recipe(Make.job("x", JobPolicy(schedule: Make.schedule("* * * * * *"), missed: MissedPolicy(kind: .skip)))), explicit: true, actor: "t")
        )
        world.restart(after: .seconds(400 * 86400), newBoot: true)
        #expect(Self.rows(world, "x").map { $0.hasSuffix("missed host off \(400 * 86400)") } == [true])
    }

    @Test func theClockSetForwardIsLikeAnOutageAndBackRunsNothingTwice() {
        var world = World(at: Self.start)
        world.take(.apply(Make.recipe(Make.job("x", JobPolicy(schedule: Make.schedule("*/10 * * * *")))), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(605))
        world.setClock(by: .seconds(3600))
        world.run(until: world.now + .seconds(5))
        #expect(Self.rows(world, "x") == ["2026-01-01T00:10 ran 1", "2026-01-01T01:10 missed clock jump 6"])
        #expect(world.starts.map(\.trigger) == [.schedule, .catchUp])
        world.setClock(by: .seconds(-3000))
        world.run(until: world.now + .seconds(2000))
        #expect(world.starts.count == 2)
        world.run(until: Make.time("2026-01-01T01:20:05Z"))
        #expect(world.starts.count == 3)
        // Ten years ahead, and corrected: nothing waits for ten years.
        world.setClock(by: .seconds(3650 * 86400))
        world.run(until: world.now + .seconds(5))
        let before = world.starts.count
        world.setClock(by: .seconds(-3650 * 86400))
        world.run(until: world.now + .seconds(1300))
        #expect(world.starts.count >= before + 2)
    }

    @Test func pausesGrowAndAreForgottenAfterTenMinutesUp() {
        var world = World(at: Self.start)
        world.script = { request, _ in (request.attempt == 6 ? .seconds(700) : .seconds(1), .exited(code: 1)) }
        world.take(.apply(Make.recipe(Make.service("web", .always)), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(60))
        let gaps = zip(world.starts, world.starts.dropFirst()).map { ($1.at - $0.at).wholeMilliseconds - 1000 }
        for (gap, expected) in zip(gaps, [1000, 2000, 4000, 8000, 16000]) { #expect((Int64(expected)...Int64(expected * 11 / 10)).contains(gap), "\(gaps)") }
        world.run(until: Self.start + .seconds(60 + 705))
        let after = world.starts[6].at - world.starts[5].at
        #expect((700_999...702_100).contains(after.wholeMilliseconds), "\(after)")
    }

    @Test func onFailureGivesUpAfterItsLimit() {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(1), .exited(code: 1)) }
        world.take(.apply(Make.recipe(Make.service("web", .onFailure(limit: 2))), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(1000))
        #expect(world.services[Make.instance("web")]?.phase == .failed && world.starts.count == 3)
        world.restart(after: .seconds(5), newBoot: true)
        world.run(until: world.now + .seconds(100))
        #expect(world.starts.count == 3)
    }

    @Test(
        arguments: [
            (RestartPolicy.no, 0, "exited", 1), (.no, 1, "exited", 1), (.onFailure(limit: nil), 0, "exited", 1), (.onFailure(limit: nil), 1, "again", 2),
            (.always, 0, "again", 2), (.unlessStopped, 1, "again", 2),
        ] as [(RestartPolicy, Int32, String, Int)])
    func restartPolicies(_ policy: RestartPolicy, _ code: Int32, _ state: String, _ starts: Int) {
        var world = World(at: Self.start)
        world.script = { request, _ in (request.trigger == .start ? .seconds(1) : .seconds(1000), .exited(code: code)) }
        world.take(.apply(Make.recipe(Make.service("web", policy)), explicit: true, actor: "t"))
        world.run(until: Self.start + .seconds(30))
        #expect(world.starts.count == starts)
        #expect(world.services[Make.instance("web")]?.phase.name == (state == "again" ? "running" : state))
    }

    @Test func whatCouldNotBeKilledIsNotStartedBeside() {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(1000), .exited(code: 0)) }
        world.take(.apply(Make.recipe(Make.service("web", .always)), explicit: true, actor: "t"))
        let run = world.starts[0].run
        var status = WorkloadModel.ExitStatus(ending: .signaled(number: 9), finishedAt: world.now)
        status.leftProcesses = true
        world.take(.exited(run, status))
        world.run(until: Self.start + .seconds(500))
        #expect(world.starts.count == 1 && world.services[Make.instance("web")]?.phase == .failed)
        #expect(world.events.contains { $0.kind == "stop-failed" })
    }

    @Test func retriesWaitLongerEachTimeAndStopAtTheirLimit() {
        var world = World(at: Self.start)
        world.script = { _, _ in (.seconds(1), .exited(code: 1)) }
        let retries = RetryPolicy(limit: 3, backoff: .seconds(10), factor: 3, maximumBackoff: .seconds(60))
        world.take(.apply(Make.recipe(Make.job("x", JobPolicy(retries: retries))), explicit: true, actor: "t"))
        world.take(.run(Make.id("x"), actor: "t"))
        world.run(until: Self.start + .seconds(1000))
        #expect(world.starts.map(\.attempt) == [1, 2, 3, 4])
        #expect(zip(world.starts, world.starts.dropFirst()).map { ($1.at - $0.at).wholeMilliseconds } == [11000, 31000, 61000])
    }
}
