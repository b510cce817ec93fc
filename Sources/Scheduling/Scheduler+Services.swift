internal import EngineAPI
internal import Ledger
internal import Schedules
internal import WorkloadModel

/// Services: kept on under their policy.
extension Scheduler {
    /// The copies of a service, ascending by slot; none of a job.
    func instances(of id: WorkloadID) -> [InstanceID] {
        var found: [InstanceID] = []
        while services[InstanceID(id, slot: found.count)] != nil { found.append(InstanceID(id, slot: found.count)) }
        return found
    }

    /// Whether a service of this name has a run.
    func isServiceUp(_ id: WorkloadID) -> Bool { instances(of: id).contains { services[$0]?.active != nil } }

    mutating func evaluateServices(of id: WorkloadID, _ now: Timestamp) {
        for instance in instances(of: id) { evaluateService(instance, now) }
    }

    /// Starts what is to be on and is not.
    mutating func evaluateService(_ id: InstanceID, _ now: Timestamp) {
        guard let service = services[id], service.active == nil, holds.isDisjoint(with: [.leaving, .historyFails]) else { return }
        switch service.record.phase {
        case .backoff(let next) where next > now: wakes.set(.service(id), at: next)
        case .backoff: startService(id, trigger: .restart, now)
        case .starting, .running, .stopping: startService(id, trigger: .start, now)
        case .waiting: startService(id, trigger: service.record.failures > 0 ? .restart : .start, now)
        case .stopped, .exited, .failed: break
        }
    }

    mutating func startService(_ id: InstanceID, trigger: Trigger, _ now: Timestamp) {
        guard var service = services[id], service.active == nil, !holds.contains(.leaving) else { return }
        // A job had this name, and its last run is ending: that end starts the service. So does the end of a hold.
        guard !isHeld, jobs[id.workload]?.active.isEmpty ?? true else {
            if service.record.phase != .starting { set(id, .starting, now) }
            return
        }
        // While much is taken in at once, what one depends on may be looked at yet.
        guard service.workload.dependsOn.isEmpty || !holds.contains(.gathering), case .met = needs(of: service.workload) else {
            if service.record.phase != .waiting { set(id, .waiting, now) }
            return
        }
        let run = launch(id, service.workload, trigger, now) { run in
            run.attempt = service.record.failures + 1
            run.recipeDigest = service.digest
            run.generation = service.record.generation
        }
        service.active = run
        service.record.runID = run
        service.record.health = nil
        service.record.lastOutcome = nil
        if trigger == .restart { service.record.restarts += 1 }
        services[id] = service
        set(id, .starting, now)
    }

    /// Somebody wants a service on whose run was told to end: another one follows.
    mutating func wantAgain(_ id: InstanceID) {
        guard let service = services[id], let run = service.active.flatMap({ runs[$0] }), run.stopReason != nil, run.generation == service.record.generation
        else {
            return
        }
        services[id]?.record.generation += 1
    }

    /// Notes how a service stands from now on.
    mutating func set(_ id: InstanceID, _ phase: ServiceRecord.Phase, _ now: Timestamp) {
        moved.insert(id.workload)
        services[id]?.record.phase = phase
        services[id]?.record.since = now
        if case .backoff(let next) = phase { wakes.set(.service(id), at: next) } else { wakes.set(.service(id), at: nil) }
    }

    mutating func serviceEnded(_ run: ActiveRun, _ outcome: Outcome, _ status: ExitStatus, _ now: Timestamp) {
        let id = run.instance
        let end = ServiceEnd(run.run, outcome, status)
        guard let service = services[id] else {
            // Its recipe could not be read: there is no policy to decide by.
            if let record = catalogue.hear(end, of: id) { write(.service(record)) }
            return
        }
        guard service.active == run.id else { return }
        services[id]?.active = nil
        services[id]?.record.lastOutcome = outcome
        moved.insert(id.workload)
        wakes.set(.probe(id), at: nil)
        if service.removing {
            services[id] = nil
            // A job of its name may wait for this end.
            evaluateJob(id.workload, now)
        } else {
            follow(end, of: id, now)
        }
    }

    /// What follows from an end that came while the recipe could not be read.
    mutating func hearEnd(of id: InstanceID, _ now: Timestamp) {
        guard let service = services[id], service.active == nil, !service.removing, let end = service.record.unheard else { return }
        services[id]?.record.unheard = nil
        services[id]?.record.lastOutcome = end.outcome
        follow(end, of: id, now)
        // What went down with its host did not fail: it is started again without a pause, as at any boot.
        if end.outcome == .lost, case .backoff = services[id]?.record.phase { set(id, .backoff(until: now), now) }
    }

