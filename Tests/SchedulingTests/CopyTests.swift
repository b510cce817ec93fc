import Ledger
import EngineAPI
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

/// The history was lost, and a copy from before is in its place. For each seed another: when the copy was made, when the daemon died, what ran.
@Suite struct CopyTests {
    static let start = Make.time("2026-06-01T00:00:00Z")

    struct Case {
        var world: World
        let jobs: [(WorkloadID, Timestamp, Schedule)]
        /// What was on disk when the copy was made.
        let copy: World
        /// Services whose container lived when the daemon died.
        let lived: [WorkloadID: RunID]

        init(seed: UInt64) {
            var dice = Dice(seed: seed)
            var world = World(at: CopyTests.start, seed: seed)
            var workloads: [Workload] = []
            var accounted: [(WorkloadID, Timestamp, Schedule)] = []
            for (index, text) in ["*/5 * * * *", "every 7m", "30 * * * *"].enumerated() {
                let schedule = Make.schedule(text, zone: Make.zone("UTC"))
                let policy = JobPolicy(
                    schedule: schedule, overlap: OverlapPolicy.allCases.randomElement(using: &dice)!,
                    missed: MissedPolicy(kind: MissedPolicy.Kind.allCases.randomElement(using: &dice)!, limit: 5),
                    retries: RetryPolicy(limit: Int.random(in: 0...2, using: &dice), backoff: .seconds(200)))
                workloads.append(Make.job("job\(index)", policy))
                accounted.append((Make.id("job\(index)"), CopyTests.start, schedule))
            }
            workloads.append(Make.service("web", .always))
            world.script = { request, dice in
                (
                    .seconds(Int64.random(in: request.kind == .service ? 3600...90_000 : 1...1500, using: &dice)),
                    Int.random(in: 0..<4, using: &dice) == 0 ? .exited(code: 1) : .exited(code: 0)
                )
            }
            world.launchTakes = .milliseconds(Int64.random(in: 0...3000, using: &dice))
            world.take(.apply(Recipe(project: Make.id("x").project, workloads: workloads, volumes: [], pools: [:], digest: "d"), explicit: true, actor: "test"))
            world.run(until: CopyTests.start + .seconds(Int64.random(in: 600...20_000, using: &dice)))
            copy = world
            world.run(until: world.now + .seconds(Int64.random(in: 0...20_000, using: &dice)))
            let newBoot = Int.random(in: 0..<3, using: &dice) == 0
            let live = newBoot ? [:] : world.observed().filter { if case .alive = $0.value { true } else { false } }
            lived = Dictionary(
                live.keys.compactMap { id in world.containers[id].map { ($0.request.workload, id) } }.filter { $0.0 == Make.id("web") }, uniquingKeysWith: max)
            world.restart(after: .seconds(Int64.random(in: 0...4000, using: &dice)), newBoot: newBoot, from: copy)
            world.run(until: world.now + .seconds(20_000))
            self.world = world
            jobs = accounted
        }
    }

    /// None is run twice, each has its row, and those that nobody knows of are called that.
    @Test func dueTimesSinceTheCopyAreAccountedForAndNotRunAgain() {
        var (lost, found) = (0, 0)
        for seed in UInt64(0)..<60 {
            let trial = Case(seed: seed)
            let broken = trial.world.broken(accounted: trial.jobs)
            #expect(broken.isEmpty, "seed \(seed): \(broken.prefix(5).joined(separator: "; "))")
            lost += trial.world.due.values.reduce(0) { $0 + $1.values.count { $0.reason == .historyLost } }
            found += trial.world.due.values.reduce(0) { sum, rows in
                sum
                    + rows.values.count { row in
                        row.result == .ran && row.dueAt > trial.copy.now && row.runID.map { $0 < RunID(now: trial.world.now, random: 0) } ?? false
                    }
            }
            if !broken.isEmpty { break }
        }
        #expect(lost > 60 && found > 12)
    }

    /// A container that the copy does not know is the service's, as the one that it knows.
    @Test func aServiceThatLivesIsNotStartedAgain() {
        var count = 0
        for seed in UInt64(0)..<60 {
            let trial = Case(seed: seed)
            guard let run = trial.lived[Make.id("web")] else { continue }
            count += 1
            let stops = trial.world.runs[run]?.open.stopReason
            #expect(trial.world.runs[run] != nil && stops == nil, "seed \(seed): \(stops ?? "it is not known")")
            let twice = trial.world.starts.filter {
                $0.workload == Make.id("web") && $0.run > run && $0.at < (trial.world.containers[run]?.endsAt ?? trial.copy.now)
            }
            #expect(twice.isEmpty, "seed \(seed): \(twice)")
            if stops != nil || !twice.isEmpty { break }
        }
        #expect(count > 12)
    }
}
