import Ledger
import Foundation
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

/// A year in the life of a daemon, for each seed another: jobs, chains and pools of them, services, crashes between any two
/// steps, outages, reboots, clocks set to and fro, people. What must hold is the numbered promises. `BERTH_SIM_SEEDS=10000`
/// runs as many years. A failing seed is named, and decides the same again: `BERTH_SIM_FIRST=1234 BERTH_SIM_SEEDS=1` is that
/// year alone.
@Suite struct SimulationTests {
    static let first = UInt64(ProcessInfo.processInfo.environment["BERTH_SIM_FIRST"] ?? "") ?? 0
    static let seeds = Int(ProcessInfo.processInfo.environment["BERTH_SIM_SEEDS"] ?? "") ?? 25
    /// A restart at each how many-th step is compared with the scheduler that lives: `BERTH_SIM_REBUILD=1` is at every one.
    static let rebuildEvery = Int(ProcessInfo.processInfo.environment["BERTH_SIM_REBUILD"] ?? "") ?? 41
    static let start = Make.time("2026-01-01T00:00:30Z")

    struct Year {
        var world: World
        let jobs: [(WorkloadID, Timestamp, Schedule)]
        let deadlines: [WorkloadID: Duration]
        let recipes: [Recipe]
        var inForce = 0
        /// What was done, and when: the time and the case of `live`.
        var trace: [String] = []

