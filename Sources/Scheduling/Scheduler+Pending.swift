internal import Ledger
internal import Schedules
internal import WorkloadModel

/// Starts that are decided and wait.
extension Scheduler {
    /// Starts what waits and may start now.
    mutating func startPending(_ id: WorkloadID, _ now: Timestamp) {
        guard holds.isDisjoint(with: [.gathering, .historyFails]) else { return }
        dropExpired(id, now)
        pools.stopWaiting(id)
        var yields: WorkloadName?
        while let job = jobs[id], !job.removing {
            let ready = job.record.pending.filter { $0.notBefore <= now && isTurn(of: $0, job) }
            guard let next = ready.min(by: { $0.notBefore < $1.notBefore }), let index = job.record.pending.firstIndex(of: next) else { break }
            // All but a due time whose jitter is over wait for their place, and for those that have waited longer.
            if next.queued, !(job.record.paused && next.trigger != .manual) {
                if let pool = pool(of: job) {
                    let hasPlace = pools.taken(of: pool.key) < pool.places
                    if !hasPlace || pools.isBehindOthers(id, in: pool.key, since: next.notBefore) {
                        pools.wait(id, for: pool.key, since: next.notBefore)
                        if hasPlace { yields = job.policy.pool }
                        break
                    }
                }
            }
            jobs[id]?.record.pending.remove(at: index)
            startPending(id, next, now)
        }
        if let yields { offerPlaces(in: yields, of: id.project, now) }
    }

    /// Whether nothing but its pool can be in a start's way.
    func isTurn(of start: PendingStart, _ job: Job) -> Bool {
        guard start.queued else { return true }
        // Runs beside one another are wanted, but not all that were missed at once.
        let isFree = isFree(job, mayOverlap: job.policy.overlap == .allow && start.trigger != .catchUp)
        return isFree && (!start.waitsForOthers || job.policy.schedule == nil || gate(job) != .waits)
    }

    /// What has waited past its deadline does not wait on.
    mutating func dropExpired(_ id: WorkloadID, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        let expired = job.record.pending.filter { start in start.queued && start.lastMoment(job.policy).map { $0 < now } ?? false }
        guard !expired.isEmpty else { return }
        jobs[id]?.record.pending.removeAll { expired.contains($0) }
        for start in expired {
            if start.trigger == .schedule, let dueAt = start.dueAt {
                skip(id, dueAt, .deadline, note: start.note)
            } else {
                event("dropped", "\(start.words) waited past its deadline", now, workload: id)
            }
        }
    }

    mutating func startPending(_ id: WorkloadID, _ next: PendingStart, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        if job.record.paused, next.trigger != .manual {
            if next.trigger == .schedule, let dueAt = next.dueAt {
                skip(id, dueAt, .paused, note: next.note)
            } else {
                event("dropped", "\(next.words) was dropped: the job is paused", now, workload: id)
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
}

extension PendingStart {
    /// Whether jobs that its own comes after can be in its way.
    var waitsForOthers: Bool { queued && (trigger == .schedule || trigger == .catchUp) }

    /// What it is, in the words of an event.
    var words: String {
        switch trigger {
        case .after: "the start after " + (arrivals?.last.map { "\($0.job) (run \($0.run))" } ?? "other jobs")
        case .retry, .rerun: "the \(trigger.rawValue)" + (retryOf.map { " of run \($0)" } ?? "")
        default: "the start (\(trigger.rawValue))" + (dueAt.map { " of \($0)" } ?? "")
        }
    }

    /// The last moment at which it may still start. A due time and its catch-up are as old as the due time, a link of a chain as old as
    /// the end that set it off.
    func lastMoment(_ policy: JobPolicy) -> Timestamp? { policy.lastMoment(of: trigger, dueAt: dueAt, decidedAt: notBefore) }
}

extension JobPolicy {
    /// The last moment at which a start may still happen; `nil` when there is none, as for what people ask for and for attempts that
    /// follow others.
    func lastMoment(of trigger: Trigger, dueAt: Timestamp?, decidedAt: Timestamp) -> Timestamp? {
        guard let deadline else { return nil }
        return switch trigger {
        case .schedule, .catchUp: dueAt.map { $0 + deadline }
        case .after: decidedAt + deadline
        case .manual, .retry, .rerun, .start, .restart: nil
        }
    }
}
