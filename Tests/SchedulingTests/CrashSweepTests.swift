import Ledger
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

/// The daemon dies before the n-th step, for every n, and comes back on the same disk and the same containers.
@Suite struct CrashSweepTests {
    static let start = Make.time("2026-01-01T00:00:00Z")

    /// - Parameter stopTakes: how long a container takes to end after it was told to
    static func world(stopTakes: Duration = .zero) -> World {
        var world = World(at: start)
        world.stopTakes = stopTakes
        world.script = { request, _ in
            switch request.workload.name.description {
            case "flaky": (.seconds(5), .exited(code: request.attempt == 1 ? 1 : 0))
            case "long": (.seconds(150), .exited(code: 0))
            case "web": (.seconds(86400), .exited(code: 0))
            default: (.seconds(1), .exited(code: 0))
            }
        }
        return world
    }

    static let minutely = Make.schedule("* * * * *")
    static let recipe = Make.recipe(
        Make.job("flaky", JobPolicy(schedule: minutely, retries: RetryPolicy(limit: 1, backoff: .seconds(3)))),
        Make.job("long", JobPolicy(schedule: minutely, overlap: .queue)), Make.service("web", .always))

    static func scenario(_ world: inout World) {
        world.take(.apply(recipe, explicit: true, actor: "test"))
        world.run(until: start + .seconds(130))
        world.take(.stop(Make.id("web"), actor: "test"))
        world.run(until: start + .seconds(250))
    }

    @Test func oneStartAndOneOutcomeWhereverItDies() {
        var whole = Self.world()
        Self.scenario(&whole)
        #expect(whole.broken(accounted: Self.accounted).isEmpty)
        #expect(whole.steps > 40)
        for step in 0..<whole.steps {
            for (down, newBoot) in [(Duration.zero, false), (.seconds(2), false), (.seconds(400), false), (.seconds(30), true)] {
                var world = Self.world()
                world.stepsUntilCrash = step
                Self.scenario(&world)
                world.stepsUntilCrash = nil
                world.restart(after: down, newBoot: newBoot)
                if world.recipes.isEmpty { world.take(.apply(Self.recipe, explicit: true, actor: "test")) }
                world.run(until: world.now + .seconds(400))
                let from = world.recipes.isEmpty ? [] : Self.accounted(world)
                let broken = world.broken(accounted: from)
                #expect(broken.isEmpty, "died before step \(step), away for \(down), new boot \(newBoot): \(broken.prefix(3))")
                // Every run that is not going has an outcome.
                let open = world.runs.values.filter { $0.outcome == nil && world.containers[$0.open.id] == nil }
                #expect(open.isEmpty, "died before step \(step): \(open.map(\.open.id)) have no outcome")
            }
        }
    }

    static let accounted: [(WorkloadID, Timestamp, Schedule)] = [(Make.id("flaky"), start, minutely), (Make.id("long"), start, minutely)]

    /// Where the recipe itself was only durable after the crash, due times count from then.
    static func accounted(_ world: World) -> [(WorkloadID, Timestamp, Schedule)] {
        let applied = world.events.filter { $0.kind == "applied" }.map(\.at).min() ?? start
        return accounted.map { ($0.0, applied, $0.2) }
    }

    @Test func aStoppedServiceStaysStoppedWhereverItDies() {
        var whole = Self.world()
        Self.scenario(&whole)
        for step in 0..<whole.steps {
            var world = Self.world()
            world.stepsUntilCrash = step
            Self.scenario(&world)
            world.stepsUntilCrash = nil
            let stoppedOnDisk = world.services[Make.instance("web")]?.wanted == false
            world.restart(after: .seconds(5), newBoot: step % 2 == 0)
            world.run(until: world.now + .seconds(60))
            if stoppedOnDisk {
                #expect(world.services[Make.instance("web")]?.phase == .stopped, "died before step \(step)")
                #expect(world.containers.values.allSatisfy { $0.request.workload != Make.id("web") })
            }
            #expect(world.violations.isEmpty, "died before step \(step): \(world.violations.prefix(3))")
        }
    }

    /// How many steps a scenario has where stops take five seconds.
    private static func steps(_ scenario: (inout World) -> Void) -> Int {
        var world = world(stopTakes: .seconds(5))
        scenario(&world)
        return world.steps
    }

    /// The world of such a scenario, whose daemon died before one of its steps.
    private static func dying(before step: Int, _ scenario: (inout World) -> Void) -> World {
        var world = world(stopTakes: .seconds(5))
        world.stepsUntilCrash = step
        scenario(&world)
        world.stepsUntilCrash = nil
        return world
    }

    /// A restart by hand that is on disk happens, although the daemon is away while the old container takes its time to end.
    @Test(arguments: [RestartPolicy.no, .onFailure(limit: nil), .always]) func aRestartIsNotForgottenWhereverItDies(policy: RestartPolicy) {
        func scenario(_ world: inout World) {
            world.take(.apply(Make.recipe(Make.service("web", policy)), explicit: true, actor: "test"))
            world.run(until: Self.start + .seconds(60))
            world.take(.restart(Make.id("web"), actor: "test"))
            world.run(until: Self.start + .seconds(62))
        }
        for step in 0..<Self.steps(scenario) {
            for down in [Duration.seconds(1), .seconds(30)] {
                for newBoot in [false, true] {
                    var world = Self.dying(before: step, scenario)
                    let isOnDisk = world.events.contains { $0.kind == "restarted" }
                    let before = world.starts.count
                    world.restart(after: down, newBoot: newBoot)
                    world.run(until: world.now + .seconds(60))
                    let context = "died before step \(step), away for \(down), new boot \(newBoot)"
                    #expect(world.violations.isEmpty, "\(context): \(world.violations)")
                    guard isOnDisk else { continue }
                    #expect(world.services[Make.instance("web")]?.phase == .running, "\(context)")
                    #expect(world.starts.count == max(2, before), "\(context): \(world.starts.count) starts")
                }
            }
        }
    }

    /// A stop of a job's run that is on disk is carried out by whoever finds the run, and one that had not begun never begins.
    @Test func aStopOfAJobIsNotForgottenWhereverItDies() {
        func scenario(_ world: inout World) {
            world.take(.apply(Make.recipe(Make.job("long", JobPolicy())), explicit: true, actor: "test"))
            world.take(.run(Make.id("long"), actor: "test"))
            world.take(.stop(Make.id("long"), actor: "test"))
            world.run(until: Self.start + .seconds(2))
        }
        for step in 0..<Self.steps(scenario) {
            for down in [Duration.zero, .seconds(30)] {
                var world = Self.dying(before: step, scenario)
                let isOnDisk = world.events.contains { $0.kind == "stopped" }
                let hadStarted = !world.starts.isEmpty
                world.restart(after: down)
                world.run(until: world.now + .seconds(20))
                guard isOnDisk else { continue }
                let context = "died before step \(step), away for \(down)"
                #expect(world.runs.values.map(\.outcome) == [.stopped], "\(context): \(world.runs.values.map(\.outcome))")
                #expect(world.starts.count == (hadStarted ? 1 : 0), "\(context)")
                #expect(world.containers.isEmpty && world.violations.isEmpty, "\(context): \(world.violations)")
            }
        }
    }
}
