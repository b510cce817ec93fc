internal import Ledger
internal import Schedules
internal import WorkloadModel

/// What engines report.
extension Scheduler {
    /// Launches a run whose row took long to be written, unless its deadline has passed or it is to end.
    mutating func launchIfInTime(_ id: RunID, _ now: Timestamp) {
        guard let run = runs[id], run.startedAt == nil else { return }
        let request = run.request
        let lastMoment = jobs[request.workload]?.policy.lastMoment(of: request.trigger, dueAt: request.dueAt, decidedAt: request.decidedAt)
        let isLate = lastMoment.map { now > $0 } ?? false
        guard isLate || run.stopReason != nil else {
            perform(.launch(request))
            return
        }
        withdraw(id, run.stopReason ?? "its deadline passed before it started: the history could not be written", now)
    }

    /// Ends a run whose command was never released.
    mutating func withdraw(_ id: RunID, _ reason: String, _ now: Timestamp) {
        runs[id]?.stopReason = reason
        var status = ExitStatus(ending: .exited(code: 0), finishedAt: now)
        status.stopRequested = true
        ended(id, status, now)
    }

    mutating func launched(_ id: RunID, at time: Timestamp, image: String?, health: HealthCheck?, _ now: Timestamp) {
        guard var run = runs[id], run.startedAt == nil else { return }
        run.startedAt = time
        runs[id] = run
        write(.runStarted(id, at: time, image: image))
        tellToEnd(id)
        if run.kind == .service, let service = services[run.instance], service.active == id, service.record.phase == .starting {
            set(run.instance, .running, time)
            beginProbes(of: id, health, now)
        }
    }

    /// Books an end. One that is booked already is only settled again.
    mutating func ended(_ id: RunID, _ status: ExitStatus, _ now: Timestamp) {
        perform(.settle(id))
        guard let run = runs.removeValue(forKey: id) else { return }
        releaseStops(after: id)
        let codes = run.kind == .job ? jobs[run.workload]?.policy.successCodes ?? [0] : [0]
        var status = status
        if status.startedAt == nil { status.startedAt = run.startedAt }
        var outcome = status.outcome(successCodes: codes)
        // A container that could not be started because it was being stopped is stopped, not broken.
        if run.stopReason != nil, outcome == .failed { outcome = .stopped }
        write(.closeRun(id, outcome, status, reason: Scheduler.reason(status, outcome, stopReason: run.stopReason)))
        if status.leftProcesses {
            event("stop-failed", "processes of it could not be killed and are left in its control group", now, workload: run.workload, run: id)
        }
        if run.kind == .job, let job = jobs[run.workload], !job.removing, let pool = job.policy.pool {
            pools.giveBack(Pools.Key(project: run.workload.project, name: pool))
        }
        switch run.kind {
        case .job: jobEnded(run, outcome, now)
        case .service: serviceEnded(run, outcome, status, now)
        }
    }

    /// Of a run that ended otherwise.
    private static func killedBefore(_ status: ExitStatus) -> String {
        let count = status.usage.oomKills
        guard count > 0 else { return "" }
        return "; before that the kernel killed \(count == 1 ? "a process of it" : "\(count) processes of it") for want of memory"
    }

    private static func reason(_ status: ExitStatus, _ outcome: Outcome, stopReason: String?) -> String? {
        if status.leftProcesses { return "stop failed: processes of it could not be killed" }
        return switch (outcome, status.ending) {
        case (_, .startError(let sentence)), (_, .lost(let sentence)): sentence
        case (.timedOut, _): "its timeout ran out" + (status.killed ? "; it did not react to the stop signal and was killed" : "")
        case (.oomKilled, _): "the kernel killed it for want of memory"
        case (.stopped, _): (stopReason ?? "the host shut down") + (status.killed ? "; it did not react to the stop signal and was killed" : "")
        case (_, .signaled(let number)): "ended by signal \(number)" + killedBefore(status)
        case (.failed, .exited(let code)): "exit code \(code)" + killedBefore(status)
        case (.succeeded, .exited), (.startError, .exited), (.lost, .exited): nil
        }
    }
}
