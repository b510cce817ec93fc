internal import Ledger
internal import Schedules
internal import WorkloadModel

/// Jobs: run at their time, each due time accounted for.
extension Scheduler {
    /// Handles what is due and what waits, and asks to be woken for what comes next.
    mutating func evaluateJob(_ id: WorkloadID, _ now: Timestamp) {
        guard jobs[id] != nil, holds.isEmpty else { return }
        noteNeedsMet(id)
        takeDueTimes(id, now)
        startPending(id, now)
        forgetArrivals(id)
        guard let job = jobs[id], !job.removing else { return }
        let nextDue = job.policy.schedule?.next(after: job.record.cursor)?.at
        let nextPending = job.record.pending.compactMap { start in
            start.notBefore > now ? start.notBefore : start.lastMoment(job.policy).map { $0 + .milliseconds(1) }
        }.filter { $0 > now }.min()
        wakes.set(.job(id), at: [nextDue, nextPending].compactMap { $0 }.min())
        releaseFollowers(of: id, now)
    }

    /// Ends that came while a start of a scheduled job was waiting are no one else's once it waits no more.
    mutating func forgetArrivals(_ id: WorkloadID) {
        guard var job = jobs[id], job.policy.schedule != nil, !job.record.arrivals.isEmpty, !job.record.pending.contains(where: \.waitsForOthers) else {
            return
        }
        job.record.arrivals = []
        jobs[id] = job
    }

    /// Accounts for every due time up to now.
    private mutating func takeDueTimes(_ id: WorkloadID, _ now: Timestamp) {
        while let job = jobs[id], !job.removing, let due = job.policy.schedule?.next(after: job.record.cursor), due.at <= now {
            if due.at < now - Scheduler.lateTolerance {
                missDueTimes(id, .daemonDown, now)
                continue
            }
            jobs[id]?.record.cursor = due.at
            arrive(id, due, now)
        }
    }

    private mutating func arrive(_ id: WorkloadID, _ due: DueTime, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        if due.excluded {
            skip(id, due.at, .excluded, note: Scheduler.note(due))
        } else if job.record.paused {
            skip(id, due.at, .paused, note: Scheduler.note(due))
        } else if due.delay > .zero {
            jobs[id]?.record.pending.append(
                PendingStart(trigger: .schedule, dueAt: due.at, notBefore: due.at + due.delay, queued: false, note: Scheduler.note(due)))
        } else {
            startScheduled(id, due.at, note: Scheduler.note(due), now)
        }
    }

    private static func note(_ due: DueTime) -> String? {
        due.moved.isEmpty ? nil : "stands for " + due.moved.map(\.shortClock).joined(separator: ", ") + ", which the clock skipped"
    }

    /// A due time whose moment has come: it runs, waits, or is skipped because something stands in its way.
    ///
    /// - Parameter needsSince: since when it has waited for services
    mutating func startScheduled(_ id: WorkloadID, _ dueAt: Timestamp, note: String? = nil, needsSince: Timestamp? = nil, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        if let deadline = job.policy.deadline, now - dueAt > deadline {
            skip(id, dueAt, .deadline, note: note)
            return
        }
        let gate = gate(job)
        if case .closed(let sentence) = gate {
            skip(id, dueAt, .after, note: [note, sentence].compactMap { $0 }.joined(separator: "; "))
            return
        }
        var start = PendingStart(trigger: .schedule, dueAt: dueAt, notBefore: now, queued: true, note: note)
        start.needsSince = needsSince
        let isFree = isFree(job, mayOverlap: job.policy.overlap == .allow)
        let place = hasPlace(job)
        guard isFree, place, gate == .open else {
            let reason: DueReason = isFree && !place ? .poolFull : job.active.contains(where: frozenRuns.contains) ? .diskFull : .overlap
            hold(id, start, reason: reason, mayWait: isFree && gate == .waits, note: note, now)
            return
        }
        if let held = heldByNeeds(id, start, now) {
            if let reason = held.reason {
                skip(id, dueAt, .dependency, note: Scheduler.note(note, reason))
            } else {
                hold(id, held.start, reason: .dependency, mayWait: true, note: note, now)
            }
            return
        }
        guard mayStartAgain(job) else {
            // Not skipped: it starts a little later than it could.
            jobs[id]?.record.pending.append(PendingStart(trigger: .schedule, dueAt: dueAt, notBefore: now + .seconds(1), queued: false, note: note))
            return
        }
        let dropped = dropRetries(id, before: dueAt, now)
        let run = launchJob(id, start, now)
        write(.due(DueRecord(workload: id, dueAt: dueAt, result: .ran, runID: run, note: note, era: job.record.era)))
        passOnDropped(dropped, of: id, now)
    }

    /// A due time that cannot start now waits, if its policy lets it, or is skipped.
    private mutating func hold(_ id: WorkloadID, _ start: PendingStart, reason: DueReason, mayWait: Bool, note: String?, _ now: Timestamp) {
        guard let job = jobs[id], let dueAt = start.dueAt else { return }
        let waiting = job.record.pending.first { $0.trigger == .schedule && $0.queued }
        let replaces = job.policy.overlap == .replace
        guard mayWait || replaces || job.policy.overlap == .queue else {
            skip(id, dueAt, reason, note: note)
            return
        }
        if let waiting, let earlier = waiting.dueAt {
            guard replaces else {
                skip(id, dueAt, reason, note: note)
                return
            }
            // Only the newest waits for the running one to go.
            jobs[id]?.record.pending.removeAll { $0 == waiting }
            skip(id, earlier, .overlap)
        }
        jobs[id]?.record.pending.append(start)
        if replaces { for run in job.active { stopRun(run, reason: "replaced by the run due at \(dueAt)", now) } }
    }

