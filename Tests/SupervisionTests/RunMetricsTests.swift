import Ledger
import Schedules
import Supervision
import TestKit
import Testing
import WorkloadModel

@Suite struct RunMetricsTests {
    private static let now = Timestamp(seconds: 1_800_000_000)

    private func run(_ number: UInt32, _ name: String) -> Run {
        Run(id: RunID(now: Self.now, random: number), instance: Make.instance(name), kind: .job, trigger: .manual, decidedAt: Self.now)
    }

    private func end(_ run: Run, _ outcome: Outcome, after seconds: Int64?) -> Write {
        var status = ExitStatus(ending: .exited(code: 0), finishedAt: Self.now + .seconds(seconds ?? 0))
        status.startedAt = seconds.map { _ in Self.now }
        status.usage.cpuMicroseconds = 7
        status.usage.memoryPeakBytes = Int64(run.id.description.utf8.last ?? 0)
        status.usage.logDroppedBytes = 10
        return .closeRun(run.id, outcome, status, reason: nil)
    }

    @Test func runsAndDueTimesAreCounted() throws {
        var metrics = RunMetrics()
        let runs = (0..<4).map { run(UInt32($0), "a") }
        // One of an earlier daemon, which nobody opens here.
        metrics.know([runs[0]])
        metrics.take(runs.dropFirst().map { .openRun($0) })
        metrics.take([end(runs[0], .succeeded, after: 2), end(runs[1], .failed, after: 20), end(runs[2], .startError, after: nil)])
        // The end of a run that is closed, or was never known, counts nothing.
        metrics.take([end(runs[0], .failed, after: 2), end(run(9, "b"), .failed, after: 1)])
        metrics.take([
            .due(DueRecord(workload: Make.id("a"), dueAt: Self.now, result: .ran)),
            .due(DueRecord(workload: Make.id("a"), dueAt: Self.now, result: .missed, reason: .hostOff, count: 5)),
            .due(DueRecord(workload: Make.id("a"), dueAt: Self.now, result: .missed, reason: .hostOff)),
        ])
        let entry = try #require(metrics.entries[Make.id("a")])
        #expect(entry.outcomes == [.succeeded: 1, .failed: 1, .startError: 1])
        #expect(entry.dueTimes == [.init(result: .ran, reason: nil): 1, .init(result: .missed, reason: .hostOff): 6])
        #expect(entry.cpuMicroseconds == 21 && entry.droppedLogBytes == 30 && entry.memoryPeakBytes == Int64(runs[2].id.description.utf8.last ?? 0))
        #expect(entry.durations.sum == 22 && entry.durations.counts.reduce(0, +) == 2)
        #expect(metrics.entries.count == 1)
        metrics.keep([])
        #expect(metrics.entries.isEmpty)
        // A run that goes on when its job is taken away is counted when it comes back.
        metrics.take([end(runs[3], .stopped, after: 1)])
        #expect(metrics.entries[Make.id("a")]?.outcomes == [.stopped: 1])
    }

    @Test func aValueIsInTheFirstBucketThatHasRoom() {
        var histogram = Histogram(bounds: [1, 5])
        for value in [0, 1, 1.5, 5, 6, 1e9] { histogram.add(value) }
        #expect(histogram.counts == [2, 2, 2] && histogram.sum == 1e9 + 13.5)
    }
}
