public import Ledger
public import EngineAPI
import Schedules
public import WorkloadModel

/// The start of a daemon: what was written down meets what is found.
extension Scheduler {
    /// Goes on where an earlier scheduler was, whatever became of it.
    ///
    /// - Parameters:
    ///   - stored: what was read back
    ///   - observed: what the engine found of the runs that are not closed
    public mutating func restore(_ stored: StoredState, observed: [RunID: ObservedRun], at moment: Moment) -> Decision {
        decision = Decision()
        let now = moment.wall
        _ = clock.step(to: moment)
        for recipe in stored.recipes { catalogue.set(recipe.project, recipe) }
        catalogue.unreadable = stored.unreadable
        era = stored.era
        let sameBoot = stored.bootID == bootID
        if !sameBoot { write(.boot(bootID)) }
        takeUp(stored, now)
        // Nothing new is decided before all that is going is known: what overlaps, who has a place in a pool, what was missed.
        holds.insert(.gathering)
        let open = (stored.openRuns + stored.foundRuns).sorted { $0.id < $1.id }
        if stored.copiedAt != nil { loseTime(stored.foundRuns, observed, sameBoot: sameBoot, now) }
        for run in open { attach(run) }
        for recipe in stored.recipes { recountPools(recipe.project) }
        for run in open {
            let rests = stored.unreadable.contains(run.workload.project)
            takeUp(run, observed[run.id], rests: rests, fromCopy: stored.copiedAt, now)
        }
        // What an engine holds of runs that are closed, or that nobody knows, is let go; one that lives is stopped first, as
        // gently as any, and let go at its end.
        for id in observed.keys.sorted() where runs[id] == nil {
            if case .alive? = observed[id] {
                event("orphan", "a container that no recipe and no history knows is stopped", now, run: id)
                perform(.stop(id))
            } else {
                perform(.settle(id))
            }
        }
        for id in services.keys.sorted() where services[id]?.removing == true && services[id]?.active == nil {
            services[id] = nil
        }
        for id in services.keys.sorted() { reviveService(id, sameBoot: sameBoot, now) }
        for id in jobs.keys.sorted() { reviveJob(id, reason: sameBoot || stored.bootID == nil ? .daemonDown : .hostOff, now) }
        for id in jobs.keys.sorted() where jobs[id]?.removing == true && jobs[id]?.active.isEmpty == true { forget(job: id) }
        for recipe in stored.recipes { hearEnds(of: recipe.project, now) }
        holds.remove(.gathering)
        for id in jobs.keys.sorted() { evaluateJob(id, now) }
        // Services were looked at one after another: those that waited for later ones are looked at again.
        for id in services.keys.sorted() where services[id]?.record.phase == .waiting { evaluateService(id, now) }
        settleGates(now)
        return decided()
    }

    private mutating func takeUp(_ stored: StoredState, _ now: Timestamp) {
        let workloads = Dictionary(uniqueKeysWithValues: stored.recipes.flatMap { recipe in recipe.workloads.map { ($0.id, ($0, recipe.digest)) } })
        let serviceRecords = Dictionary(uniqueKeysWithValues: stored.services.map { ($0.id, $0) })
        let jobRecords = Dictionary(uniqueKeysWithValues: stored.jobs.map { ($0.id, $0) })
        for (id, (workload, digest)) in workloads {
            switch workload.kind {
            case .service(let policy):
                let instance = InstanceID(id)
                let record = serviceRecords[instance] ?? ServiceRecord(id: instance, wanted: true, phase: .starting, since: now)
                services[instance] = Service(
                    workload: workload, policy: policy, record: record, isChanged: serviceRecords[instance] == nil, digest: digest)
            case .job:
                let record = jobRecords[id] ?? JobRecord(id: id, cursor: now, bootID: bootID, era: era)
                jobs[id] = Job(workload: workload, record: record, isChanged: jobRecords[id] == nil, digest: digest)
            }
        }
        // Records without a recipe: their removal was under way, unless it is there and only cannot be read. What still runs is
        // forgotten at its end.
        let running = Dictionary(grouping: stored.openRuns, by: \.kind).mapValues { Set($0.map(\.instance)) }
        for (id, record) in serviceRecords.sorted(by: { $0.key < $1.key }) where services[id] == nil {
            if stored.unreadable.contains(id.workload.project) {
                catalogue.restedServices[id] = record
            } else if running[.service]?.contains(id) == true {
                services[id] = Service(gone: id, record: record)
            } else {
                write(.removeService(id))
            }
        }
        for (id, record) in jobRecords.sorted(by: { $0.key < $1.key }) where jobs[id] == nil {
            if stored.unreadable.contains(id.project) {
                catalogue.restedJobs[id] = record
            } else if running[.job]?.contains(InstanceID(id)) == true {
                jobs[id] = Job(gone: id, record: record)
            } else {
                leave(era: record.era)
                write(.removeJob(id))
            }
        }
    }

