internal import Ledger
internal import Schedules
internal import WorkloadModel

/// What people ask for.
extension Scheduler {
    mutating func apply(_ recipe: Recipe, explicit: Bool, actor: String, _ now: Timestamp) {
        catalogue.set(recipe.project, recipe)
        catalogue.unreadable.remove(recipe.project)
        event("applied", "recipe \(recipe.digest.prefix(12)) with \(recipe.workloads.count) workloads", now, actor: actor, project: recipe.project)
        takeUpRested(of: recipe)
        for id in services.keys.sorted() where id.workload.project == recipe.project {
            if let workload = recipe[id.workload], workload.jobPolicy == nil { continue }
            services[id]?.removing = true
            stopService(id, reason: "the recipe no longer has it", now)
        }
        for id in jobs.keys.sorted() where id.project == recipe.project && recipe[id]?.jobPolicy == nil {
            removeJob(id, reason: "the recipe no longer has it", now)
        }
        holds.insert(.gathering)
        for workload in recipe.workloads {
            switch workload.kind {
            case .service(let policy): applyService(workload, policy, recipe.digest, explicit: explicit, now)
            case .job(let policy): applyJob(workload, policy, recipe.digest, now)
            }
        }
        recountPools(recipe.project)
        hearEnds(of: recipe.project, now)
        holds.remove(.gathering)
        for workload in recipe.workloads {
            if workload.jobPolicy != nil {
                evaluateJob(workload.id, now)
            } else if services[InstanceID(workload.id)]?.record.phase == .waiting {
                // What it depends on may be another now.
                evaluateServices(of: workload.id, now)
            }
        }
    }

    private mutating func applyService(_ workload: Workload, _ policy: ServicePolicy, _ digest: String, explicit: Bool, _ now: Timestamp) {
        let id = InstanceID(workload.id)
        var differs = false
        if services[id] == nil, let rested = restedService(id, workload, policy, digest) {
            services[id] = rested
            resumeProbes(of: id, now)
            // What was in force is not known. What runs tells what it was made of.
            differs = rested.active.flatMap { runs[$0] }.map { !workload.container.mayBe($0.fingerprint) } ?? false
            hearEnd(of: id, now)
            if case .backoff = services[id]?.record.phase { evaluateService(id, now) }
        }
        guard var service = services[id] else {
            services[id] = Service(
                workload: workload, policy: policy, record: ServiceRecord(id: id, wanted: true, phase: .starting, since: now), digest: digest)
            startService(id, trigger: .start, now)
            return
        }
        let changed = service.workload.container != workload.container || service.removing || differs
        service.removing = false
        service.workload = workload
        service.policy = policy
        service.digest = digest
        let rests = service.record.phase.rests
        if explicit { service.record.wanted = true }
        services[id] = service
        if service.active != nil {
            if changed, service.record.wanted {
                replaceService(id, reason: "its recipe changed", now)
            } else {
                if explicit { wantAgain(id) }
                endUnhealthy(id, "it is unhealthy, and its recipe says now what becomes of it", now)
            }
        } else if service.record.wanted, changed || explicit && rests || [.starting, .running, .stopping, .waiting].contains(service.record.phase) {
            // The last phases are those of a service that was up before a reboot, and whose recipe could not be read at the start.
            services[id]?.record.failures = 0
            startService(id, trigger: .start, now)
        }
    }

    /// A service whose recipe could not be read at the start, as it was left.
    private mutating func restedService(_ id: InstanceID, _ workload: Workload, _ policy: ServicePolicy, _ digest: String) -> Service? {
        guard let record = catalogue.restedServices.removeValue(forKey: id) else { return nil }
        var service = Service(workload: workload, policy: policy, record: record, digest: digest)
        service.active = runs.first { $0.value.instance == id && $0.value.kind == .service }?.key
        return service
    }

