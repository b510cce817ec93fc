import Ledger
import EngineAPI
import Foundation
@testable import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

/// Every state that two jobs with three due times each can come to, in every order of commits, effects, answers, ends and ticks,
/// with the daemon dying anywhere, and the host with it.
///
/// Breadth first, by what a state is like rather than by how it was come to. A state is known by two 64-bit hashes of all that
/// what follows can depend on, as SPIN's hash compaction has it. It ends when no state is left to go on from: then all have been visited.
@Suite struct ModelTests {
    struct Setup: Sendable, CustomTestStringConvertible {
        let name: String
        let a: JobPolicy
        let b: JobPolicy
        var pools: [String: Int] = [:]
        /// How often the daemon may die, and how often the host with it.
        var deaths = 1
        var codes: [Int32] = [0]
        var testDescription: String { name }
    }

    static let schedule = Make.schedule("10,20,30 0 1 1 *")
    static let start = Make.time("2026-01-01T00:05:00Z")
    /// Where the clock can stand: at each due time, and long past the last.
    static let times = ["00:05", "00:10", "00:20", "00:30", "00:50"].map { Make.time("2026-01-01T\($0):00Z") }

    private static let quick = [
        Setup(
            name: "a pool of one", a: JobPolicy(schedule: schedule, overlap: .queue, missed: MissedPolicy(kind: .skip), pool: Make.id("p").name),
            b: JobPolicy(schedule: schedule, overlap: .skip, missed: MissedPolicy(kind: .last), pool: Make.id("p").name), pools: ["p": 1], deaths: 2)
    ]

    /// Minutes of a release build: `BERTH_MODEL=all`.
    private static let long = [
        Setup(
            name: "a pool of one, failures and retries",
            a: JobPolicy(
                schedule: schedule, overlap: .queue, missed: MissedPolicy(kind: .skip), retries: RetryPolicy(limit: 1, backoff: .zero),
                pool: Make.id("p").name),
            b: JobPolicy(schedule: schedule, overlap: .skip, missed: MissedPolicy(kind: .last), pool: Make.id("p").name), pools: ["p": 1], codes: [0, 1]),
        Setup(
            name: "skip and queue", a: JobPolicy(schedule: schedule, overlap: .skip, missed: MissedPolicy(kind: .last)),
            b: JobPolicy(schedule: schedule, overlap: .queue, missed: MissedPolicy(kind: .skip))),
        Setup(
            name: "a chain, rerun", a: JobPolicy(schedule: schedule, missed: MissedPolicy(kind: .skip), onLost: .rerun),
            b: JobPolicy(overlap: .skip, after: [Make.id("a").name: .success])),
        Setup(
            name: "replace and all", a: JobPolicy(schedule: schedule, overlap: .replace, missed: MissedPolicy(kind: .all)),
            b: JobPolicy(schedule: schedule, overlap: .skip, missed: MissedPolicy(kind: .skip), after: [Make.id("a").name: .always])),
        Setup(
            name: "a pool of one, two deaths", a: JobPolicy(schedule: schedule, overlap: .queue, missed: MissedPolicy(kind: .all), pool: Make.id("p").name),
            b: JobPolicy(schedule: schedule, overlap: .queue, missed: MissedPolicy(kind: .last), pool: Make.id("p").name), pools: ["p": 1], deaths: 2),
    ]

    static let setups = quick + (ProcessInfo.processInfo.environment["BERTH_MODEL"] == "all" ? long : [])

    struct State {
        var world: World
        var time = 0
        var deaths: Int
    }

    struct Outcome {
        var states = 0
        var steps = 0
        var ends = 0
        var broken: [String] = []
        var isComplete = false
    }

    static func initial(_ setup: Setup) -> State {
        var world = World(at: start)
        // A container runs until somebody ends it.
        world.script = { _, _ in (.seconds(1_000_000), .exited(code: 0)) }
        world.take(.apply(Make.recipe(Make.job("a", setup.a), Make.job("b", setup.b), pools: setup.pools), explicit: true, actor: "t"))
        world.deferred = true
        return State(world: world, deaths: setup.deaths)
    }

    static func explore(_ setup: Setup) -> Outcome {
        var outcome = Outcome()
        var seen: Set<Fingerprint> = []
        var frontier = [initial(setup)]
        seen.insert(Fingerprint(frontier[0]))
        while !frontier.isEmpty, outcome.broken.isEmpty {
            var next: [State] = []
            for state in frontier {
                outcome.states += 1
                let followers = steps(state, setup)
                if followers.isEmpty { outcome.ends += 1 }
                outcome.broken += judge(state, isEnd: followers.isEmpty, setup)
                for follower in followers {
                    outcome.steps += 1
                    if seen.insert(Fingerprint(follower)).inserted { next.append(follower) }
                }
            }
            frontier = next
        }
        outcome.isComplete = frontier.isEmpty
        return outcome
    }