    /// Takes up records that rested and that the applied recipe has no service, or no job, for: they are removed as those of any other
    /// workload that a recipe no longer has.
    mutating func takeUpRested(of recipe: Recipe) {
        for (id, record) in catalogue.restedServices where id.workload.project == recipe.project && (recipe[id.workload].map { $0.jobPolicy != nil } ?? true) {
            catalogue.restedServices[id] = nil
            services[id] = Service(gone: id, record: record)
            services[id]?.active = runs.first { $0.value.instance == id && $0.value.kind == .service }?.key
        }
        for (id, record) in catalogue.restedJobs where id.project == recipe.project && recipe[id]?.jobPolicy == nil {
            catalogue.restedJobs[id] = nil
            jobs[id] = Job(gone: id, record: record)
            jobs[id]?.active = runs.filter { $0.value.workload == id && $0.value.kind == .job }.keys.sorted()
        }
    }

    private mutating func attach(_ open: Run) {
        let workload = open.kind == .service ? services[open.instance]?.workload : jobs[open.workload]?.workload
        // The container's own spec is not stored; a run that is adopted needs none, and one that is launched anew gets the
        // recipe's, which is the same unless the fingerprint says otherwise.
        let container = workload?.container ?? ContainerSpec(root: .host)
        runs[open.id] = ActiveRun(
            run: open, container: open.changes?.applied(to: container) ?? container, timeout: jobs[open.workload]?.policy.timeout,
            lastOutcome: jobs[open.workload]?.record.lastOutcome)
        let isReadable = !catalogue.unreadable.contains(open.workload.project)
        switch open.kind {
        case .service:
            // An earlier release removed the record when the recipe named a job; others wait for this end all the same.
            if services[open.instance] == nil, isReadable {
                let record = ServiceRecord(id: open.instance, wanted: false, phase: .stopping, since: open.decidedAt)
                services[open.instance] = Service(gone: open.instance, record: record)
            }
            services[open.instance]?.active = open.id
        case .job:
            if jobs[open.workload] == nil, isReadable {
                jobs[open.workload] = Job(gone: open.workload, record: JobRecord(id: open.workload, cursor: open.decidedAt, bootID: bootID, era: era))
            }
            jobs[open.workload]?.active.append(open.id)
        }
    }

    /// Whether a run belongs to its workload as that is now: a service's to a service, a job's to a job.
    private func isOfItsKind(_ open: Run) -> Bool {
        switch open.kind {
        case .service: services[open.instance]?.removing == false
        case .job: jobs[open.workload]?.removing == false
        }
    }

    private mutating func takeUp(_ open: Run, _ found: ObservedRun?, rests: Bool, fromCopy copiedAt: Timestamp?, _ now: Timestamp) {
        let workload = services[open.instance]?.workload ?? jobs[open.workload]?.workload
        switch found {
        case .alive(let startedAt, let health):
            adopt(open, startedAt: startedAt, known: isOfItsKind(open) || rests, now)
            resumeProbes(of: open.id, health, now)
        case .exited(let status): ended(open.id, status, now)
        case .notStarted:
            if let request = runs[open.id]?.request { launchAgain(open, request, workload, now) }
        case nil:
            if let copiedAt {
                // It may have begun, and ended, after the copy was made.
                let sentence = "the history was lost, and this is a copy from \(copiedAt): how it ended is not known"
                ended(open.id, ExitStatus(ending: .lost(sentence), finishedAt: now), now)
                return
            }
            // What an engine had of a run goes only after its end is durable. So one that is starting, and of which nothing is
            // there in the same boot, never began.
            if open.bootID == bootID, open.state == .starting, let request = runs[open.id]?.request {
                launchAgain(open, request, workload, now)
                return
            }
            let sentence =
                open.bootID == bootID
                ? "nothing was left of it when the daemon came back" : "the host went down while it was \(open.state.rawValue)"
            ended(open.id, ExitStatus(ending: .lost(sentence), finishedAt: now), now)
        }
    }

