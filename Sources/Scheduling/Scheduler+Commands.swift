internal import Ledger
internal import Schedules
internal import WorkloadModel

/// What people ask for.
extension Scheduler {
    mutating func apply(_ recipe: Recipe, explicit: Bool, actor: String, _ now: Timestamp) {
        let wanted = Dictionary(uniqueKeysWithValues: recipe.workloads.map { ($0.id, $0) })
        recipes[recipe.project] = recipe
        unreadable.remove(recipe.project)
        forgetFingerprints(of: recipe.project)
        event("applied", "recipe \(recipe.digest.prefix(12)) with \(recipe.workloads.count) workloads", now, actor: actor, project: recipe.project)
        for id in services.keys.sorted() where id.project == recipe.project {
            if let workload = wanted[id], workload.jobPolicy == nil { continue }
            services[id]?.removing = true
            stopService(id, reason: "the recipe no longer has it", now)
        }
        for id in jobs.keys.sorted() where id.project == recipe.project && wanted[id]?.jobPolicy == nil {
            removeJob(id, reason: "the recipe no longer has it", now)
        }
        gathering = true
        for workload in recipe.workloads {
            switch workload.kind {
            case .service(let policy): applyService(workload, policy, recipe.digest, explicit: explicit, now)
            case .job(let policy): applyJob(workload, policy, recipe.digest, now)
            }
        }
        rebuildFollowers(recipe.project)
        gathering = false
        for workload in recipe.workloads where workload.jobPolicy != nil { evaluateJob(workload.id, now) }
    }

    private mutating func applyService(_ workload: Workload, _ policy: ServicePolicy, _ digest: String, explicit: Bool, _ now: Timestamp) {
        let id = workload.id
        guard var service = services[id] ?? restedService(workload, policy, digest) else {
            services[id] = Service(
                workload: workload, policy: policy, record: ServiceRecord(id: id, wanted: true, phase: .starting, since: now), digest: digest)
            startService(id, trigger: .start, now)
            return
        }
        let changed = service.workload.container != workload.container || service.removing
        service.removing = false
        service.workload = workload
        service.policy = policy
        service.digest = digest
        let resting = [.stopped, .exited, .failed].contains(service.record.phase)
        let wasWanted = service.record.wanted
        if explicit { service.record.wanted = true }
        services[id] = service
        if service.active != nil {
            if changed, service.record.wanted {
                replaceService(id, reason: "its recipe changed", now)
            } else if explicit, !wasWanted {
                // It is being stopped, and now somebody wants it on.
                raiseGeneration(id)
            }
        } else if service.record.wanted, changed || explicit && resting || [.starting, .running, .stopping].contains(service.record.phase) {
            // The last phases are those of a service that was up before a reboot, and whose recipe could not be read at the start.
            services[id]?.record.failures = 0
            startService(id, trigger: .start, now)
        }
    }

    /// A service whose recipe could not be read at the start, as it was left.
    private mutating func restedService(_ workload: Workload, _ policy: ServicePolicy, _ digest: String) -> Service? {
        guard let record = rested.services.removeValue(forKey: workload.id) else { return nil }
        var service = Service(workload: workload, policy: policy, record: record, digest: digest)
        service.active = runs.first { $0.value.request.workload == workload.id && $0.value.request.kind == .service }?.key
        return service
    }

    mutating func applyJob(_ workload: Workload, _ policy: JobPolicy, _ digest: String, _ now: Timestamp) {
        let id = workload.id
        guard var job = jobs[id] else {
            let rested = rested.jobs.removeValue(forKey: id)
            let record = rested ?? JobRecord(id: id, cursor: now, bootID: bootID)
            var job = Job(workload: workload, record: record, digest: digest)
            job.active = runs.filter { $0.value.request.workload == id && $0.value.request.kind == .job }.keys.sorted()
            jobs[id] = job
            write(.job(record))
            if let rested { reviveJob(id, reason: rested.bootID == bootID ? .daemonDown : .hostOff, now) } else { evaluateJob(id, now) }
            return
        }
        let rescheduled = job.policy.schedule != policy.schedule
        let missing = job.policy.schedule?.unavailableZone
        job.workload = workload
        job.digest = digest
        job.removing = false
        job.record.arrivals.removeAll { policy.after[$0.job] == nil }
        if rescheduled {
            for pending in job.record.pending where pending.trigger == .schedule {
                if let dueAt = pending.dueAt { skip(id, dueAt, withdrawn: now) }
            }
            job.record.pending.removeAll { $0.trigger == .schedule }
            job.record.cursor = max(job.record.cursor, now)
        }
        job.wakeAt = nil
        jobs[id] = job
        write(.job(job.record))
        noteZone(id, before: missing, now)
        evaluateJob(id, now)
    }