    /// All that can happen next.
    static func steps(_ state: State, _ setup: Setup) -> [State] {
        var found: [State] = []
        func add(_ change: (inout State) -> Void) {
            var copy = state
            change(&copy)
            found.append(copy)
        }
        let world = state.world
        if !world.crashed {
            if !world.decisions.isEmpty { add { $0.world.commitNext() } }
            for index in world.effects.indices { add { $0.world.performEffect(index) } }
            for index in world.inbox.indices { add { $0.world.deliver(index) } }
            if state.deaths > 0 {
                add {
                    $0.deaths -= 1
                    $0.world.die()
                }
            }
        } else {
            add { $0.world.restart(after: .zero) }
            add { $0.world.restart(after: .zero, newBoot: true) }
        }
        for (id, container) in world.containers where container.endsAt ?? world.now > world.now {
            for code in setup.codes { add { $0.world.end(id, .exited(code: code)) } }
        }
        // Minutes pass only while nothing of milliseconds is under way: the orders of those are all tried where they stand.
        let isIdle = world.crashed || world.decisions.isEmpty && world.effects.isEmpty && world.inbox.isEmpty
        if isIdle, state.time + 1 < times.count {
            add {
                $0.time += 1
                $0.world.advance(to: times[$0.time])
                if !$0.world.crashed { $0.world.take(.tick) }
            }
        }
        return found
    }

    static func judge(_ state: State, isEnd: Bool, _ setup: Setup) -> [String] {
        let jobs = [(Make.id("a"), setup.a), (Make.id("b"), setup.b)].compactMap { id, policy in policy.schedule.map { (id, start, $0) } }
        // Until the end, due times may still be on their way to the disk.
        var broken = isEnd ? state.world.broken(accounted: jobs) : state.world.violations
        if isEnd {
            let open = state.world.runs.values.filter { $0.outcome == nil }
            if !open.isEmpty { broken.append("at the end \(open.count) runs are open") }
            if state.world.jobs.values.contains(where: { !$0.pending.isEmpty }) { broken.append("at the end a start waits for ever") }
        }
        return broken
    }

    /// What a state is like: all that what follows can depend on, with runs named by what they are for.
    struct Fingerprint: Hashable {
        var high: UInt64 = 0x243F_6A88_85A3_08D3
        var low: UInt64 = 0x1319_8A2E_0370_7344

        init() {}

        init(_ state: State) {
            let world = state.world
            add(state.time, state.deaths, world.crashed ? 1 : 0, world.bootID.count, world.storedBoot?.count ?? 0)
            let names = Fingerprint.names(world)
            func name(_ id: RunID) -> Int { names[id] ?? 0 }
            addAll(world.jobs.values) { $0.add($1, name) }
            addAll(world.runs) { print, pair in
                print.add(name(pair.key), pair.value.open.state.hashValue, pair.value.open.bootID.count, pair.value.outcome?.hashValue ?? 0)
            }
            for (id, rows) in world.due.sorted(by: { $0.key < $1.key }) {
                add(id.name.hashValue)
                addAll(rows.values) { $0.add($1, name) }
            }
            addAll(world.containers) { print, pair in
                print.add(
                    name(pair.key), pair.value.endsAt ?? world.now <= world.now ? 1 : 0, pair.value.status?.ending.hashValue ?? 0,
                    pair.value.status?.stopRequested == true ? 1 : 0)
            }
            // What is started was started: a second start of the same would be a mistake that must not be merged away.
            addAll(world.starts) { $0.add(name($1.run)) }
            if !world.crashed { addDaemon(world, names) }
        }

        /// A number for each run, also one that is decided and not on disk yet: equal where runs are for the same, told apart by
        /// their order.
        private static func names(_ world: World) -> [RunID: Int] {
            var labels = world.runs.mapValues { $0.open.label }
            for decision in world.decisions {
                for case .openRun(let opening) in decision.writes { labels[opening.id] = opening.label }
            }
            var counts: [Int: Int] = [:]
            var names: [RunID: Int] = [:]
            for (id, label) in labels.sorted(by: { $0.key < $1.key }) {
                counts[label, default: 0] += 1
                names[id] = label &+ counts[label]! &* 7919
            }
            return names
        }

