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
        guard isFree, !start.waitsForOthers || job.policy.schedule == nil || gate(job) != .waits else { return false }
        guard start.needsSince != nil, case .coming = needs(of: job.workload, toBeUp: true) else { return true }
        return false
    }

    /// Starts that waited for services which are as they must be now wait for other things only, and have time again.
    mutating func noteNeedsMet(_ id: WorkloadID) {
        guard let job = jobs[id], job.record.pending.contains(where: { $0.needsSince != nil }), needs(of: job.workload, toBeUp: true) == .met else { return }
        for index in job.record.pending.indices where job.record.pending[index].needsSince != nil { jobs[id]?.record.pending[index].needsSince = nil }
    }

    /// What has waited past its deadline does not wait on.
    mutating func dropExpired(_ id: WorkloadID, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        let expired = job.record.pending.filter { start in start.queued && start.lastMoment(job.policy).map { $0 < now } ?? false }
        guard !expired.isEmpty else { return }
        jobs[id]?.record.pending.removeAll { expired.contains($0) }
        for start in expired {
            let needs = start.needsSince == nil ? nil : needs(of: job.workload, toBeUp: true).sentence
            if start.trigger == .schedule, let dueAt = start.dueAt {
                skip(id, dueAt, needs == nil ? .deadline : .dependency, note: Scheduler.note(start.note, needs))
            } else {
                event("dropped", "\(start.words) waited past its deadline" + (needs.map { ": \($0)" } ?? ""), now, workload: id)
                passOnDropped([start], of: id, now)
            }
        }
    }

    /// Two notes as one.
    static func note(_ first: String?, _ second: String?) -> String? {
        let notes = [first, second].compactMap { $0 }
        return notes.isEmpty ? nil : notes.joined(separator: "; ")
    }

    /// Whether the services that a job depends on are as they must be. Those that are not up are started, once for a start.
    ///
    /// - Returns: `nil` when they are; else the start with what it waits for, or why it is given up
    mutating func heldByNeeds(_ id: WorkloadID, _ start: PendingStart, _ now: Timestamp) -> (start: PendingStart, reason: String?)? {
        guard let job = jobs[id], !job.policy.dependsOn.isEmpty else { return nil }
        let first = needs(of: job.workload, toBeUp: true)
        if first == .met { return nil }
        var start = start
        if start.needsSince == nil {
            summon(for: job.workload, byHand: start.trigger == .manual, now)
            start.needsSince = now
            start.queued = true
        }
        switch needs(of: job.workload, toBeUp: true) {
        case .met: return nil
        case .coming: return (start, nil)
        case .stuck(let sentence): return (start, sentence)
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
            startScheduled(id, dueAt, note: next.note, needsSince: next.needsSince, now)
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
        if let held = heldByNeeds(id, next, now) {
            if let reason = held.reason {
                event("dropped", "\(next.words) was dropped: \(reason)", now, workload: id)
                passOnDropped([next], of: id, now)
            } else {
                jobs[id]?.record.pending.append(held.start)
            }
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
    func lastMoment(_ policy: JobPolicy) -> Timestamp? {
        let own = policy.lastMoment(of: trigger, dueAt: dueAt, decidedAt: notBefore)
        // Without a deadline, services are not waited for without end.
        return own ?? needsSince.map { $0 + JobPolicy.patience }
    }
}

extension JobPolicy {
    /// How long a start waits for services that its job depends on, when the job has no deadline.
    static let patience = Duration.seconds(300)

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
