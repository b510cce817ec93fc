internal import Ledger
internal import Schedules
internal import WorkloadModel

/// Services are asked whether they work.
///
/// The rules are Docker's, with one addition: until a probe has succeeded Berth asks early and often, so that what waits for a service
/// does not wait for its interval. Failures count no sooner for it.
extension Scheduler {
    /// A service's run is up.
    mutating func beginProbes(of id: RunID, _ check: HealthCheck?, _ now: Timestamp) {
        guard let run = runs[id], let check else { return }
        runs[id]?.health = check
        services[run.instance]?.record.health = ServiceHealth(since: now)
        setProbe(id, now)
    }

    /// A service's run was up before this daemon.
    mutating func resumeProbes(of id: RunID, _ check: HealthCheck?, _ now: Timestamp) {
        guard let run = runs[id], run.kind == .service else { return }
        runs[id]?.health = check
        resumeProbes(of: run.instance, now)
    }

    /// The recipe of a service whose run is up can be read.
    mutating func resumeProbes(of instance: InstanceID, _ now: Timestamp) {
        guard let service = services[instance], let id = service.active, let run = runs[id], run.startedAt != nil else { return }
        if run.health == nil {
            if service.record.health != nil { services[instance]?.record.health = nil }
        } else {
            if service.record.health == nil { services[instance]?.record.health = ServiceHealth(since: now) }
            // Nobody knows when the last one was.
            wakes.set(.probe(instance), at: now + Scheduler.soonest)
        }
    }

    private static let soonest = Duration.milliseconds(100)
    private static let slowest = Duration.seconds(5)

    /// Asks to be woken for the next probe.
    private mutating func setProbe(_ id: RunID, _ now: Timestamp) {
        guard let run = runs[id], let check = run.health, let startedAt = run.startedAt, let health = services[run.instance]?.record.health else { return }
        var next = check.interval
        if health.state == .starting {
            let period = startedAt + check.startPeriod
            if let startInterval = check.startInterval {
                if now < period { next = startInterval }
            } else if now < max(period, startedAt + check.interval) {
                let doubled = Duration.milliseconds(Scheduler.soonest.wholeMilliseconds << Int64(min(run.probes.count, 16)))
                next = min(next, doubled, Scheduler.slowest)
            }
            // The first failure that counts counts in time.
            let counts = (health.countedAt ?? period) + check.interval
            if counts > now { next = min(next, counts - now) }
        }
        wakes.set(.probe(run.instance), at: now + max(next, .milliseconds(1)))
    }

    mutating func probeIfDue(_ instance: InstanceID, _ now: Timestamp) {
        guard let id = services[instance]?.active, let run = runs[id], let check = run.health, run.startedAt != nil, run.stopReason == nil, !run.probes.isOut,
            !holds.contains(.leaving)
        else { return }
        // One that is frozen cannot answer, and that is not its fault.
        guard !frozenRuns.contains(id) else {
            wakes.set(.probe(instance), at: now + .seconds(5))
            return
        }
        runs[id]?.probes.isOut = true
        runs[id]?.probes.count += 1
        perform(.probe(run.request, check))
    }

    mutating func probed(_ id: RunID, _ probe: Probe, _ now: Timestamp) {
        guard let run = runs[id], let check = run.health, let startedAt = run.startedAt, var health = services[run.instance]?.record.health,
            services[run.instance]?.active == id
        else { return }
        runs[id]?.probes.isOut = false
        guard run.stopReason == nil, !frozenRuns.contains(id) else {
            if run.stopReason == nil { wakes.set(.probe(run.instance), at: now + .seconds(5)) }
            return
        }
        let before = health
        if probe.isSuccess {
            (health.failures, health.countedAt, health.hasWorked) = (0, nil, true)
            health.state = .healthy
        } else if health.state != .starting || probe.at >= (health.countedAt ?? startedAt + check.startPeriod) + check.interval {
            health.failures += 1
            health.countedAt = probe.at
            if health.failures >= check.retries { health.state = .unhealthy }
        }
        if health.state != before.state { health.since = now }
        if health != before { services[run.instance]?.record.health = health }
        if health.state != before.state || run.probes.written.map({ $0.result != probe.result || $0.output != probe.output }) ?? true {
            runs[id]?.probes.written = probe
            write(.probe(run.instance, id, probe))
        }
        if health.state != before.state { healthChanged(run, from: before.state, probe, health, now) }
        setProbe(id, now)
    }

    private mutating func healthChanged(_ run: ActiveRun, from before: ServiceHealth.State, _ probe: Probe, _ health: ServiceHealth, _ now: Timestamp) {
        moved.insert(run.workload)
        guard health.state == .unhealthy else {
            if before == .unhealthy { event("healthy", "it works again", now, workload: run.workload, run: run.id) }
            return
        }
        let times = health.failures == 1 ? "its probe failed" : "\(health.failures) probes in a row failed"
        event("unhealthy", "\(times): \(probe.sentence)", now, workload: run.workload, run: run.id)
        endUnhealthy(run.instance, "it was unhealthy: \(probe.sentence)", now)
    }

    /// Ends the run of a service that is unhealthy, if its policy says so.
    mutating func endUnhealthy(_ id: InstanceID, _ reason: String, _ now: Timestamp) {
        guard let service = services[id], let run = service.active, service.record.health?.state == .unhealthy, service.policy.onUnhealthy != .nothing,
            service.record.wanted, !service.removing, runs[run]?.stopReason == nil
        else { return }
        services[id]?.record.health?.isEnding = true
        set(id, .stopping, now)
        stopRun(run, reason: reason, now)
    }
}