    /// Other zones under the same schedules: nothing is withdrawn, and due times that were not handled yet follow the new ones.
    mutating func takeZones(_ recipe: Recipe, _ now: Timestamp) {
        guard let current = recipes[recipe.project], current.digest == recipe.digest else { return }
        // The images stay those that were applied.
        let images = current.workloads.compactMap(\.container.image).filter { $0.digest != nil }.map { ($0.description, $0.digest ?? "") }
        let recipe = recipe.with(images: Dictionary(images) { first, _ in first })
        recipes[recipe.project] = recipe
        gathering = true
        for workload in recipe.workloads {
            guard case .job(let policy) = workload.kind, let job = jobs[workload.id], !job.removing else { continue }
            applyJob(workload, policy, recipe.digest, now)
        }
        gathering = false
        for workload in recipe.workloads where jobs[workload.id]?.removing == false { evaluateJob(workload.id, now) }
    }

    /// A zone can vanish from the system, and come back: what was due in between is missed.
    private mutating func noteZone(_ id: WorkloadID, before: String?, _ now: Timestamp) {
        let missing = jobs[id]?.policy.schedule?.unavailableZone
        if let missing, before == nil {
            event("zone-missing", "the time zone \(missing) is not to be found: nothing is due until it is back", now, workload: id)
        } else if let before, missing == nil {
            event("zone-back", "the time zone \(before) is back", now, workload: id)
            missDueTimes(id, .zoneMissing, now)
        }
    }

    private mutating func skip(_ id: WorkloadID, _ dueAt: Timestamp, withdrawn now: Timestamp) { skip(id, dueAt, .withdrawn) }

    private mutating func removeJob(_ id: WorkloadID, reason: String, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        for pending in job.record.pending where pending.trigger == .schedule {
            if let dueAt = pending.dueAt { skip(id, dueAt, withdrawn: now) }
        }
        jobs[id]?.record.pending = []
        if job.active.isEmpty {
            jobs[id] = nil
            write(.removeWorkload(id, .job))
        } else {
            jobs[id]?.removing = true
            for run in job.active { stopRun(run, reason: reason, now) }
        }
    }

    mutating func down(_ project: ProjectName, actor: String, _ now: Timestamp) {
        guard recipes[project] != nil else {
            decision.reply = .refused(
                unreadable.contains(project)
                    ? "the recipe of the project '\(project)' cannot be read: apply one, and then take it down" : "there is no project '\(project)'")
            return
        }
        recipes[project] = nil
        event("down", "taken down", now, actor: actor, project: project)
        for id in services.keys.sorted() where id.project == project {
            services[id]?.removing = true
            stopService(id, reason: "its project was taken down", now)
        }
        for id in jobs.keys.sorted() where id.project == project { removeJob(id, reason: "its project was taken down", now) }
    }

