internal import EngineAPI
internal import Ledger
internal import Schedules
internal import WorkloadModel

/// Due times that nobody attended to.
extension Scheduler {
    /// Accounts for the due times up to now that nobody attended to: one row for all of them, never a list of millions,
    /// and the runs that the job's policy asks for.
    mutating func missDueTimes(_ id: WorkloadID, _ reason: DueReason, _ now: Timestamp) {
        guard var job = jobs[id], !job.removing, let schedule = job.policy.schedule else { return }
        guard schedule.next(after: job.record.cursor).map({ $0.at <= now }) == true else { return }
        if let seen = job.record.seen, seen <= now, seen > job.record.cursor {
            // What was accounted for before the clock was set far back is not missed now that it has come forward again.
            job.record.cursor = seen
            jobs[id] = job
        }
        guard let first = schedule.next(after: job.record.cursor), first.at <= now else { return }
        let last = schedule.previous(before: now + .milliseconds(1)) ?? first
        let caughtUp = job.record.paused ? [] : catchUps(job.policy, schedule, after: job.record.cursor, now)
        if job.policy.missed.kind == .all, let oldest = caughtUp.first {
            missOneByOne(id, schedule, from: oldest, caughtUp: Set(caughtUp), reason, now)
            missStretch(id, schedule, first: first.at, through: oldest - .seconds(1), reason)
        } else {
            missStretch(id, schedule, first: first.at, through: last.at, reason)
        }
        jobs[id]?.record.cursor = max(last.at, now)
        for dueAt in caughtUp { jobs[id]?.record.pending.append(PendingStart(trigger: .catchUp, dueAt: dueAt, notBefore: now, queued: true)) }
        startPending(id, now)
    }

    /// The history takes writes again. Of the due times that passed meanwhile, the latest is started as if it were due now, when it is
    /// not older than ``lateTolerance``; the others are missed.
    mutating func release(_ now: Timestamp) {
        guard isHeld else { return }
        holds.remove(.historyFails)
        gather(now) { scheduler in
            for id in scheduler.jobs.keys.sorted() { scheduler.missHeldDueTimes(id, now) }
        }
        for id in services.keys.sorted() { evaluateService(id, now) }
    }

    private mutating func missHeldDueTimes(_ id: WorkloadID, _ now: Timestamp) {
        missPending(id, .historyUnwritable, now)
        guard let job = jobs[id], !job.removing, let schedule = job.policy.schedule, let last = schedule.previous(before: now + .milliseconds(1)),
            last.at > job.record.cursor
        else { return }
        if last.at < now - Scheduler.lateTolerance || job.policy.missed.kind == .all {
            missDueTimes(id, .historyUnwritable, now)
        } else if let first = schedule.next(after: job.record.cursor), first.at < last.at {
            let before = last.at - .seconds(1)
            missStretch(id, schedule, first: first.at, through: before, .historyUnwritable)
            jobs[id]?.record.cursor = before
        }
    }

    /// One row for all due times from `first` on that are not later than `end`.
    private mutating func missStretch(_ id: WorkloadID, _ schedule: Schedule, first: Timestamp, through end: Timestamp, _ reason: DueReason) {
        guard first <= end, let last = schedule.previous(before: end + .milliseconds(1)), last.at >= first else { return }
        let count = schedule.count(after: first - .seconds(1), through: last.at)
        write(.due(DueRecord(workload: id, dueAt: last.at, firstDueAt: first, result: .missed, reason: reason, count: count, era: jobs[id]?.record.era ?? 0)))
    }

    /// A row for each due time from one on: missed, and caught up, or excluded.
    private mutating func missOneByOne(
        _ id: WorkloadID, _ schedule: Schedule, from oldest: Timestamp, caughtUp: Set<Timestamp>, _ reason: DueReason, _ now: Timestamp
    ) {
        var after = oldest - .seconds(1)
        while let due = schedule.next(after: after), due.at <= now {
            if due.excluded, !caughtUp.contains(due.at) {
                skip(id, due.at, .excluded)
            } else {
                write(.due(DueRecord(workload: id, dueAt: due.at, result: .missed, reason: reason, era: jobs[id]?.record.era ?? 0)))
            }
            after = due.at
        }
    }

    /// The clock was set far back: due times count from now, and what was accounted for stays so. A due time that waited
    /// may come again, or lies so far back that only a catch-up is left of it.
    mutating func beginEra(_ id: WorkloadID, _ now: Timestamp) {
        guard var job = jobs[id] else { return }
        for start in job.record.pending where start.trigger == .schedule {
            guard let dueAt = start.dueAt else { continue }
            write(.due(DueRecord(workload: id, dueAt: dueAt, result: .missed, reason: .clockJump, era: job.record.era)))
            guard dueAt <= now, job.policy.missed.kind != .skip, !job.record.paused else { continue }
            job.record.pending.append(PendingStart(trigger: .catchUp, dueAt: dueAt, notBefore: now, queued: true))
        }
        job.record.pending.removeAll { $0.trigger == .schedule }
        for start in job.record.pending where start.dueAt ?? now > now {
            event("dropped", "\(start.words) was dropped: the clock has yet to come to its due time again", now, workload: id)
        }
        let dropped = job.record.pending.filter { $0.dueAt ?? now > now }
        job.record.pending.removeAll { $0.dueAt ?? now > now }
        job.record.seen = max(job.record.seen ?? job.record.cursor, job.record.cursor)
        job.record.era += 1
        job.record.cursor = now
        jobs[id] = job
        passOnDropped(dropped, of: id, now)
    }

