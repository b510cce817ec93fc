internal import Schedules
internal import WorkloadModel

/// Jobs: run at their time, each due time accounted for.
extension Machine {
    /// Handles what is due and what waits, and asks to be woken for what comes next.
    mutating func evaluateJob(_ id: WorkloadID, _ now: Timestamp) {
        guard jobs[id] != nil, !leaving else { return }
        takeDueTimes(id, now)
        startPending(id, now)
        guard let job = jobs[id], !job.removing else { return }
        let nextDue = job.policy.schedule?.next(after: job.record.cursor)?.at
        let nextPending = job.record.pending.map(\.notBefore).filter { $0 > now }.min()
        wake(id, at: [nextDue, nextPending].compactMap { $0 }.min())
    }

    /// Accounts for every due time up to now.
    private mutating func takeDueTimes(_ id: WorkloadID, _ now: Timestamp) {
        while let job = jobs[id], !job.removing, let due = job.policy.schedule?.next(after: job.record.cursor), due.at <= now {
            if due.at < now - Machine.lateTolerance {
                missDueTimes(id, .daemonDown, now)
                continue
            }
            jobs[id]?.record.cursor = due.at
            arrive(id, due, now)
            if let record = jobs[id]?.record { write(.job(record)) }
        }
    }

    private mutating func arrive(_ id: WorkloadID, _ due: DueTime, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        if due.excluded {
            skip(id, due.at, .excluded, note: Machine.note(due))
        } else if job.record.paused {
            skip(id, due.at, .paused, note: Machine.note(due))
        } else if due.delay > .zero {
            jobs[id]?.record.pending.append(PendingStart(trigger: .schedule, dueAt: due.at, notBefore: due.at + due.delay, queued: false))
        } else {
            startScheduled(id, due.at, note: Machine.note(due), now)
        }
    }

    private static func note(_ due: DueTime) -> String? {
        due.moved.isEmpty ? nil : "stands for " + due.moved.map(\.shortClock).joined(separator: ", ") + ", which the clock skipped"
    }

    /// A due time whose moment has come: it runs, waits, or is skipped because another run is still going.
    private mutating func startScheduled(_ id: WorkloadID, _ dueAt: Timestamp, note: String? = nil, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        if let deadline = job.policy.deadline, now - dueAt > deadline {
            skip(id, dueAt, .deadline, note: note)
            return
        }
        if job.active.isEmpty || job.policy.overlap == .allow {
            dropRetries(id, before: dueAt, now)
            let run = launchJob(id, PendingStart(trigger: .schedule, dueAt: dueAt, notBefore: now, queued: true), now)
            write(.due(DueRecord(workload: id, dueAt: dueAt, result: .ran, runID: run, note: note)))
            return
        }
        let waiting = job.record.pending.first { $0.trigger == .schedule && $0.queued }
        switch job.policy.overlap {
        case .allow, .skip: skip(id, dueAt, .overlap, note: note)
        case .queue:
            if waiting != nil {
                skip(id, dueAt, .overlap, note: note)
            } else {
                jobs[id]?.record.pending.append(PendingStart(trigger: .schedule, dueAt: dueAt, notBefore: now, queued: true))
            }
        case .replace:
            // Only the newest waits for the running one to go.
            if let waiting, let earlier = waiting.dueAt {
                jobs[id]?.record.pending.removeAll { $0 == waiting }
                skip(id, earlier, .overlap)
            }
            jobs[id]?.record.pending.append(PendingStart(trigger: .schedule, dueAt: dueAt, notBefore: now, queued: true))
            for run in job.active { stopRun(run, reason: "replaced by the run due at \(dueAt)") }
        }
    }

    private mutating func skip(_ id: WorkloadID, _ dueAt: Timestamp, _ reason: DueReason, note: String? = nil) {
        write(.due(DueRecord(workload: id, dueAt: dueAt, result: .skipped, reason: reason, note: note)))
    }

    /// Starts what waits and may start now.
    private mutating func startPending(_ id: WorkloadID, _ now: Timestamp) {
        var changed = false
        while let job = jobs[id], !job.removing {
            // All but a due time whose jitter is over wait for the job to be idle.
            let ready = job.record.pending.filter { $0.notBefore <= now && (job.active.isEmpty || !$0.queued) }
            guard let next = ready.min(by: { $0.notBefore < $1.notBefore }), let index = job.record.pending.firstIndex(of: next) else { break }
            changed = true
            jobs[id]?.record.pending.remove(at: index)
            if job.record.paused, next.trigger != .manual {
                if next.trigger == .schedule, let dueAt = next.dueAt {
                    skip(id, dueAt, .paused)
                } else {
                    event("dropped", "a \(next.trigger.rawValue) was dropped because the job is paused", now, workload: id)
                }
            } else if next.trigger == .schedule, let dueAt = next.dueAt {
                startScheduled(id, dueAt, now)
            } else if next.trigger == .catchUp, let dueAt = next.dueAt, let deadline = job.policy.deadline, now - dueAt > deadline {
                event("dropped", "the catch-up of \(dueAt) waited past its deadline", now, workload: id)
            } else {
                let run = launchJob(id, next, now)
                if next.trigger == .catchUp, let dueAt = next.dueAt { write(.dueCaughtUp(id, dueAt: dueAt, run)) }
            }
        }
        if changed, let record = jobs[id]?.record { write(.job(record)) }
    }