    /// What follows from the end of a service's run.
    private mutating func follow(_ end: ServiceEnd, of id: InstanceID, _ now: Timestamp) {
        guard let service = services[id] else { return }
        if end.leftProcesses {
            // A second one beside what could not be killed would do harm: a person must look.
            set(id, .failed, now)
        } else if !service.record.wanted {
            set(id, .stopped, now)
        } else if end.generation != service.record.generation {
            startService(id, trigger: .start, now)
        } else if end.stopped, service.record.health?.isEnding == true {
            followUnhealthy(end, of: id, now)
        } else if end.stopped {
            // The daemon stopped it because it ends itself; the next daemon starts it again, unless its policy is `no`.
            set(id, service.policy.restart == .no ? .exited : .backoff(until: now), now)
            evaluateService(id, now)
        } else {
            continueByPolicy(id, end, now)
        }
    }

    private mutating func continueByPolicy(_ id: InstanceID, _ end: ServiceEnd, _ now: Timestamp) {
        guard let service = services[id] else { return }
        switch service.policy.restart {
        case .no: set(id, .exited, now)
        case .always, .unlessStopped: backOff(id, end, now)
        case .onFailure(let limit):
            guard end.outcome.isFailure || end.outcome == .lost else {
                set(id, .exited, now)
                return
            }
            if let limit, service.record.failures >= limit, !hasRecovered(end, service) {
                event("gave-up", "it failed \(service.record.failures + 1) times in a row", now, workload: id.workload)
                set(id, .failed, now)
            } else {
                backOff(id, end, now)
            }
        }
    }

    /// It was told to end because it did not work.
    private mutating func followUnhealthy(_ end: ServiceEnd, of id: InstanceID, _ now: Timestamp) {
        guard let service = services[id] else { return }
        if service.policy.onUnhealthy == .stop {
            event("gave-up", "it was unhealthy, and on_unhealthy is stop", now, workload: id.workload)
            set(id, .failed, now)
        } else if case .onFailure(let limit?) = service.policy.restart, service.record.failures >= limit, !hasRecovered(end, service) {
            event("gave-up", "it failed \(service.record.failures + 1) times in a row", now, workload: id.workload)
            set(id, .failed, now)
        } else {
            backOff(id, end, now)
        }
    }

    /// Whether its failures in a row are over: it was up for long, and has worked if it is asked.
    private func hasRecovered(_ end: ServiceEnd, _ service: Service) -> Bool { Scheduler.wasUp(end) && service.record.health?.hasWorked != false }

    private static func wasUp(_ end: ServiceEnd) -> Bool {
        guard let started = end.startedAt else { return false }
        return end.finishedAt - started >= ServiceBackoff.recovered
    }

    private mutating func backOff(_ id: InstanceID, _ end: ServiceEnd, _ now: Timestamp) {
        guard let service = services[id] else { return }
        let failures = hasRecovered(end, service) ? 0 : service.record.failures
        services[id]?.record.failures = failures + 1
        // The pause began with the end, also when that is heard of late.
        let next = min(end.finishedAt, now) + ServiceBackoff.delay(failures: failures, dice: &dice)
        set(id, .backoff(until: max(now, next)), now)
    }

    /// Ends the run of a service that is not to be on any more.
    ///
    /// - Parameter users: runs that end first
    mutating func stopService(_ id: InstanceID, reason: String, after users: [RunID] = [], _ now: Timestamp) {
        guard let service = services[id] else { return }
        if let run = service.active {
            set(id, .stopping, now)
            stopRun(run, reason: reason, after: users, now)
        } else if service.removing {
            services[id] = nil
            wakes.set(.service(id), at: nil)
            moved.insert(id.workload)
        } else {
            set(id, .stopped, now)
        }
    }

    /// Stops the present container, if there is one, and starts another in its place: what runs is of an older generation then.
    mutating func replaceService(_ id: InstanceID, reason: String, _ now: Timestamp) {
        guard let service = services[id] else { return }
        services[id]?.record.generation += 1
        if let run = service.active {
            set(id, .stopping, now)
            stopRun(run, reason: reason, now)
        } else {
            startService(id, trigger: .start, now)
        }
        for dependent in catalogue.dependents[id.workload] ?? [] {
            for other in instances(of: dependent) {
                guard let it = services[other], it.policy.dependsOn[id.workload.name]?.restart == true, it.record.wanted, !it.removing, let run = it.active,
                    runs[run]?.stopReason == nil
                else { continue }
                replaceService(other, reason: "\(id.workload.name), which it depends on, was replaced", now)
            }
        }
    }
}
