internal import Ledger
internal import Schedules
internal import WorkloadModel

/// Services: kept on under their policy.
extension Scheduler {
    /// Starts what is to be on and is not.
    mutating func evaluateService(_ id: WorkloadID, _ now: Timestamp) {
        guard let service = services[id], service.active == nil, !leaving, !isHeld else { return }
        switch service.record.phase {
        case .backoff:
            guard let next = service.record.nextStartAt, next > now else {
                startService(id, trigger: .restart, now)
                return
            }
            wake(id, at: next)
        case .starting, .running, .stopping: startService(id, trigger: .start, now)
        case .stopped, .exited, .failed: break
        }
    }

    mutating func startService(_ id: WorkloadID, trigger: Trigger, _ now: Timestamp) {
        guard var service = services[id], service.active == nil, !leaving else { return }
        // A job had this name, and its last run is ending: that end starts the service. So does the end of a hold.
        guard !isHeld, jobs[id]?.active.isEmpty ?? true else {
            service.record.phase = .starting
            service.record.since = now
            services[id] = service
            write(.service(service.record))
            return
        }
        let run = launch(
            service.workload, digest: service.digest, trigger: trigger, dueAt: nil, attempt: service.record.failures + 1, timeout: nil,
            lastOutcome: nil, generation: service.record.generation, now)
        service.active = run
        service.record.phase = .starting
        service.record.since = now
        service.record.nextStartAt = nil
        service.record.runID = run
        if trigger == .restart { service.record.restarts += 1 }
        services[id] = service
        write(.service(service.record))
    }

    mutating func serviceEnded(_ run: ActiveRun, _ runID: RunID, _ outcome: Outcome, _ status: ExitStatus, _ now: Timestamp) {
        let id = run.request.workload
        guard var service = services[id], service.active == runID else { return }
        service.active = nil
        services[id] = service
        if service.removing {
            services[id] = nil
            write(.removeWorkload(id, .service))
            // A job of its name may wait for this end.
            evaluateJob(id, now)
        } else if status.leftProcesses {
            // A second one beside what could not be killed would do harm: a person must look.
            rest(id, .failed, now)
        } else if !service.record.wanted {
            rest(id, .stopped, now)
        } else if run.generation != service.record.generation {
            startService(id, trigger: .start, now)
        } else if run.stopReason != nil {
            // The daemon stopped it because it ends itself; the next daemon starts it again, unless its policy is `no`.
            rest(id, service.policy.restart == .no ? .exited : .backoff, now)
            evaluateService(id, now)
        } else {
            continueByPolicy(id, outcome, status, now)
        }
    }

    private mutating func continueByPolicy(_ id: WorkloadID, _ outcome: Outcome, _ status: ExitStatus, _ now: Timestamp) {
        guard let service = services[id] else { return }
        switch service.policy.restart {
        case .no: rest(id, .exited, now)
        case .always, .unlessStopped: backOff(id, status, now)
        case .onFailure(let limit):
            guard outcome.isFailure || outcome == .lost else {
                rest(id, .exited, now)
                return
            }
            if let limit, service.record.failures >= limit, !Scheduler.wasUp(status) {
                event("gave-up", "it failed \(service.record.failures + 1) times in a row", now, workload: id)
                rest(id, .failed, now)
            } else {
                backOff(id, status, now)
            }
        }
    }

    private static func wasUp(_ status: ExitStatus) -> Bool {
        guard let started = status.startedAt else { return false }
        return status.finishedAt - started >= ServiceBackoff.recovered
    }

    private mutating func backOff(_ id: WorkloadID, _ status: ExitStatus, _ now: Timestamp) {
        guard var service = services[id] else { return }
        if Scheduler.wasUp(status) { service.record.failures = 0 }
        let next = now + ServiceBackoff.delay(failures: service.record.failures, dice: &dice)
        service.record.failures += 1
        service.record.phase = .backoff
        service.record.since = now
        service.record.nextStartAt = next
        services[id] = service
        write(.service(service.record))
        wake(id, at: next)
    }

    /// Leaves a service as it is, until somebody asks.
    mutating func rest(_ id: WorkloadID, _ phase: ServiceRecord.Phase, _ now: Timestamp) {
        services[id]?.record.phase = phase
        services[id]?.record.since = now
        services[id]?.record.nextStartAt = nil
        services[id]?.wakeAt = nil
        writeService(id)
    }

    /// Writes a service's record as it is now.
    mutating func writeService(_ id: WorkloadID) { if let record = services[id]?.record { write(.service(record)) } }

    /// Asks for another container in the place of the present one; its end starts the new one.
    mutating func raiseGeneration(_ id: WorkloadID) {
        services[id]?.record.generation += 1
        writeService(id)
    }

    /// Ends the run of a service that is not to be on any more.
    mutating func stopService(_ id: WorkloadID, reason: String, _ now: Timestamp) {
        guard let service = services[id] else { return }
        guard let run = service.active else {
            if service.removing {
                services[id] = nil
                write(.removeWorkload(id, .service))
            } else {
                rest(id, .stopped, now)
            }
            return
        }
        beginStop(id, run, reason: reason, now)
    }

    /// Stops the present container, if there is one, and starts another in its place.
    mutating func replaceService(_ id: WorkloadID, reason: String, _ now: Timestamp) {
        guard services[id] != nil else { return }
        services[id]?.record.generation += 1
        guard let run = services[id]?.active else {
            startService(id, trigger: .start, now)
            return
        }
        beginStop(id, run, reason: reason, now)
    }

    private mutating func beginStop(_ id: WorkloadID, _ run: RunID, reason: String, _ now: Timestamp) {
        services[id]?.record.phase = .stopping
        services[id]?.record.since = now
        services[id]?.record.nextStartAt = nil
        writeService(id)
        stopRun(run, reason: reason, now)
    }
}