    /// A retry of an older due time gives way to a newer one; that is said, not hidden.
    private mutating func dropRetries(_ id: WorkloadID, before dueAt: Timestamp, _ now: Timestamp) {
        guard let job = jobs[id], job.policy.overlap != .allow else { return }
        for pending in job.record.pending where pending.trigger == .retry && pending.dueAt ?? dueAt < dueAt {
            event("dropped", "retry \(pending.attempt) gave way to the next due time", now, workload: id)
        }
        jobs[id]?.record.pending.removeAll { $0.trigger == .retry && $0.dueAt ?? dueAt < dueAt }
    }

    private mutating func launchJob(_ id: WorkloadID, _ start: PendingStart, _ now: Timestamp) -> RunID {
        // The callers hold the job in their hands, so it is there.
        let job = jobs[id]!
        let run = launch(
            job.workload, digest: job.digest, trigger: start.trigger, dueAt: start.dueAt, attempt: start.attempt, timeout: job.policy.timeout,
            lastOutcome: job.record.lastOutcome, now)
        jobs[id]?.active.append(run)
        return run
    }

    mutating func jobEnded(_ run: ActiveRun, _ runID: RunID, _ outcome: Outcome, _ status: ExitStatus, _ now: Timestamp) {
        let id = run.request.workload
        guard var job = jobs[id] else { return }
        job.active.removeAll { $0 == runID }
        if job.removing {
            jobs[id] = job
            if job.active.isEmpty {
                jobs[id] = nil
                write(.removeWorkload(id, .job))
            }
            return
        }
        let good = outcome == .succeeded
        job.record.streak = job.record.lastOutcome.map { ($0 == .succeeded) == good } == true ? job.record.streak + 1 : 1
        job.record.lastOutcome = outcome
        if outcome.isFailure, run.request.attempt <= job.policy.retries.limit, run.stopReason == nil, !job.record.paused {
            let delay = job.policy.retries.delay(afterAttempt: run.request.attempt)
            job.record.pending.append(
                PendingStart(trigger: .retry, dueAt: run.request.dueAt, attempt: run.request.attempt + 1, notBefore: now + delay, queued: true))
        }
        if outcome == .lost, job.policy.onLost == .rerun, run.request.trigger != .rerun {
            job.record.pending.append(
                PendingStart(trigger: .rerun, dueAt: run.request.dueAt, attempt: run.request.attempt, notBefore: now, queued: true))
        }
        jobs[id] = job
        write(.job(job.record))
        evaluateJob(id, now)
    }

    // MARK: Missed due times

    /// Accounts for the due times up to now that nobody attended to: one row for all of them, never a list of millions,
    /// and the runs that the job's policy asks for.
    mutating func missDueTimes(_ id: WorkloadID, _ reason: DueReason, _ now: Timestamp) {
        guard let job = jobs[id], !job.removing, let schedule = job.policy.schedule else { return }
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
        if let record = jobs[id]?.record { write(.job(record)) }
        startPending(id, now)
    }

    /// One row for all due times from `first` on that are not later than `end`.
    private mutating func missStretch(_ id: WorkloadID, _ schedule: Schedule, first: Timestamp, through end: Timestamp, _ reason: DueReason) {
        guard first <= end, let last = schedule.previous(before: end + .milliseconds(1)), last.at >= first else { return }
        let count = schedule.count(after: first - .seconds(1), through: last.at)
        write(.due(DueRecord(workload: id, dueAt: last.at, firstDueAt: first, result: .missed, reason: reason, count: count)))
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
                write(.due(DueRecord(workload: id, dueAt: due.at, result: .missed, reason: reason)))
            }
            after = due.at
        }
    }

    /// Due times that waited, for their jitter or for another run, and were waited for too long: they are missed ones.
    mutating func missPending(_ id: WorkloadID, _ reason: DueReason, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        let late = job.record.pending.filter { $0.trigger == .schedule && max($0.notBefore, $0.dueAt ?? now) < now - Machine.lateTolerance }
        guard !late.isEmpty else { return }
        jobs[id]?.record.pending.removeAll { late.contains($0) }
        for (index, start) in late.enumerated() {
            guard let dueAt = start.dueAt else { continue }
            write(.due(DueRecord(workload: id, dueAt: dueAt, result: .missed, reason: reason)))
            let inTime = job.policy.deadline.map { now - dueAt <= $0 } ?? true
            let wanted = job.policy.missed.kind == .all || job.policy.missed.kind == .last && index == late.count - 1
            let window = job.policy.missed.window ?? (job.policy.missed.kind == .last ? job.policy.schedule.map { Machine.lastWindow($0, dueAt) } : nil)
            guard wanted, inTime, !job.record.paused, window.map({ now - dueAt <= $0 }) ?? true else { continue }
            jobs[id]?.record.pending.append(PendingStart(trigger: .catchUp, dueAt: dueAt, notBefore: now, queued: true))
        }
        if let record = jobs[id]?.record { write(.job(record)) }
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
            let window = policy.missed.window ?? (policy.missed.kind == .last ? Machine.lastWindow(schedule, due.at) : nil)
            if let window, age > window { break }
            if !due.excluded { found.append(due.at) }
        }
        return found.reversed()
    }

    /// How old the last missed due time may be: the job's period, but at most a day.
    private static func lastWindow(_ schedule: Schedule, _ due: Timestamp) -> Duration {
        let day = Duration.seconds(86400)
        return schedule.next(after: due).map { min($0.at - due, day) } ?? day
    }
}
