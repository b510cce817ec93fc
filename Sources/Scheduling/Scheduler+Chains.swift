internal import Ledger
internal import Schedules
internal import WorkloadModel

/// What jobs have to do with one another: those that come after others, and those that share a pool.
extension Scheduler {
    /// Whether the jobs that one comes after let a due time of it start.
    enum Gate: Equatable {
        case open
        /// One of them is going, or is about to.
        case waits
        /// The last run of one of them did not end as it must; the sentence says which.
        case closed(String)
    }

    func gate(_ job: Job) -> Gate {
        if job.policy.after.isEmpty { return .open }
        for (name, condition) in job.policy.after.sorted(by: { $0.key < $1.key }) {
            // An end that came while a start was waiting counts, whatever has begun since.
            if let arrival = job.record.arrivals.first(where: { $0.job == name }) {
                if !condition.holds(for: arrival.outcome) { return .closed("\(name) ended as \(arrival.outcome.rawValue)") }
                continue
            }
            guard let other = jobs[WorkloadID(project: job.record.id.project, name: name)] else { return .closed("there is no job \(name)") }
            if !other.active.isEmpty || !other.record.pending.isEmpty || isDueNow(other) { return .waits }
            guard let outcome = other.record.lastOutcome else { return .closed("\(name) has not run yet") }
            if !condition.holds(for: outcome) { return .closed("\(name) ended as \(outcome.rawValue)") }
        }
        return .open
    }

    /// Whether a due time of a job has come that was not looked at yet: jobs are looked at one after another.
    private func isDueNow(_ job: Job) -> Bool {
        guard !job.record.paused, !job.removing, let now = clock.last?.wall, let due = job.policy.schedule?.next(after: job.record.cursor) else { return false }
        return due.at <= now
    }

    /// A run of a job has ended for good: those that come after it are told, and start once all that they come after have
    /// ended as they must.
    mutating func passOn(_ id: WorkloadID, _ run: RunID, _ outcome: Outcome, dueAt: Timestamp?, _ now: Timestamp) {
        for follower in catalogue.followers[id] ?? [] {
            guard var job = jobs[follower], !job.removing, let condition = job.policy.after[id.name] else { continue }
            if job.policy.schedule != nil {
                // Its schedule says when; a start of it may wait for this end.
                guard job.record.pending.contains(where: \.waitsForOthers),
                    !job.record.arrivals.contains(where: { $0.job == id.name })
                else { continue }
                job.record.arrivals.append(Arrival(job: id.name, run: run, outcome: outcome))
                jobs[follower] = job
                evaluateJob(follower, now)
                continue
            }
            job.record.arrivals.removeAll { $0.job == id.name }
            if condition.holds(for: outcome) { job.record.arrivals.append(Arrival(job: id.name, run: run, outcome: outcome)) }
            let complete = job.record.arrivals.count == job.policy.after.count
            let start = PendingStart(trigger: .after, dueAt: dueAt, notBefore: now, queued: true, arrivals: job.record.arrivals)
            if complete { job.record.arrivals = [] }
            jobs[follower] = job
            if complete { startLink(follower, start, now) }
        }
    }

    /// Attempts that were to follow and do not any more: the ones that failed were the last.
    mutating func passOnDropped(_ starts: [PendingStart], of id: WorkloadID, _ now: Timestamp) {
        for start in starts {
            guard let run = start.retryOf, let outcome = start.retriedOutcome ?? jobs[id]?.record.lastOutcome else { continue }
            passOn(id, run, outcome, dueAt: start.dueAt, now)
        }
    }

