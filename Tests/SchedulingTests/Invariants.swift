import Ledger
import Scheduling
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
        for start in starts where [.schedule, .catchUp].contains(start.trigger) && !overtaken.contains(start.run) {
            guard let dueAt = start.dueAt, let deadline = deadlines[start.workload], start.at - dueAt > deadline + launchTakes else { continue }
            found.append("\(start.workload) \(dueAt) started \(DurationText.print(start.at - dueAt)) late, past its deadline")
        }
        // 2. User code starts at most once for a due time; a rerun is the one exception, and at most one.
        var byDue: [String: [Start]] = [:]
        for start in starts {
            guard let dueAt = start.dueAt else { continue }
            byDue["\(start.workload) \(dueAt) in era \(start.era)\(start.arrivals.last.map { " after \($0.run)" } ?? "")", default: []].append(start)
        }
        for (key, group) in byDue {
            let firsts = group.filter { $0.trigger == .schedule || $0.trigger == .catchUp }
            if firsts.count > 1 { found.append("\(key) was started \(firsts.count) times") }
            if group.filter({ $0.trigger == .rerun }).count > 1 { found.append("\(key) was rerun more than once") }
            let attempts = Dictionary(grouping: group.filter { $0.trigger == .retry }, by: \.attempt)
            // A run that the clock's correction outlived may be tried again after it, beside the one of the new era.
            let more = group.count { $0.trigger == .rerun || $0.trigger == .manual } + (group[0].era > 0 ? 1 : 0)
            for (attempt, same) in attempts where same.count > 1 + more {
                found.append("\(key): attempt \(attempt) ran \(same.count) times")
            }
        }
        for (run, group) in Dictionary(grouping: starts, by: \.run) where group.count > 1 { found.append("run \(run) was started \(group.count) times") }
        // Never a storm: a bound on one job's starts within a second, of one daemon, people's own aside.
        let own = starts.filter { $0.trigger != .manual && jobs[$0.workload] != nil }
        for (key, group) in Dictionary(grouping: own, by: { "\($0.workload) \($0.daemon)" }) {
            for (earlier, later) in zip(group, group.dropFirst(10)) where later.steady - earlier.steady < .seconds(1) {
                found.append("\(key) was started more than ten times within a second, at \(later.at)")
            }
        }
        // 7. A finished run is never touched again.
        for (id, run) in runs where run.closedTimes > 1 { found.append("run \(id) was closed \(run.closedTimes) times") }
        // 1. Every due time has exactly one row, or waits.
        for (id, from, schedule) in accounted { found += unaccounted(id, from, schedule) }
        for recipe in recipes.values {
            for workload in recipe.workloads { found += unfollowed(workload) + unasked(workload) }
        }
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

    /// A service that its policy does not start again after an end is started by a person only.
    private func unasked(_ service: Workload) -> [String] {
        guard case .service(let policy) = service.kind else { return [] }
        let own = starts.filter { $0.workload == service.id && runs[$0.run]?.open.kind == .service }
        return zip(own, own.dropFirst()).compactMap { earlier, later in
            guard let before = runs[earlier.run], let after = runs[later.run], before.open.generation == after.open.generation else { return nil }
            let isOver =
                switch policy.restart {
                case .no: true
                case .onFailure: before.outcome == .succeeded && before.open.stopReason == nil
                case .always, .unlessStopped: false
                }
            let wasUnhealthy = policy.onUnhealthy == .restart && before.open.stopReason?.hasPrefix("it was unhealthy") == true
            guard isOver, !wasUnhealthy, earlier.asked == later.asked else { return nil }
            return "\(service.id) ended (\(before.outcome?.rawValue ?? "open")) at run \(earlier.run), and was started again at \(later.at) though nobody asked"
        }
    }

    /// Every end that a job comes after starts it once, waits, or was dropped, which was said: see `AfterCondition`.
    private func unfollowed(_ follower: Workload) -> [String] {
        guard let policy = follower.jobPolicy, policy.schedule == nil, !policy.after.isEmpty, let record = jobs[follower.id] else { return [] }
        var found: [String] = []
        let own = runs.values.filter { $0.open.workload == follower.id }
        var started: [RunID: Int] = [:]
        for run in own where run.open.trigger == .after { for arrival in run.open.arrivals { started[arrival.run, default: 0] += 1 } }
        for (run, times) in started where times > 1 { found.append("\(follower.id) was started \(times) times after run \(run)") }
        let waiting = Set((record.pending.flatMap { $0.arrivals ?? [] } + record.arrivals).map(\.run))
        let dropped = events.enumerated().filter {
            $0.element.workload == follower.id.name && $0.element.project == follower.id.project && $0.element.kind == "dropped"
        }.map { (index: $0.offset, text: $0.element.text) }
        let named = Set(dropped.compactMap { $0.text.split(separator: "(run ").dropFirst().first?.prefix { $0 != ")" } }.compactMap { RunID(String($0)) })
        for (name, condition) in policy.after {
            let job = WorkloadID(project: follower.id.project, name: name)
            // What is tried again has not ended for good.
            let triedAgain = Set(runs.values.compactMap(\.open.retryOf) + (jobs[job]?.pending ?? []).compactMap(\.retryOf))
            let ends = runs.filter { id, run in
                run.open.workload == job && run.open.kind == .job && run.outcome != nil && !triedAgain.contains(id)
            }
            let last = ends.values.map(\.closedAfter.runs).max() ?? 0
            for (id, run) in ends where run.outcome.map(condition.holds) == true {
                if started[id] != nil || waiting.contains(id) || named.contains(id) { continue }
                // Of several ends that it waits for, a later one of the same job takes the place of an earlier one, and an event names only
                // the last of those that a start was for.
                if policy.after.count > 1, run.closedAfter.runs < last || dropped.contains(where: { $0.index >= run.closedAfter.events }) { continue }
                found.append("\(follower.id) never heard of the end of \(job)'s run \(id)")
            }
        }
        return found
    }

    private func unaccounted(_ id: WorkloadID, _ from: Timestamp, _ schedule: Schedule) -> [String] {
        guard let job = jobs[id] else { return ["\(id) has no record"] }
        let eras = eras[id] ?? [Era(from: from, seen: nil)]
        var found: [String] = []
        for (number, era) in eras.enumerated() {
            let records = (due[id] ?? [:]).values.filter { $0.era == number }.sorted { $0.dueAt < $1.dueAt }
            let isLast = number == eras.count - 1
            let waiting = isLast ? Set(job.pending.filter { $0.trigger == .schedule }.compactMap(\.dueAt)) : []
            let context = "\(id) era \(number)"
            found += unaccounted(
                context, records, waiting, schedule, from: number == 0 ? from : era.from, seen: era.seen, through: era.through ?? job.cursor, isLast)
        }
        return found
    }

    /// - Parameters:
    ///   - seen: how far an earlier era had come; due times up to there may be left out once
    ///   - through: how far this era has come
    private func unaccounted(
        _ context: String, _ records: [DueRecord], _ waiting: Set<Timestamp>, _ schedule: Schedule, from: Timestamp, seen: Timestamp?,
        through: Timestamp, _ isLast: Bool
    ) -> [String] {
        var found: [String] = []
        var expected = schedule.next(after: from)?.at
        for record in records {
            // Due times that wait have no row yet.
            while let next = expected, next < record.firstDueAt, waiting.contains(next) { expected = schedule.next(after: next)?.at }
            if let seen, let next = expected, next <= seen, record.firstDueAt == schedule.next(after: seen)?.at { expected = record.firstDueAt }
            guard expected == record.firstDueAt else {
                found.append("\(context): after \(expected.map(\.description) ?? "none") comes the row of \(record.firstDueAt) (\(record.result))")
                return found
            }
            let count = schedule.count(after: record.firstDueAt - .milliseconds(1000), through: record.dueAt)
            if count != record.count { found.append("\(context): the row of \(record.dueAt) counts \(record.count) due times, and there are \(count)") }
            expected = schedule.next(after: record.dueAt)?.at
        }
        while let next = expected, next <= through, waiting.contains(next) { expected = schedule.next(after: next)?.at }
        if let seen, let next = expected, next <= seen, through >= seen { expected = schedule.next(after: seen)?.at }
        if let next = expected, next <= through { found.append("\(context): the due time \(next) has no row and does not wait") }
        if isLast, let next = expected, next <= now, !crashed { found.append("\(context): the due time \(next) passed and nothing was made of it") }
        return found
    }
}