    mutating func applyJob(_ workload: Workload, _ policy: JobPolicy, _ digest: String, _ now: Timestamp) {
        let id = workload.id
        guard var job = jobs[id] else {
            let rested = catalogue.restedJobs.removeValue(forKey: id)
            let record = rested ?? JobRecord(id: id, cursor: now, bootID: bootID, era: era)
            var job = Job(workload: workload, record: record, digest: digest)
            job.active = runs.filter { $0.value.workload == id && $0.value.kind == .job }.keys.sorted()
            jobs[id] = job
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
                if let dueAt = pending.dueAt { skip(id, dueAt, .withdrawn) }
            }
            job.record.pending.removeAll { $0.trigger == .schedule }
            job.record.cursor = max(job.record.cursor, now)
        }
        jobs[id] = job
        noteZone(id, before: missing, now)
        evaluateJob(id, now)
    }

    /// Other zones under the same schedules: nothing is withdrawn, and due times that were not handled yet follow the new ones.
    mutating func takeZones(_ recipe: Recipe, _ now: Timestamp) {
        guard let current = catalogue[recipe.project], current.digest == recipe.digest else { return }
        // The images stay those that were applied.
        let images = current.workloads.compactMap(\.container.image).filter { $0.digest != nil }.map { ($0.description, $0.digest ?? "") }
        let recipe = recipe.with(images: Dictionary(images) { first, _ in first })
        catalogue.set(recipe.project, recipe)
        holds.insert(.gathering)
        for workload in recipe.workloads {
            guard case .job(let policy) = workload.kind, let job = jobs[workload.id], !job.removing else { continue }
            applyJob(workload, policy, recipe.digest, now)
        }
        holds.remove(.gathering)
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

    private mutating func removeJob(_ id: WorkloadID, reason: String, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        for pending in job.record.pending where pending.trigger == .schedule {
            if let dueAt = pending.dueAt { skip(id, dueAt, .withdrawn) }
        }
        jobs[id]?.record.pending = []
        pools.stopWaiting(id)
        wakes.set(.job(id), at: nil)
        if job.active.isEmpty {
            forget(job: id)
        } else {
            jobs[id]?.removing = true
            for run in job.active { stopRun(run, reason: reason, now) }
        }
    }

    mutating func down(_ project: ProjectName, actor: String, _ now: Timestamp) {
        guard catalogue[project] != nil else {
            decision.reply = .refused(
                catalogue.unreadable.contains(project)
                    ? "the recipe of the project '\(project)' cannot be read: apply one, and then take it down" : "there is no project '\(project)'")
            return
        }
        // As it was started, in reverse: what uses another ends before it.
        let users = catalogue.dependents.keys.filter { $0.project == project }.reduce(into: [:]) { $0[$1] = self.users(of: $1) }
        catalogue.set(project, nil)
        event("down", "taken down", now, actor: actor, project: project)
        for id in services.keys.sorted() where id.workload.project == project {
            services[id]?.removing = true
            stopService(id, reason: "its project was taken down", after: users[id.workload] ?? [], now)
        }
        for id in jobs.keys.sorted() where id.project == project { removeJob(id, reason: "its project was taken down", now) }
        recountPools(project)
    }

    mutating func runByHand(_ id: WorkloadID, _ changes: RunChanges, recorded: Bool, actor: String, _ now: Timestamp) {
        guard let job = jobs[id], !job.removing else {
            decision.reply = instances(of: id).isEmpty ? .unknown(id) : .refused("\(id) is a service: use 'berth start'")
            return
        }
        if holds.contains(.leaving) {
            decision.reply = .refused("the daemon is shutting down")
            return
        }
        if let dueAt = changes.dueAt, let problem = job.problem(withDueTime: dueAt, recorded: recorded, now) {
            decision.reply = .refused("\(id): \(problem)")
            return
        }
        let words = changes.summary.map { " (\($0))" } ?? ""
        let start = PendingStart(trigger: .manual, dueAt: changes.dueAt, notBefore: now, queued: true, changes: changes.isEmpty ? nil : changes)
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
            jobs[id]?.record.pending.append(start)
            event("run", "a run by hand waits for its turn\(words)", now, actor: actor, workload: id)
            decision.reply = .queued
            evaluateJob(id, now)
            return
        }
        if isHeld {
            // A write takes long: it starts when that is done.
            jobs[id]?.record.pending.append(start)
            event("run", "a run by hand waits for the history\(words)", now, actor: actor, workload: id)
            decision.reply = .queued
            return
        }
        if job.policy.overlap != .allow, job.policy.overlap != .queue, job.record.pending.contains(where: { $0.trigger == .manual && $0.needsSince != nil }) {
            decision.reply = .refused("\(id) waits already for what it depends on, and its overlap policy is \(job.policy.overlap.rawValue)")
            return
        }
        if let held = heldByNeeds(id, start, now) {
            if let reason = held.reason {
                decision.reply = .refused("\(id) cannot run: \(reason)")
                return
            }
            jobs[id]?.record.pending.append(held.start)
            event(
                "run", "a run by hand waits for what it depends on: \(needs(of: job.workload, toBeUp: true).sentence ?? "")\(words)", now, actor: actor,
                workload: id)
            decision.reply = .queued
            evaluateJob(id, now)
            return
        }
        let run = launchJob(id, start, now)
        event("run", "run by hand\(words)", now, actor: actor, workload: id, run: run)
        decision.reply = .run(run)
    }

    mutating func startByHand(_ id: WorkloadID, actor: String, _ now: Timestamp) {
        guard let instances = services(named: id) else { return }
        event("started", "started by hand", now, actor: actor, workload: id)
        if let workload = services[instances[0]]?.workload { summon(for: workload, byHand: true, now) }
        for id in instances {
            services[id]?.record.wanted = true
            services[id]?.record.failures = 0
            if services[id]?.active == nil { startService(id, trigger: .manual, now) } else { wantAgain(id) }
        }
    }

    /// The copies of a service that somebody named; `nil`, with a reply, when it is none.
    private mutating func services(named id: WorkloadID) -> [InstanceID]? {
        let instances = instances(of: id)
        if !instances.isEmpty { return instances }
        decision.reply = jobs[id] == nil ? .unknown(id) : .refused("\(id) is a job: use 'berth run'")
        return nil
    }

    mutating func stopByHand(_ id: WorkloadID, actor: String, _ now: Timestamp) {
        let instances = instances(of: id)
        if !instances.isEmpty {
            event("stopped", "stopped by hand", now, actor: actor, workload: id)
            for id in instances {
                services[id]?.record.wanted = false
                stopService(id, reason: "stopped by \(actor)", now)
            }
        } else if let job = jobs[id] {
            for pending in job.record.pending where pending.trigger == .schedule {
                if let dueAt = pending.dueAt { skip(id, dueAt, .withdrawn) }
            }
            jobs[id]?.record.pending = []
            passOnDropped(job.record.pending, of: id, now)
            event("stopped", "stopped by hand: \(job.active.count) runs, \(job.record.pending.count) waiting starts", now, actor: actor, workload: id)
            for run in job.active { stopRun(run, reason: "stopped by \(actor)", now) }
            releaseFollowers(of: id, now)
        } else {
            decision.reply = .unknown(id)
        }
    }

    mutating func restartByHand(_ id: WorkloadID, actor: String, _ now: Timestamp) {
        guard let instances = services(named: id) else { return }
        event("restarted", "restarted by hand", now, actor: actor, workload: id)
        for id in instances {
            services[id]?.record.wanted = true
            services[id]?.record.failures = 0
            replaceService(id, reason: "restarted by \(actor)", now)
        }
    }

    mutating func setPaused(_ id: WorkloadID, _ paused: Bool, actor: String, _ now: Timestamp) {
        guard let job = jobs[id] else {
            decision.reply = instances(of: id).isEmpty ? .unknown(id) : .refused("\(id) is a service: use 'berth stop'")
            return
        }
        guard job.record.paused != paused else {
            decision.reply = .refused("\(id) is \(paused ? "paused already" : "not paused")")
            return
        }
        jobs[id]?.record.paused = paused
        event(paused ? "paused" : "resumed", paused ? "paused by hand" : "resumed by hand", now, actor: actor, workload: id)
        evaluateJob(id, now)
    }
}