    /// Due times that waited, for their jitter or for another run, and were waited for too long: they are missed ones.
    mutating func missPending(_ id: WorkloadID, _ reason: DueReason, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        // What waited for another run, or for a place, was attended to: while the host was up, it waits on.
        let late = job.record.pending.filter { start in
            start.trigger == .schedule && max(start.notBefore, start.dueAt ?? now) < now - Scheduler.lateTolerance && (!start.queued || reason == .hostOff)
        }
        guard !late.isEmpty else { return }
        jobs[id]?.record.pending.removeAll { late.contains($0) }
        for (index, start) in late.enumerated() {
            guard let dueAt = start.dueAt else { continue }
            write(.due(DueRecord(workload: id, dueAt: dueAt, result: .missed, reason: reason, era: job.record.era)))
            let inTime = job.policy.deadline.map { now - dueAt <= $0 } ?? true
            let wanted = job.policy.missed.kind == .all || job.policy.missed.kind == .last && index == late.count - 1
            let window = job.policy.missed.window ?? (job.policy.missed.kind == .last ? job.policy.schedule.map { Scheduler.lastWindow($0, dueAt) } : nil)
            guard wanted, inTime, !job.record.paused, window.map({ now - dueAt <= $0 }) ?? true else { continue }
            jobs[id]?.record.pending.append(PendingStart(trigger: .catchUp, dueAt: dueAt, notBefore: now, queued: true))
        }
    }

    /// The missed due times that are to be run after all, ascending.
    private func catchUps(_ policy: JobPolicy, _ schedule: Schedule, after cursor: Timestamp, _ now: Timestamp) -> [Timestamp] {
        let limit = policy.missed.kind == .all ? policy.missed.limit : policy.missed.kind == .last ? 1 : 0
        var found: [Timestamp] = []
        var bound = now + .milliseconds(1)
        var looked = 0
        while found.count < limit, looked < 1000, let due = schedule.previous(before: bound), due.at > cursor {
            looked += 1
            bound = due.at
            let age = now - due.at
            if let deadline = policy.deadline, age > deadline { break }
            let window = policy.missed.window ?? (policy.missed.kind == .last ? Scheduler.lastWindow(schedule, due.at) : nil)
            if let window, age > window { break }
            if !due.excluded { found.append(due.at) }
        }
        return found.reversed()
    }

    /// How old the last missed due time may be: the job's period, but at most a day.
    private static func lastWindow(_ schedule: Schedule, _ due: Timestamp) -> Duration {
        let day = Duration.seconds(86400)
        var next = schedule.next(after: due)
        // A due time on a day that is excluded is no reason to give up the one before it.
        while let excluded = next, excluded.excluded, excluded.at - due < day { next = schedule.next(after: excluded.at) }
        return next.map { min($0.at - due, day) } ?? day
    }

    /// The history is a copy from before. What became of due times and of waiting starts since then is not known, but for runs that were found: all
    /// are accounted for, and none of them is run, since it may have been.
    mutating func loseTime(_ found: [Run], _ observed: [RunID: ObservedRun], sameBoot: Bool, _ now: Timestamp) {
        write(.copyTakenUp)
        let runs = found.count == 1 ? "one run" : "\(found.count) runs"
        event("restored", "the history was lost; what is known now is from a copy, and from what was found of \(runs)", now)
        for run in found {
            write(.openRun(run))
            guard case .alive? = observed[run.id], run.kind == .service else { continue }
            // It lives, so it was wanted as it is.
            services[run.instance]?.record.generation = run.generation
            services[run.instance]?.record.wanted = true
        }
        let ran = Dictionary(grouping: found.filter { $0.kind == .job && $0.trigger == .schedule && $0.dueAt != nil }, by: \.workload)
        for id in jobs.keys.sorted() { loseTime(of: id, ran[id] ?? [], sameBoot: sameBoot, now) }
    }

    private mutating func loseTime(of id: WorkloadID, _ ran: [Run], sameBoot: Bool, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        let dueRuns = Dictionary(ran.map { ($0.dueAt ?? now, $0.id) }) { first, _ in first }
        for start in job.record.pending {
            if start.trigger == .schedule, let dueAt = start.dueAt {
                guard dueRuns[dueAt] == nil else { continue }
                write(.due(DueRecord(workload: id, dueAt: dueAt, result: .missed, reason: .historyLost, note: start.note, era: job.record.era)))
            } else {
                event("dropped", "\(start.words) was dropped: the history was lost, and it may have run since the copy was made", now, workload: id)
            }
        }
        jobs[id]?.record.pending = []
        jobs[id]?.record.arrivals = []
        if sameBoot { jobs[id]?.record.bootID = bootID }
        for (dueAt, run) in dueRuns.sorted(by: { $0.key < $1.key }) {
            write(.due(DueRecord(workload: id, dueAt: dueAt, result: .ran, runID: run, era: job.record.era)))
        }
        guard job.record.cursor < now else { return }
        jobs[id]?.record.cursor = now
        guard !job.removing, let schedule = job.policy.schedule else { return }
        var after = job.record.cursor
        for dueAt in dueRuns.keys.sorted() where dueAt > after && dueAt <= now {
            if let first = schedule.next(after: after)?.at { missStretch(id, schedule, first: first, through: dueAt - .seconds(1), .historyLost) }
            after = dueAt
        }
        if let first = schedule.next(after: after)?.at { missStretch(id, schedule, first: first, through: now, .historyLost) }
    }
}