        private mutating func addDaemon(_ world: World, _ names: [RunID: Int]) {
            func name(_ id: RunID) -> Int { names[id] ?? 0 }
            addAll(world.effects) { print, effect in
                switch effect {
                case .launch(let request): print.add(1, name(request.id))
                case .stop(let id): print.add(2, name(id))
                case .settle(let id): print.add(3, name(id))
                case .probe(let request, _): print.add(4, name(request.id))
                }
            }
            addAll(world.inbox) { print, event in
                switch event {
                case .launched(let id, _, _, _): print.add(1, name(id))
                case .exited(let id, let status): print.add(2, name(id), status.ending.hashValue, status.stopRequested ? 1 : 0)
                default: print.add(event.hashValue)
                }
            }
            for decision in world.decisions {
                add(decision.writes.count)
                for write in decision.writes {
                    switch write {
                    case .openRun(let opening): add(1, name(opening.id))
                    case .runStarted(let id, _, _): add(2, name(id))
                    case .stopRequested(let id, _, _, _): add(6, name(id))
                    case .closeRun(let id, let outcome, _, _): add(3, name(id), outcome.hashValue)
                    case .due(let due): add(due, name)
                    case .dueCaughtUp(let id, let dueAt, let run): add(4, id.hashValue, dueAt.hashValue, name(run))
                    case .job(let job): add(job, name)
                    case .boot(let id): add(5, id.count)
                    case .era(let era): add(7, era)
                    case .copyTakenUp: add(8, 0)
                    case .event: break
                    case .service, .probe, .removeService, .removeJob: add(write.hashValue)
                    }
                }
            }
            let scheduler = world.scheduler
            addAll(scheduler.jobs.values) { print, job in
                print.add(job.record, name)
                print.addAll(job.active) { $0.add(name($1)) }
                print.add(scheduler.wakes[.job(job.record.id)]?.hashValue ?? 0)
            }
            addAll(scheduler.runs) { print, pair in print.add(name(pair.key), pair.value.startedAt == nil ? 0 : 1, pair.value.stopReason == nil ? 0 : 1) }
            addAll(scheduler.jobs.keys) { $0.add($1.hashValue, scheduler.pools.waitsSince($1)?.hashValue ?? 0) }
        }

        mutating func add(_ values: Int...) {
            for value in values {
                high = (high ^ UInt64(bitPattern: Int64(value))) &* 0xFF51_AFD7_ED55_8CCD
                high ^= high >> 33
                low = (low &+ UInt64(bitPattern: Int64(value))) &* 0x9E37_79B9_7F4A_7C15
                low ^= low >> 29
            }
        }

        /// In no order.
        mutating func addAll<Values: Collection>(_ values: Values, _ body: (inout Fingerprint, Values.Element) -> Void) {
            var sum: (UInt64, UInt64) = (0, 0)
            for value in values {
                var print = Fingerprint()
                body(&print, value)
                sum = (sum.0 &+ print.high, sum.1 &+ print.low)
            }
            add(values.count, Int(bitPattern: UInt(sum.0)), Int(bitPattern: UInt(sum.1)))
        }

        mutating func add(_ job: JobRecord, _ name: (RunID) -> Int) {
            add(job.id.hashValue, job.cursor.hashValue, job.bootID.count, job.lastOutcome?.hashValue ?? 0)
            addAll(job.pending) {
                $0.add($1.trigger.hashValue, $1.dueAt?.hashValue ?? 0, $1.attempt, $1.notBefore.hashValue, $1.queued ? 1 : 0, $1.needsSince?.hashValue ?? 0)
            }
            addAll(job.arrivals) { $0.add($1.job.hashValue, name($1.run)) }
        }

        mutating func add(_ due: DueRecord, _ name: (RunID) -> Int) {
            add(
                due.workload.hashValue, due.firstDueAt.hashValue, due.dueAt.hashValue, due.result.hashValue, due.reason?.hashValue ?? 0,
                due.runID.map(name) ?? 0)
        }
    }

    @Test(arguments: setups) func noStateBreaksAPromise(setup: Setup) {
        let outcome = Self.explore(setup)
        print("model '\(setup.name)': \(outcome.states) states, \(outcome.steps) steps, \(outcome.ends) ends, complete: \(outcome.isComplete)")
        #expect(outcome.broken.isEmpty, "\(outcome.broken.prefix(3))")
        #expect(outcome.isComplete && outcome.ends > 0)
    }
}

extension Run {
    fileprivate var label: Int { [workload.hashValue, dueAt.hashValue, trigger.hashValue, attempt].hashValue }
}