        init(seed: UInt64) {
            var dice = Dice(seed: seed)
            world = World(at: SimulationTests.start, seed: seed)
            let zone = Make.zone(SimulationTests.zones.randomElement(using: &dice)!)
            let texts = ["30 2 * * *", "0 */6 * * *", "every 5h", "15 1,3 * * *", "0 0 L * *"]
            var workloads: [Workload] = []
            var accounted: [(WorkloadID, Timestamp, Schedule)] = []
            for (index, text) in texts.enumerated() {
                let schedule = Make.schedule(text, zone: zone)
                let policy = JobPolicy(
                    schedule: schedule, overlap: OverlapPolicy.allCases.randomElement(using: &dice)!,
                    missed: MissedPolicy(kind: MissedPolicy.Kind.allCases.randomElement(using: &dice)!, limit: Int.random(in: 1...8, using: &dice)),
                    retries: RetryPolicy(
                        limit: Int.random(in: 0...2, using: &dice), backoff: .seconds([600, 20_000].randomElement(using: &dice)!),
                        jitter: .seconds(Int64.random(in: 0...300, using: &dice))),
                    timeout: Bool.random(using: &dice) ? .seconds(3 * 3600) : nil,
                    deadline: Bool.random(using: &dice) ? .seconds(Int64.random(in: 60...40000, using: &dice)) : nil,
                    onLost: LostPolicy.allCases.randomElement(using: &dice)!,
                    pool: Bool.random(using: &dice) ? Make.id("p").name : nil,
                    // The last is let start by the first.
                    after: index == 4 && Bool.random(using: &dice) ? [Make.id("job0").name: AfterCondition.allCases.randomElement(using: &dice)!] : [:],
                    dependsOn: index == 3
                        ? [
                            Make.id("db").name: Dependency(
                                condition: Dependency.Condition.allCases.randomElement(using: &dice)!, required: Bool.random(using: &dice))
                        ]
                        : [:])
                workloads.append(Make.job("job\(index)", policy))
                accounted.append((Make.id("job\(index)"), SimulationTests.start, schedule))
            }
            let link = JobPolicy(
                overlap: OverlapPolicy.allCases.randomElement(using: &dice)!, retries: RetryPolicy(limit: 1),
                pool: Bool.random(using: &dice) ? Make.id("p").name : nil,
                after: [Make.id("job1").name: .always, Make.id("job2").name: AfterCondition.allCases.randomElement(using: &dice)!])
            workloads.append(Make.job("link", link))
            workloads.append(Make.job("last", JobPolicy(after: [Make.id("link").name: .success])))
            // Hears each end of one job: nothing else takes the place of one that it missed.
            let heard = Make.id("job\(Int.random(in: 0..<4, using: &dice))").name
            let echo = JobPolicy(
                overlap: OverlapPolicy.allCases.randomElement(using: &dice)!, after: [heard: AfterCondition.allCases.randomElement(using: &dice)!])
            workloads.append(Make.job("echo", echo))
            workloads.append(
                Make.service("db", [RestartPolicy.no, .onFailure(limit: 3)].randomElement(using: &dice)!) { container, policy in
                    // A probe each minute of a year would be all that happens.
                    var check = HealthCheckSpec(test: .shell("ask"))
                    check.interval = .seconds(6 * 3600)
                    check.startPeriod = .seconds(3600)
                    check.retries = 2
                    container.healthCheck = Shared(check)
                    policy.onUnhealthy = UnhealthyPolicy.allCases.randomElement(using: &dice)!
                })
            world.answers = { _, dice in (.seconds(Int64.random(in: 0...20, using: &dice)), Int.random(in: 0..<4, using: &dice) == 0 ? .timedOut : .exited(0)) }
            workloads.append(Make.service("migrate", .onFailure(limit: 2)) { _, policy in policy.dependsOn = [Make.id("db").name: Dependency()] })
            world.script = { request, dice in
                let long = request.kind == .service
                let duration = Duration.seconds(Int64.random(in: long ? 3600...2_000_000 : 1...20_000, using: &dice))
                switch Int.random(in: 0..<10, using: &dice) {
                case 0: return (duration, .exited(code: 1))
                case 1: return (duration, .signaled(number: 11))
                case 2 where !long: return (.zero, .startError("no such command"))
                default: return (duration, .exited(code: 0))
                }
            }
            jobs = accounted
            deadlines = Dictionary(
                uniqueKeysWithValues: workloads.compactMap { workload in workload.jobPolicy?.deadline.map { (workload.id, $0) } })
            let places = Int.random(in: 1...2, using: &dice)
            func recipe(_ others: [Workload], _ digest: String) -> Recipe {
                Recipe(
                    project: Make.id("x").project, workloads: (workloads + others).sorted { $0.id < $1.id }, volumes: [], pools: [Make.id("p").name: places],
                    digest: digest)
            }
            // The same, but for what 'web' is: a service, a job, nothing; and for a job that often waits in a pool.
            let extra = Make.job("extra", JobPolicy(schedule: Make.schedule("every 3h"), overlap: .queue, pool: Make.id("p").name))
            recipes = [
                recipe(
                    [
                        Make.service("web", .always) { _, policy in
                            policy.dependsOn = [
                                Make.id("db").name: Dependency(condition: .healthy, required: Bool.random(using: &dice), restart: Bool.random(using: &dice)),
                                Make.id("migrate").name: Dependency(condition: .completed, required: Bool.random(using: &dice)),
                            ]
                        }, extra,
                    ], "1"),
                recipe([Make.job("web", JobPolicy(schedule: Make.schedule("every 7h"), retries: RetryPolicy(limit: 1), onLost: .rerun)), extra], "2"),
                recipe([], "3"),
            ]
            world.stopTakes = .seconds(Int64.random(in: 0...20, using: &dice))
            world.launchTakes = [.zero, .seconds(2)].randomElement(using: &dice)!
            world.take(.apply(recipes[0], explicit: true, actor: "test"))
            world.rebuildEvery = SimulationTests.rebuildEvery
            live(&dice, until: SimulationTests.start + .seconds(365 * 86400))
        }

