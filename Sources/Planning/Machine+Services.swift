internal import Schedules
internal import WorkloadModel

/// Services: kept on under their policy.
extension Machine {
    /// Starts what is to be on and is not.
    mutating func evaluateService(_ id: WorkloadID, _ now: Timestamp) {
        guard let service = services[id], service.active == nil, !leaving else { return }
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
        let run = launch(
            service.workload, digest: service.digest, trigger: trigger, dueAt: nil, attempt: service.record.failures + 1, timeout: nil,
            lastOutcome: nil, now)
        service.active = run
        service.afterStop = nil
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
        let afterStop = service.afterStop
        service.afterStop = nil
        services[id] = service
        switch afterStop {
        case .remove:
            services[id] = nil
            write(.removeWorkload(id, .service))
        case _ where status.leftProcesses:
            // A second one beside what could not be killed would do harm: a person must look.
            rest(id, .failed, now)
        case .startAgain: startService(id, trigger: .start, now)
        case .stay: rest(id, .stopped, now)
        case nil: continueByPolicy(id, outcome, status, now)
        }
    }

    private mutating func continueByPolicy(_ id: WorkloadID, _ outcome: Outcome, _ status: ExitStatus, _ now: Timestamp) {
        guard let service = services[id] else { return }
        if leaving {
            // The daemon takes its containers along; at its next start they are wanted as before.
            rest(id, .backoff, now)
            return
        }
        switch service.policy.restart {
        case .no: rest(id, .exited, now)
        case .always, .unlessStopped: backOff(id, status, now)
        case .onFailure(let limit):
            guard outcome.isFailure || outcome == .lost else {
                rest(id, .exited, now)
                return
            }
            if let limit, service.record.failures >= limit, !Machine.wasUp(status) {
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
        if Machine.wasUp(status) { service.record.failures = 0 }
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
        if let record = services[id]?.record { write(.service(record)) }
    }

    mutating func stopService(_ id: WorkloadID, then: Service.AfterStop, reason: String, _ now: Timestamp) {
        guard var service = services[id] else { return }
        guard let run = service.active else {
            switch then {
            case .remove:
                services[id] = nil
                write(.removeWorkload(id, .service))
            case .startAgain: startService(id, trigger: .start, now)
            case .stay: rest(id, .stopped, now)
            }
            return
        }
        // What is going for good is not kept by a command that comes late.
        service.afterStop = service.afterStop == .remove ? .remove : then
        service.record.phase = .stopping
        service.record.since = now
        service.record.nextStartAt = nil
        services[id] = service
        write(.service(service.record))
        stopRun(run, reason: reason)
    }
}
