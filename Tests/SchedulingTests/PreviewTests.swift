import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

/// What is due next, as it is shown.
@Suite struct PreviewTests {
    private static let start = Make.time("2026-03-28T20:00:00Z")
    private static let schedules = ["* * * * *", "*/7 * * * *", "0 3 * * *", "every 45m", "0 0 29 2 *", "30 1 * * SUN", "at 2026-03-28T21:00", "@reboot"]

    /// The due times one by one, sorted, cut: what a person would do.
    private static func plain(_ recipe: Recipe, count: Int, each: Int?) -> [String] {
        var found: [(Timestamp, WorkloadID)] = []
        for workload in recipe.workloads {
            var after = start
            for _ in 0..<min(count, each ?? count) {
                guard let due = workload.jobPolicy?.schedule?.next(after: after) else { break }
                found.append((due.at, workload.id))
                after = due.at
            }
        }
        return found.sorted { $0 < $1 }.prefix(count).map { "\($0.0) \($0.1)" }
    }

    @Test(arguments: [1, 2, 3, 20, 500], [nil, 1, 3, 40]) func theNextDueTimesAreThoseOfAll(count: Int, each: Int?) throws {
        let zone = Make.zone("Europe/Berlin")
        let jobs = Self.schedules.enumerated().flatMap { index, text in
            ["a", "b"].map { Make.job("\($0)\(index)", JobPolicy(schedule: Make.schedule(text, zone: zone))) }
        }
        let recipe = Recipe(project: try ProjectName("shop"), workloads: jobs + [Make.job("hand", JobPolicy())], volumes: [], digest: "d")
        let found = Preview.next([recipe], name: nil, from: Self.start, count: count, each: each)
        #expect(found.map { "\($0.due.at) \($0.job)" } == Self.plain(recipe, count: count, each: each))
        if let each { #expect(Dictionary(grouping: found, by: \.job).values.allSatisfy { $0.count <= each }) }
        let one = Preview.next([recipe], name: "a0", from: Self.start, count: count, each: each)
        #expect(one.count == min(count, each ?? count) && one.allSatisfy { $0.job.name.description == "a0" })
    }
}