        private mutating func live(_ dice: inout Dice, until end: Timestamp) {
            while world.now < end {
                world.run(until: min(end, world.now + .seconds(Int64.random(in: 600...2_000_000, using: &dice))))
                if world.isUnreadable, Bool.random(using: &dice) {
                    // It can be read again, or the same is applied again, or another.
                    if Bool.random(using: &dice) {
                        world.restart(after: .seconds(5), newBoot: Bool.random(using: &dice), unreadable: false)
                        continue
                    }
                    if Bool.random(using: &dice) { inForce = Int.random(in: 0..<recipes.count, using: &dice) }
                    world.take(.apply(recipes[inForce], explicit: Bool.random(using: &dice), actor: "test"))
                }
                let what = Int.random(in: 0..<14, using: &dice)
                trace.append("\(world.now) \(what)")
                switch what {
                case 10:
                    world.failStore()
                    world.run(until: min(end, world.now + .seconds(Int64.random(in: 1...30_000, using: &dice))))
                    if Int.random(in: 0..<4, using: &dice) == 0 { world.restart(after: .seconds(5)) } else { world.mendStore() }
                case 11:
                    guard !world.isUnreadable else { break }
                    inForce = Int.random(in: 0..<recipes.count, using: &dice)
                    world.take(.apply(recipes[inForce], explicit: Bool.random(using: &dice), actor: "test"))
                case 12: world.restart(after: .seconds(Int64.random(in: 0...30_000, using: &dice)), newBoot: Bool.random(using: &dice), unreadable: true)
                case 13:
                    // Something runs while its service or job becomes the other.
                    guard !world.isUnreadable else { break }
                    world.take(.run(Make.id("web"), actor: "test"))
                    inForce = (inForce + 1) % recipes.count
                    world.take(.apply(recipes[inForce], explicit: true, actor: "test"))
                case 0, 1:
                    // Dies at some step soon, or right now.
                    world.stepsUntilCrash = Int.random(in: 0...25, using: &dice)
                    world.run(until: min(end, world.now + .seconds(200_000)))
                    world.stepsUntilCrash = nil
                    world.restart(after: .seconds(Int64.random(in: 0...300_000, using: &dice)), newBoot: Int.random(in: 0..<3, using: &dice) == 0)
                case 2: world.restart(after: .seconds(Int64.random(in: 0...100, using: &dice)))
                case 3: world.take(.run(jobs.randomElement(using: &dice)!.0, actor: "test"))
                case 4: world.take(Bool.random(using: &dice) ? .stop(Make.id("web"), actor: "test") : .start(Make.id("web"), actor: "test"))
                case 5: world.take(Bool.random(using: &dice) ? .pause(jobs[0].0, actor: "test") : .resume(jobs[0].0, actor: "test"))
                case 6: world.take(.stop(jobs.randomElement(using: &dice)!.0, actor: "test"))
                case 7: world.take(.restart(Make.id("db"), actor: "test"))
                case 8: world.setClock(by: .seconds(Int64.random(in: 0...400_000, using: &dice)))
                default:
                    // Mostly by minutes, now and then by days.
                    let far = Int.random(in: 0..<4, using: &dice) == 0
                    world.setClock(by: .zero - .seconds(Int64.random(in: 0...(far ? 400_000 : 10_800), using: &dice)))
                }
            }
            if world.isUnreadable { world.take(.apply(recipes[inForce], explicit: false, actor: "test")) }
        }
    }

    static let zones = ["UTC", "Europe/Lisbon", "America/New_York", "Australia/Lord_Howe"]

    @Test func everyYearKeepsThePromises() {
        var (starts, rebuilds) = (0, 0)
        for seed in Self.first..<(Self.first + UInt64(Self.seeds)) {
            let year = Year(seed: seed)
            let broken = year.world.broken(accounted: year.jobs, deadlines: year.deadlines)
            #expect(broken.isEmpty, "seed \(seed): \(broken.prefix(5).joined(separator: "; "))")
            starts += year.world.starts.count
            rebuilds += year.world.rebuilds
            if !broken.isEmpty {
                print(
                    year.trace.joined(separator: "\n"),
                    year.world.events.map { "\($0.at) \($0.kind) \($0.workload.map(\.description) ?? "-") \($0.text)" }.joined(separator: "\n"))
                break
            }
        }
        // A simulation in which nothing happens would keep every promise.
        #expect(starts > Self.seeds * 500 && rebuilds > Self.seeds * 20)
    }

    @Test(arguments: [3, 17]) func aSeedDecidesTheSameAgain(seed: UInt64) {
        let one = Year(seed: seed).world
        let two = Year(seed: seed).world
        #expect(one.starts.map { "\($0.run) \($0.at)" } == two.starts.map { "\($0.run) \($0.at)" })
        #expect(one.events == two.events)
    }

    /// The judge must be able to say no: a disk that forgets a tenth of the due rows is found out.
    @Test func theJudgeNoticesAForgottenRow() {
        let year = Year(seed: 1)
        var world = year.world
        for (id, records) in world.due {
            if let victim = records.keys.sorted().dropFirst(records.count / 2).first { world.due[id]?[victim] = nil }
        }
        #expect(!world.broken(accounted: year.jobs).isEmpty)
    }
}