    /// The next link of a chain: it starts, waits, or is dropped, which is said.
    private mutating func startLink(_ id: WorkloadID, _ start: PendingStart, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        if !holds.isDisjoint(with: [.leaving, .gathering]) {
            // It is decided, and looked at later: by the next daemon, or once all is known.
            jobs[id]?.record.pending.append(start)
            return
        }
        func drop(_ why: String) { event("dropped", "\(start.words) was dropped: \(why)", now, workload: id) }
        if job.record.paused {
            drop("the job is paused")
            return
        }
        let isFree = isFree(job, mayOverlap: job.policy.overlap == .allow)
        let waiting = job.record.pending.first { $0.trigger == .after }
        if isFree, hasPlace(job), mayStartAgain(job) {
            if !isHeld, let held = heldByNeeds(id, start, now) {
                if let reason = held.reason {
                    drop(reason)
                } else if waiting == nil || [.allow, .replace].contains(job.policy.overlap) {
                    if job.policy.overlap == .replace, let waiting {
                        jobs[id]?.record.pending.removeAll { $0 == waiting }
                        event("dropped", "\(waiting.words), which waited, gave way to \(start.words)", now, workload: id)
                    }
                    jobs[id]?.record.pending.append(held.start)
                    evaluateJob(id, now)
                } else {
                    drop("one waits already")
                }
            } else if !isHeld {
                _ = launchJob(id, start, now)
            } else if waiting == nil || job.policy.overlap == .allow {
                // It starts when the history takes writes again.
                jobs[id]?.record.pending.append(start)
            } else {
                drop("one waits already")
            }
            return
        }
        switch job.policy.overlap {
        case .skip, .allow:
            if isFree, hasPlace(job) {
                // Only the bound on starts is in its way.
                jobs[id]?.record.pending.append(start)
                evaluateJob(id, now)
            } else {
                drop(isFree ? "its pool is full" : "an earlier run is still going")
            }
        case .queue where waiting != nil: drop("one waits already")
        case .queue, .replace:
            if let waiting {
                jobs[id]?.record.pending.removeAll { $0 == waiting }
                event("dropped", "\(waiting.words), which waited, gave way to \(start.words)", now, workload: id)
            }
            jobs[id]?.record.pending.append(start)
            if job.policy.overlap == .replace { for run in job.active { stopRun(run, reason: "replaced by \(start.words)", now) } }
            evaluateJob(id, now)
        }
    }

    /// Nothing of a job is going or about to: due times that waited for that come to their turn.
    mutating func releaseFollowers(of id: WorkloadID, _ now: Timestamp) {
        guard let waited = catalogue.followers[id], let job = jobs[id], job.active.isEmpty, job.record.pending.isEmpty else { return }
        for follower in waited where jobs[follower]?.record.pending.contains(where: \.waitsForOthers) == true {
            evaluateJob(follower, now)
        }
    }

    // MARK: Pools

    /// The pool of a job; `nil` when it has none, or its recipe does not say how many places that has.
    func pool(of job: Job) -> (key: Pools.Key, places: Int)? {
        guard let name = job.policy.pool else { return nil }
        let key = Pools.Key(project: job.record.id.project, name: name)
        return catalogue.places(in: key).map { (key, $0) }
    }

    /// Whether one more run of a job fits into its pool.
    func hasPlace(_ job: Job) -> Bool { pool(of: job).map { pools.taken(of: $0.key) < $0.places } ?? true }

    /// Counts the runs of a project's pools anew: its recipe says now which job is of which. What it no longer has ends, and holds no place.
    mutating func recountPools(_ project: ProjectName) {
        var running: [Pools.Key: Int] = [:]
        for run in runs.values where run.kind == .job && run.workload.project == project {
            if let job = jobs[run.workload], !job.removing, let pool = job.policy.pool { running[Pools.Key(project: project, name: pool), default: 0] += 1 }
        }
        pools.recount(project, running)
    }

    /// A place in a pool may be free: the start that has waited longest gets it.
    mutating func offerPlaces(in pool: WorkloadName, of project: ProjectName, _ now: Timestamp) {
        let key = Pools.Key(project: project, name: pool)
        guard pools.beginOffer(key) else { return }
        defer { pools.endOffer(key) }
        // What is in its turn behind others that cannot start is passed over; once all places are taken nobody is asked.
        for id in pools.waiting(for: key) {
            if let places = catalogue.places(in: key), pools.taken(of: key) >= places { return }
            evaluateJob(id, now)
        }
    }

    // MARK: No storms

    /// Whether a job has not been started as often in the last second as any may.
    func mayStartAgain(_ job: Job) -> Bool {
        guard job.starts.count >= Scheduler.startsPerSecond, let first = job.starts.first, let steady = clock.last?.steady else { return true }
        return steady - first >= .seconds(1)
    }
}

extension Scheduler.Job {
    /// Why a run cannot be for a due time; `nil` when it can.
    func problem(withDueTime dueAt: Timestamp, recorded: Bool, _ now: Timestamp) -> String? {
        if dueAt > now { return "\(dueAt) has not come yet: the schedule itself will run it" }
        guard !recorded else { return nil }
        guard let schedule = policy.schedule else { return "it has no schedule, so nothing was due at \(dueAt)" }
        if schedule.next(after: dueAt - .seconds(1))?.at == dueAt { return nil }
        let near = [schedule.previous(before: dueAt)?.at, schedule.next(after: dueAt)?.at].compactMap { $0?.description }
        return "nothing was due at \(dueAt)" + (near.isEmpty ? "" : "; the nearest due times are \(near.joined(separator: " and "))")
    }
}
