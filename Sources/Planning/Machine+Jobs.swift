internal import Schedules
internal import WorkloadModel

/// Jobs: run at their time, each due time accounted for.
extension Machine {
    /// Handles what is due and what waits, and asks to be woken for what comes next.
    mutating func evaluateJob(_ id: WorkloadID, _ now: Timestamp) {
        guard jobs[id] != nil, !leaving, !gathering else { return }
        takeDueTimes(id, now)
        startPending(id, now)
        forgetArrivals(id)
        guard let job = jobs[id], !job.removing else { return }
        let nextDue = job.policy.schedule?.next(after: job.record.cursor)?.at
        let nextPending = job.record.pending.compactMap { start in
            start.notBefore > now ? start.notBefore : start.lastMoment(job.policy).map { $0 + .milliseconds(1) }
        }.filter { $0 > now }.min()
        wake(id, at: [nextDue, nextPending].compactMap { $0 }.min())
        releaseFollowers(of: id, now)
    }

    /// Ends that came while a start of a scheduled job was waiting are no one else's once it waits no more.
    private mutating func forgetArrivals(_ id: WorkloadID) {
        guard var job = jobs[id], job.policy.schedule != nil, !job.record.arrivals.isEmpty, !job.record.pending.contains(where: \.waitsForOthers) else {
            return
        }
        job.record.arrivals = []
        jobs[id] = job
        write(.job(job.record))
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
            jobs[id]?.record.pending.append(
                PendingStart(trigger: .schedule, dueAt: due.at, notBefore: due.at + due.delay, queued: false, note: Machine.note(due)))
        } else {
            startScheduled(id, due.at, note: Machine.note(due), now)
        }
    }

    private static func note(_ due: DueTime) -> String? {
        due.moved.isEmpty ? nil : "stands for " + due.moved.map(\.shortClock).joined(separator: ", ") + ", which the clock skipped"
    }

    /// A due time whose moment has come: it runs, waits, or is skipped because something stands in its way.
    private mutating func startScheduled(_ id: WorkloadID, _ dueAt: Timestamp, note: String? = nil, _ now: Timestamp) {
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
        let start = PendingStart(trigger: .schedule, dueAt: dueAt, notBefore: now, queued: true, note: note)
        let isFree = job.active.isEmpty || job.policy.overlap == .allow
        let place = hasPlace(job)
        guard isFree, place, gate == .open else {
            hold(id, start, reason: isFree && !place ? .poolFull : .overlap, mayWait: isFree && gate == .waits, note: note)
            return
        }
        guard mayStartAgain(job) else {
            // Not skipped: it starts a little later than it could.
            jobs[id]?.record.pending.append(PendingStart(trigger: .schedule, dueAt: dueAt, notBefore: now + .seconds(1), queued: false, note: note))
            return
        }
        dropRetries(id, before: dueAt, now)
        let run = launchJob(id, start, now)
        write(.due(DueRecord(workload: id, dueAt: dueAt, result: .ran, runID: run, note: note, era: job.record.era)))
    }

    /// A due time that cannot start now waits, if its policy lets it, or is skipped.
    private mutating func hold(_ id: WorkloadID, _ start: PendingStart, reason: DueReason, mayWait: Bool, note: String?) {
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
        if replaces { for run in job.active { stopRun(run, reason: "replaced by the run due at \(dueAt)") } }
    }

    mutating func skip(_ id: WorkloadID, _ dueAt: Timestamp, _ reason: DueReason, note: String? = nil) {
        let note = note?.isEmpty == true ? nil : note
        write(.due(DueRecord(workload: id, dueAt: dueAt, result: .skipped, reason: reason, note: note, era: jobs[id]?.record.era ?? 0)))
    }

    /// Starts what waits and may start now.
    private mutating func startPending(_ id: WorkloadID, _ now: Timestamp) {
        guard !gathering else { return }
        var changed = dropExpired(id, now)
        waitingForPlace[id] = nil
        var yields: WorkloadName?
        while let job = jobs[id], !job.removing {
            let ready = job.record.pending.filter { $0.notBefore <= now && isTurn(of: $0, job) }
            guard let next = ready.min(by: { $0.notBefore < $1.notBefore }), let index = job.record.pending.firstIndex(of: next) else { break }
            // All but a due time whose jitter is over wait for their place, and for those that have waited longer.
            if next.queued, !(job.record.paused && next.trigger != .manual) {
                let hasPlace = hasPlace(job)
                if !hasPlace || isBehindOthers(job, next) {
                    waitingForPlace[id] = next.notBefore
                    if hasPlace { yields = job.policy.pool }
                    break
                }
            }
            changed = true
            jobs[id]?.record.pending.remove(at: index)
            startPending(id, next, now)
        }
        if changed, let record = jobs[id]?.record { write(.job(record)) }
        if let yields { offerPlace(in: yields, of: id.project, now) }
    }

    /// Whether nothing but its pool can be in a start's way.
    func isTurn(of start: PendingStart, _ job: Job) -> Bool {
        guard start.queued else { return true }
        // Runs beside one another are wanted, but not all that were missed at once.
        let isFree = job.active.isEmpty || job.policy.overlap == .allow && start.trigger != .catchUp
        let isGated = start.trigger == .schedule || start.trigger == .catchUp && job.policy.schedule != nil
        return isFree && (!isGated || gate(job) != .waits)
    }

    /// What has waited past its deadline does not wait on.
    private mutating func dropExpired(_ id: WorkloadID, _ now: Timestamp) -> Bool {
        guard let job = jobs[id] else { return false }
        let expired = job.record.pending.filter { start in start.queued && start.lastMoment(job.policy).map { $0 < now } ?? false }
        guard !expired.isEmpty else { return false }
        jobs[id]?.record.pending.removeAll { expired.contains($0) }
        for start in expired {
            if start.trigger == .schedule, let dueAt = start.dueAt {
                skip(id, dueAt, .deadline, note: start.note)
            } else {
                event("dropped", "a start (\(start.trigger.rawValue)) waited past its deadline", now, workload: id)
            }
        }
        return true
    }

    private mutating func startPending(_ id: WorkloadID, _ next: PendingStart, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        if job.record.paused, next.trigger != .manual {
            if next.trigger == .schedule, let dueAt = next.dueAt {
                skip(id, dueAt, .paused, note: next.note)
            } else {
                event("dropped", "a start (\(next.trigger.rawValue)) was dropped because the job is paused", now, workload: id)
                passOnDropped([next], of: id, now)
            }
            return
        }
        if next.trigger == .schedule, let dueAt = next.dueAt {
            startScheduled(id, dueAt, note: next.note, now)
            return
        }
        if next.trigger == .catchUp, job.policy.schedule != nil, case .closed(let sentence) = gate(job) {
            event("dropped", "the catch-up of \(next.dueAt.map(\.description) ?? "a due time") was dropped: \(sentence)", now, workload: id)
            return
        }
        guard next.trigger == .manual || mayStartAgain(job) else {
            var later = next
            later.notBefore = now + .seconds(1)
            jobs[id]?.record.pending.append(later)
            return
        }
        let run = launchJob(id, next, now)
        if next.trigger == .catchUp, let dueAt = next.dueAt { write(.dueCaughtUp(id, dueAt: dueAt, run)) }
    }

    /// A retry of an older due time gives way to a newer one; that is said, not hidden.
    private mutating func dropRetries(_ id: WorkloadID, before dueAt: Timestamp, _ now: Timestamp) {
        guard let job = jobs[id], job.policy.overlap != .allow else { return }
        for pending in job.record.pending where pending.trigger == .retry && pending.dueAt ?? dueAt < dueAt {
            event("dropped", "retry \(pending.attempt) gave way to the next due time", now, workload: id)
        }
        jobs[id]?.record.pending.removeAll { $0.trigger == .retry && $0.dueAt ?? dueAt < dueAt }
    }

    mutating func launchJob(_ id: WorkloadID, _ start: PendingStart, _ now: Timestamp) -> RunID {
        // The callers hold the job in their hands, so it is there.
        let job = jobs[id]!
        let run = launch(
            job.workload, digest: job.digest, trigger: start.trigger, dueAt: start.dueAt, attempt: start.attempt, timeout: job.policy.timeout,
            lastOutcome: job.record.lastOutcome, arrivals: start.arrivals ?? [], changes: start.changes, now)
        jobs[id]?.active.append(run)
        if let steady = lastMoment?.steady { jobs[id]?.starts = (job.starts + [steady]).suffix(Machine.startsPerSecond) }
        return run
    }

    mutating func jobEnded(_ run: ActiveRun, _ runID: RunID, _ outcome: Outcome, _ status: ExitStatus, _ now: Timestamp) {
        let id = run.request.workload
        guard var job = jobs[id] else { return }
        job.active.removeAll { $0 == runID }
        let pool = job.policy.pool
        if job.removing {
            jobs[id] = job
            if job.active.isEmpty {
                jobs[id] = nil
                write(.removeWorkload(id, .job))
            }
            if let pool { offerPlace(in: pool, of: id.project, now) }
            return
        }
        let good = outcome == .succeeded
        job.record.streak = job.record.lastOutcome.map { ($0 == .succeeded) == good } == true ? job.record.streak + 1 : 1
        job.record.lastOutcome = outcome
        var again: PendingStart?
        if outcome.isFailure, run.request.attempt <= job.policy.retries.limit, run.stopReason == nil, !job.record.paused {
            let jitter = job.policy.retries.jitter.wholeMilliseconds
            let delay = job.policy.retries.delay(afterAttempt: run.request.attempt) + .milliseconds(jitter > 0 ? Int64.random(in: 0...jitter, using: &dice) : 0)
            again = PendingStart(
                trigger: .retry, dueAt: run.request.dueAt, attempt: run.request.attempt + 1, notBefore: now + delay, queued: true,
                arrivals: run.request.arrivals.isEmpty ? nil : run.request.arrivals, changes: run.changes, retryOf: runID)
        }
        if outcome == .lost, job.policy.onLost == .rerun, run.request.trigger != .rerun {
            again = PendingStart(
                trigger: .rerun, dueAt: run.request.dueAt, attempt: run.request.attempt, notBefore: now, queued: true,
                arrivals: run.request.arrivals.isEmpty ? nil : run.request.arrivals, changes: run.changes, retryOf: runID)
        }
        if let start = again, let words = run.request.changes, start.changes == nil, !words.hasPrefix("for ") {
            event("dropped", "it is not tried again: what was changed for it (\(words)) did not outlive the daemon", now, workload: id, run: runID)
            again = nil
        }
        if let again { job.record.pending.append(again) }
        jobs[id] = job
        write(.job(job.record))
        evaluateJob(id, now)
        // What is tried again has not ended yet, for those that come after it.
        if again == nil { passOn(id, runID, outcome, dueAt: run.request.dueAt, now) }
        if let pool { offerPlace(in: pool, of: id.project, now) }
    }

    // MARK: Missed due times

    /// Accounts for the due times up to now that nobody attended to: one row for all of them, never a list of millions,
    /// and the runs that the job's policy asks for.
    mutating func missDueTimes(_ id: WorkloadID, _ reason: DueReason, _ now: Timestamp) {
        guard var job = jobs[id], !job.removing, let schedule = job.policy.schedule else { return }
        if let seen = job.record.seen, seen <= now, seen > job.record.cursor {
            // What was accounted for before the clock was set far back is not missed now that it has come forward again.
            job.record.cursor = seen
            jobs[id] = job
            write(.job(job.record))
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
        if let record = jobs[id]?.record { write(.job(record)) }
        startPending(id, now)
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
            event("dropped", "a start (\(start.trigger.rawValue)) for a due time that the clock has yet to come to again", now, workload: id)
        }
        let dropped = job.record.pending.filter { $0.dueAt ?? now > now }
        job.record.pending.removeAll { $0.dueAt ?? now > now }
        job.record.seen = max(job.record.seen ?? job.record.cursor, job.record.cursor)
        job.record.era += 1
        job.record.cursor = now
        jobs[id] = job
        write(.job(job.record))
        passOnDropped(dropped, of: id, now)
    }

    /// Due times that waited, for their jitter or for another run, and were waited for too long: they are missed ones.
    mutating func missPending(_ id: WorkloadID, _ reason: DueReason, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        // What waited for another run, or for a place, was attended to: while the host was up, it waits on.
        let late = job.record.pending.filter { start in
            start.trigger == .schedule && max(start.notBefore, start.dueAt ?? now) < now - Machine.lateTolerance && (!start.queued || reason == .hostOff)
        }
        guard !late.isEmpty else { return }
        jobs[id]?.record.pending.removeAll { late.contains($0) }
        for (index, start) in late.enumerated() {
            guard let dueAt = start.dueAt else { continue }
            write(.due(DueRecord(workload: id, dueAt: dueAt, result: .missed, reason: reason, era: job.record.era)))
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

extension PendingStart {
    /// Whether jobs that its own comes after can be in its way.
    var waitsForOthers: Bool { queued && (trigger == .schedule || trigger == .catchUp) }

    /// The last moment at which it may still start; `nil` when there is none. A due time and its catch-up are as old as the due
    /// time, a link of a chain as old as the end that set it off.
    func lastMoment(_ policy: JobPolicy) -> Timestamp? {
        guard let deadline = policy.deadline else { return nil }
        return switch trigger {
        case .schedule, .catchUp: dueAt.map { $0 + deadline }
        case .after: notBefore + deadline
        case .manual, .retry, .rerun, .start, .restart: nil
        }
    }
}