    private mutating func adopt(_ open: Run, startedAt: Timestamp, known: Bool, _ now: Timestamp) {
        if open.startedAt == nil {
            runs[open.id]?.startedAt = startedAt
            write(.runStarted(open.id, at: startedAt, image: nil))
        }
        // Its stop was decided; whether it had begun nobody knows. Beginning it again does no harm.
        tellToEnd(open.id)
        if !known {
            stopRun(open.id, reason: "the recipe no longer has it", now)
        } else if open.kind == .service, let service = services[open.instance], open.stopReason == nil {
            if !service.record.wanted {
                stopService(open.instance, reason: "it was stopped while the daemon was away", now)
            } else if !service.workload.container.mayBe(open.fingerprint) {
                replaceService(open.instance, reason: "its recipe changed", now)
            } else if open.generation != service.record.generation {
                stopService(open.instance, reason: "another one is to take its place", now)
            } else if service.record.phase == .stopping {
                // An earlier release decided its stop, and did not write down what follows: it is wanted, so it is a restart.
                replaceService(open.instance, reason: "a restart was under way when the daemon went away", now)
            } else if service.record.phase != .running {
                set(open.instance, .running, startedAt)
            }
        }
    }

    /// Nothing of it ran. In the same boot it is launched under the same id, so that it starts at most once.
    private mutating func launchAgain(_ open: Run, _ request: RunRequest, _ workload: Workload?, _ now: Timestamp) {
        guard open.bootID == bootID, open.state == .starting else {
            ended(open.id, ExitStatus(ending: .lost("the host went down while it was starting"), finishedAt: now), now)
            return
        }
        let lastMoment = jobs[open.workload]?.policy.lastMoment(of: open.trigger, dueAt: open.dueAt, decidedAt: open.decidedAt)
        let late = lastMoment.map { now > $0 } ?? false
        let unwanted = workload == nil || !isOfItsKind(open) || services[open.instance]?.record.wanted == false
        let changed = !request.container.mayBe(open.fingerprint)
        if late || unwanted || changed || open.stopReason != nil {
            if changed, open.stopReason == nil { services[open.instance]?.record.generation += 1 }
            withdraw(open.id, open.stopReason ?? (late ? "its deadline passed before it started" : "withdrawn before it started"), now)
            return
        }
        perform(.launch(request))
    }

    private mutating func reviveService(_ id: InstanceID, sameBoot: Bool, _ now: Timestamp) {
        hearEnd(of: id, now)
        guard let service = services[id], service.active == nil else { return }
        guard service.record.wanted else {
            if service.record.phase != .stopped { set(id, .stopped, now) }
            return
        }
        switch service.record.phase {
        case .stopped, .exited, .failed: return
        case .backoff:
            // A new boot is a new beginning; within one the pause goes on.
            if !sameBoot { set(id, .backoff(until: now), now) }
            evaluateService(id, now)
        case .starting, .running, .stopping, .waiting: startService(id, trigger: .start, now)
        }
    }

    mutating func reviveJob(_ id: WorkloadID, reason: DueReason, _ now: Timestamp) {
        guard let job = jobs[id] else { return }
        if job.record.cursor > now + ClockWatch.correction {
            event("clock-set", "the clock is far behind what it was; due times count from now", now, workload: id)
            beginEra(id, now)
        }
        if job.record.bootID != bootID {
            jobs[id]?.record.bootID = bootID
            if job.policy.schedule?.runsAtBoot == true {
                if job.record.paused {
                    skip(id, now, .paused)
                } else {
                    jobs[id]?.record.pending.append(PendingStart(trigger: .schedule, dueAt: now, notBefore: now, queued: true))
                }
            }
        }
        missPending(id, reason, now)
        missDueTimes(id, reason, now)
        evaluateJob(id, now)
    }
}

extension Scheduler.Service {
    /// One that no recipe has any more, until its run has ended.
    fileprivate init(gone id: InstanceID, record: ServiceRecord) {
        let policy = ServicePolicy()
        self.init(
            workload: Workload(id: id.workload, container: ContainerSpec(root: .host), kind: .service(policy)), policy: policy, record: record,
            isChanged: false, removing: true, digest: "")
    }
}

extension Scheduler.Job {
    /// One that no recipe has any more, until its runs have ended.
    fileprivate init(gone id: WorkloadID, record: JobRecord) {
        self.init(
            workload: Workload(id: id, container: ContainerSpec(root: .host), kind: .job(JobPolicy())), record: record, isChanged: false, removing: true,
            digest: "")
    }
}
