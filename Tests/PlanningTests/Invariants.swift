import Planning
import Schedules
import WorkloadModel

/// The numbered promises about runs and due times, judged from what is on disk and what ran.
extension World {
    /// Sentences about what does not hold; none when all does.
    ///
    /// - Parameter accounted: jobs, each with the first instant from which its due times count and its schedule, when it
    ///   was never changed and the clock never set
    func broken(accounted: [(WorkloadID, Timestamp, Schedule)], deadlines: [WorkloadID: Duration] = [:]) -> [String] {
        var found = violations
        // A run for a due time starts within its job's deadline, or not at all.
        for start in starts where start.trigger == .schedule || start.trigger == .catchUp {
            guard let dueAt = start.dueAt, let deadline = deadlines[start.workload], start.at - dueAt > deadline else { continue }
            found.append("\(start.workload) \(dueAt) started \(DurationText.print(start.at - dueAt)) late, past its deadline")
        }
        // 2. User code starts at most once for a due time; a rerun is the one exception, and at most one.
        var byDue: [String: [Start]] = [:]
        for start in starts {
            guard let dueAt = start.dueAt else { continue }
            byDue["\(start.workload) \(dueAt)", default: []].append(start)
        }
        for (key, group) in byDue {
            let firsts = group.filter { $0.trigger == .schedule || $0.trigger == .catchUp }
            if firsts.count > 1 { found.append("\(key) was started \(firsts.count) times") }
            if group.filter({ $0.trigger == .rerun }).count > 1 { found.append("\(key) was rerun more than once") }
            let attempts = Dictionary(grouping: group.filter { $0.trigger == .retry }, by: \.attempt)
            for (attempt, same) in attempts where same.count > 1 + group.count(where: { $0.trigger == .rerun }) {
                found.append("\(key): attempt \(attempt) ran \(same.count) times")
            }
        }
        for (run, group) in Dictionary(grouping: starts, by: \.run) where group.count > 1 { found.append("run \(run) was started \(group.count) times") }
        // 7. A finished run is never touched again.
        for (id, run) in runs where run.closedTimes > 1 { found.append("run \(id) was closed \(run.closedTimes) times") }
        // 1. Every due time has exactly one row, or waits.
        for (id, from, schedule) in accounted { found += unaccounted(id, from, schedule) }
        // A row that says `ran` names a run of that due time.
        for (id, records) in due {
            for record in records.values where record.result == .ran {
                guard let run = record.runID, let stored = runs[run] else {
                    found.append("\(id) \(record.dueAt) ran as no run")
                    continue
                }
                if stored.open.dueAt != record.dueAt {
                    found.append("\(id) \(record.dueAt) ran as the run of \(stored.open.dueAt.map(\.description) ?? "none")")
                }
            }
        }
        return found
    }

    private func unaccounted(_ id: WorkloadID, _ from: Timestamp, _ schedule: Schedule) -> [String] {
        guard let job = jobs[id] else { return ["\(id) has no record"] }
        var found: [String] = []
        let records = (due[id] ?? [:]).values.sorted { $0.dueAt < $1.dueAt }
        let waiting = Set(job.pending.filter { $0.trigger == .schedule }.compactMap(\.dueAt))
        var expected = schedule.next(after: from)?.at
        for record in records {
            // Due times that wait have no row yet.
            while let next = expected, next < record.firstDueAt, waiting.contains(next) { expected = schedule.next(after: next)?.at }
            guard expected == record.firstDueAt else {
                found.append("\(id): after \(expected.map(\.description) ?? "none") comes the row of \(record.firstDueAt) (\(record.result))")
                return found
            }
            let count = schedule.count(after: record.firstDueAt - .milliseconds(1000), through: record.dueAt)
            if count != record.count { found.append("\(id): the row of \(record.dueAt) counts \(record.count) due times, and there are \(count)") }
            expected = schedule.next(after: record.dueAt)?.at
        }
        while let next = expected, next <= now, waiting.contains(next) { expected = schedule.next(after: next)?.at }
        if let next = expected, next <= job.cursor { found.append("\(id): the due time \(next) has no row and does not wait") }
        if let next = expected, next <= now, !crashed { found.append("\(id): the due time \(next) passed and nothing was made of it") }
        return found
    }
}