    mutating func skip(_ id: WorkloadID, _ dueAt: Timestamp, _ reason: DueReason, note: String? = nil) {
        let note = note?.isEmpty == true ? nil : note
        write(.due(DueRecord(workload: id, dueAt: dueAt, result: .skipped, reason: reason, note: note, era: jobs[id]?.record.era ?? 0)))
    }

    /// A retry of an older due time gives way to a newer one; that is said, not hidden.
    ///
    /// - Returns: the retries that gave way: the attempts before them were the last
    private mutating func dropRetries(_ id: WorkloadID, before dueAt: Timestamp, _ now: Timestamp) -> [PendingStart] {
        guard let job = jobs[id], job.policy.overlap != .allow else { return [] }
        let dropped = job.record.pending.filter { $0.trigger == .retry && $0.dueAt ?? dueAt < dueAt }
        for pending in dropped { event("dropped", "retry \(pending.attempt) gave way to the next due time", now, workload: id) }
        jobs[id]?.record.pending.removeAll { dropped.contains($0) }
        return dropped
    }

    /// Whether no run prevents a start: a run of the job itself, unless runs may overlap, or the last run of a service that had the
    /// job's name before.
    func isFree(_ job: Job, mayOverlap: Bool) -> Bool { (job.active.isEmpty || mayOverlap) && !isServiceUp(job.record.id) }

    mutating func launchJob(_ id: WorkloadID, _ start: PendingStart, _ now: Timestamp) -> RunID {
        // The callers hold the job in their hands, so it is there.
        let job = jobs[id]!
        let run = launch(
            InstanceID(id), job.workload, start.trigger, timeout: job.policy.timeout, lastOutcome: job.record.lastOutcome, now
        ) { run in
            run.attempt = start.attempt
            run.dueAt = start.dueAt
            run.recipeDigest = job.digest
            run.arrivals = start.arrivals ?? []
            run.retryOf = start.retryOf
            run.changes = start.changes
        }
        jobs[id]?.active.append(run)
        if let pool = job.policy.pool { pools.take(Pools.Key(project: id.project, name: pool)) }
        if let steady = clock.last?.steady { jobs[id]?.starts = (job.starts + [steady]).suffix(Scheduler.startsPerSecond) }
        return run
    }

    mutating func jobEnded(_ run: ActiveRun, _ outcome: Outcome, _ now: Timestamp) {
        let id = run.workload
        let end = RunEnd(run.run, outcome)
        guard var job = jobs[id] else {
            // Its recipe could not be read: there is no policy to decide by.
            if let record = catalogue.hear(end, of: id) { write(.job(record)) }
            return
        }
        job.active.removeAll { $0 == run.id }
        let pool = job.policy.pool
        if job.removing {
            jobs[id] = job
            if job.active.isEmpty {
                forget(job: id)
                // A service of its name may wait for this end.
                evaluateServices(of: id, now)
            }
            if let pool { offerPlaces(in: pool, of: id.project, now) }
            return
        }
        jobs[id] = job
        hear(end, of: id, now)
        if let pool { offerPlaces(in: pool, of: id.project, now) }
    }

    /// What follows from the end of a run: another attempt, or the starts of those that come after it.
    private mutating func hear(_ end: RunEnd, of id: WorkloadID, _ now: Timestamp) {
        guard var job = jobs[id] else { return }
        let outcome = end.outcome
        let good = outcome == .succeeded
        job.record.streak = job.record.lastOutcome.map { ($0 == .succeeded) == good } == true ? job.record.streak + 1 : 1
        job.record.lastOutcome = outcome
        var again: PendingStart?
        // A due time is rerun at most once: after a lost attempt that was no first one, the next attempt follows.
        let isRerun = outcome == .lost && job.policy.onLost == .rerun
        if outcome.isFailure || isRerun && end.trigger == .retry, end.attempt <= job.policy.retries.limit, !end.stopped, !job.record.paused {
            let jitter = job.policy.retries.jitter.wholeMilliseconds
            let delay = job.policy.retries.delay(afterAttempt: end.attempt) + .milliseconds(jitter > 0 ? Int64.random(in: 0...jitter, using: &dice) : 0)
            again = PendingStart(
                trigger: .retry, dueAt: end.dueAt, attempt: end.attempt + 1, notBefore: now + delay, queued: true, arrivals: end.arrivals,
                changes: end.changes, retryOf: end.run)
        }
        if isRerun, end.trigger != .rerun, end.trigger != .retry {
            again = PendingStart(
                trigger: .rerun, dueAt: end.dueAt, attempt: end.attempt, notBefore: now, queued: true, arrivals: end.arrivals, changes: end.changes,
                retryOf: end.run)
        }
        if again != nil, let words = end.forgottenChanges, !words.hasPrefix("for ") {
            event("dropped", "it is not tried again: what was changed for it (\(words)) is not known any more", now, workload: id, run: end.run)
            again = nil
        }
        again?.retriedOutcome = outcome
        if let again { job.record.pending.append(again) }
        jobs[id] = job
        evaluateJob(id, now)
        // What is tried again has not ended yet, for those that come after it.
        if again == nil { passOn(id, end.run, outcome, dueAt: end.dueAt, now) }
    }

    /// What follows from ends that came while a recipe could not be read: all jobs of the project are known now.
    mutating func hearEnds(of project: ProjectName, _ now: Timestamp) {
        for id in jobs.keys.sorted() where id.project == project {
            guard let ends = jobs[id]?.record.unheard, !ends.isEmpty else { continue }
            jobs[id]?.record.unheard = []
            for end in ends { hear(end, of: id, now) }
        }
    }
}