    mutating func runByHand(_ id: WorkloadID, _ changes: RunChanges, recorded: Bool, actor: String, _ now: Timestamp) {
        guard let job = jobs[id], !job.removing else {
            decision.reply = services[id] == nil ? .unknown(id) : .refused("\(id) is a service: use 'berth start'")
            return
        }
        if leaving {
            decision.reply = .refused("the daemon is shutting down")
            return
        }
        if isHeld {
            decision.reply = .refused("the history cannot be written now, so nothing can be started")
            return
        }
        if let dueAt = changes.dueAt, let problem = job.problem(withDueTime: dueAt, recorded: recorded, now) {
            decision.reply = .refused("\(id): \(problem)")
            return
        }
        let words = changes.summary.map { " (\($0))" } ?? ""
        let busy = !isFree(job, mayOverlap: job.policy.overlap == .allow)
        let full = !hasPlace(job)
        if busy || full {
            guard job.policy.overlap == .queue || job.policy.overlap == .replace else {
                let reason =
                    busy
                    ? "is running already (\(job.active.first.map { "run \($0)" } ?? "the service that it was is ending")), and its overlap policy is \(job.policy.overlap.rawValue)"
                    : "finds no place: its pool \(job.policy.pool.map { "'\($0)' " } ?? "")is full, and its overlap policy is \(job.policy.overlap.rawValue)"
                decision.reply = .refused("\(id) \(reason)")
                return
            }
            if job.policy.overlap == .replace { for run in job.active { stopRun(run, reason: "replaced by a run by hand", now) } }
            jobs[id]?.record.pending.append(
                PendingStart(trigger: .manual, dueAt: changes.dueAt, notBefore: now, queued: true, changes: changes.isEmpty ? nil : changes))
            if let record = jobs[id]?.record { write(.job(record)) }
            event("run", "a run by hand waits for its turn\(words)", now, actor: actor, workload: id)
            decision.reply = .queued
            evaluateJob(id, now)
            return
        }
        let run = launchJob(id, PendingStart(trigger: .manual, dueAt: changes.dueAt, notBefore: now, queued: true, changes: changes), now)
        event("run", "run by hand\(words)", now, actor: actor, workload: id, run: run)
        decision.reply = .run(run)
    }

    mutating func startByHand(_ id: WorkloadID, actor: String, _ now: Timestamp) {
        guard var service = services[id] else {
            decision.reply = jobs[id] == nil ? .unknown(id) : .refused("\(id) is a job: use 'berth run'")
            return
        }
        let wasWanted = service.record.wanted
        service.record.wanted = true
        service.record.failures = 0
        services[id] = service
        event("started", "started by hand", now, actor: actor, workload: id)
        if service.active == nil {
            startService(id, trigger: .manual, now)
        } else if !wasWanted {
            // It is being stopped, and now somebody wants it on.
            raiseGeneration(id)
        }
    }

    mutating func stopByHand(_ id: WorkloadID, actor: String, _ now: Timestamp) {
        if services[id] != nil {
            services[id]?.record.wanted = false
            event("stopped", "stopped by hand", now, actor: actor, workload: id)
            stopService(id, reason: "stopped by \(actor)", now)
        } else if let job = jobs[id] {
            for pending in job.record.pending where pending.trigger == .schedule {
                if let dueAt = pending.dueAt { skip(id, dueAt, withdrawn: now) }
            }
            jobs[id]?.record.pending = []
            if let record = jobs[id]?.record { write(.job(record)) }
            passOnDropped(job.record.pending, of: id, now)
            event("stopped", "stopped by hand: \(job.active.count) runs, \(job.record.pending.count) waiting starts", now, actor: actor, workload: id)
            for run in job.active { stopRun(run, reason: "stopped by \(actor)", now) }
            releaseFollowers(of: id, now)
        } else {
            decision.reply = .unknown(id)
        }
    }

    mutating func restartByHand(_ id: WorkloadID, actor: String, _ now: Timestamp) {
        guard services[id] != nil else {
            decision.reply = jobs[id] == nil ? .unknown(id) : .refused("\(id) is a job: use 'berth run'")
            return
        }
        services[id]?.record.wanted = true
        services[id]?.record.failures = 0
        event("restarted", "restarted by hand", now, actor: actor, workload: id)
        replaceService(id, reason: "restarted by \(actor)", now)
    }

    mutating func setPaused(_ id: WorkloadID, _ paused: Bool, actor: String, _ now: Timestamp) {
        guard let job = jobs[id] else {
            decision.reply = services[id] == nil ? .unknown(id) : .refused("\(id) is a service: use 'berth stop'")
            return
        }
        guard job.record.paused != paused else {
            decision.reply = .refused("\(id) is \(paused ? "paused already" : "not paused")")
            return
        }
        jobs[id]?.record.paused = paused
        if let record = jobs[id]?.record { write(.job(record)) }
        event(paused ? "paused" : "resumed", paused ? "paused by hand" : "resumed by hand", now, actor: actor, workload: id)
        evaluateJob(id, now)
    }
}
