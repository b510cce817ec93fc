internal import Ledger
internal import HeapModule
public import Schedules
internal import WorkloadModel

/// The supervisor's mind: what should be, what is, and what follows.
///
/// A value. It holds no clock and does nothing: events and the time come in, decisions go out. Whoever performs them makes
/// the writes durable first and carries the effects out after, and may die between any two of them: a scheduler restored
/// from what was written and from what an engine finds goes on where this one was.
public struct Scheduler: Sendable {
    /// A job as it stands.
    struct Job: Sendable {
        /// A job, not a service.
        var workload: Workload
        var record: JobRecord
        var active: [RunID] = []
        var removing = false
        var wakeAt: Timestamp?
        var digest: String
        /// When its last starts were, on the steady clock; at most ``Scheduler/startsPerSecond``.
        var starts: [Duration] = []

        var policy: JobPolicy { workload.jobPolicy ?? JobPolicy() }
    }

    /// A service as it stands.
    struct Service: Sendable {
        var workload: Workload
        var policy: ServicePolicy
        var record: ServiceRecord
        var active: RunID?
        /// Whether the recipe has it no more: it is forgotten when its run has ended.
        var removing = false
        var wakeAt: Timestamp?
        var digest: String
    }

    /// A run that has not ended.
    struct ActiveRun: Sendable {
        let request: RunRequest
        var startedAt: Timestamp?
        /// Why it is being stopped; written to the store before the signal.
        var stopReason: String?
        /// The service's generation that it was started for.
        var generation = 0
        /// What somebody changed for it; `nil` also when an earlier daemon started it.
        var changes: RunChanges?
    }

    struct Wake: Comparable, Sendable {
        let at: Timestamp
        let id: WorkloadID

        static func < (left: Wake, right: Wake) -> Bool { left.at == right.at ? left.id < right.id : left.at < right.at }
    }

    var jobs: [WorkloadID: Job] = [:]
    var services: [WorkloadID: Service] = [:]
    var runs: [RunID: ActiveRun] = [:]
    var recipes: [ProjectName: Recipe] = [:]
    /// Projects whose recipe could not be read at the start, and was not applied since.
    var unreadable: Set<ProjectName> = []
    /// Records of projects whose recipe could not be read: they rest until it is applied again.
    var rested: (services: [WorkloadID: ServiceRecord], jobs: [WorkloadID: JobRecord]) = ([:], [:])
    /// The jobs that come after a job, ascending.
    var followers: [WorkloadID: [WorkloadID]] = [:]
    /// Jobs with a start that waits for nothing but a place in its pool, and since when that start has waited.
    var waitingForPlace: [WorkloadID: Timestamp] = [:]
    /// Of the containers that were launched since their recipe was applied; to work one out takes its time.
    private var fingerprints: [WorkloadID: String] = [:]
    var wakes = Heap<Wake>()
    var dice: Dice
    let bootID: String
    var lastMoment: Moment?
    /// The decision that is being made.
    var decision = Decision()
    /// Facts are being gathered that starts depend on: no start of a job is decided before all of them are there.
    var gathering = false
    /// Runs that are frozen because they fill the disk.
    var frozenRuns: Set<RunID> = []
    /// No launch any more: the daemon is leaving.
    var leaving = false
    /// The history takes no writes: no start is decided.
    public internal(set) var isHeld = false

    /// A due time that is handled later than this after its instant counts as missed.
    static let lateTolerance = Duration.seconds(60)
    /// How often one job is started in a second, people's own starts aside, whatever the clock, its retries or other jobs do.
    static let startsPerSecond = 10
    /// A step of the wall clock that is taken for one.
    static let clockTolerance = Duration.seconds(5)
    /// A step back that is taken for a correction, not for a stutter. As Debian's cron.
    static let correction = Duration.seconds(3 * 3600)

    public init(bootID: String, seed: UInt64) {
        self.bootID = bootID
        dice = Dice(seed: seed)
    }

    /// When the scheduler wants a `tick` at the latest; `nil` when nothing is to come.
    public var nextWake: Timestamp? { wakes.min?.at }

    /// Takes an event in.
    public mutating func apply(_ event: Event, at moment: Moment) -> Decision {
        decision = Decision()
        let now = moment.wall
        watchClock(moment)
        // What is due is due under the recipe that was in force, whatever the event changes.
        wakeDue(now)
        switch event {
        case .tick: break
        case .launched(let run, let at, let image): launched(run, at: at, image: image)
        case .delayed(let run): launchIfInTime(run, now)
        case .launchFailed(let run, let sentence):
            ended(run, ExitStatus(ending: .startError(sentence), finishedAt: now), now)
        case .exited(let run, let status): ended(run, status, now)
        case .historyFails: isHeld = true
        case .historyWorks: release(now)
        case .frozen(let runs): frozenRuns = runs
        case .apply(let recipe, let explicit, let actor): apply(recipe, explicit: explicit, actor: actor, now)
        case .zonesChanged(let recipe): takeZones(recipe, now)
        case .down(let project, let actor): down(project, actor: actor, now)
        case .run(let id, let changes, let recorded, let actor): runByHand(id, changes, recorded: recorded, actor: actor, now)
        case .start(let id, let actor): startByHand(id, actor: actor, now)
        case .stop(let id, let actor): stopByHand(id, actor: actor, now)
        case .restart(let id, let actor): restartByHand(id, actor: actor, now)
        case .pause(let id, let actor): setPaused(id, true, actor: actor, now)
        case .resume(let id, let actor): setPaused(id, false, actor: actor, now)
        case .stopAll:
            leaving = true
            for id in runs.keys.sorted() { stopRun(id, reason: "the daemon was told to stop everything", now) }
        }
        wakeDue(now)
        return decision
    }

    // MARK: Waking

    private mutating func wakeDue(_ now: Timestamp) {
        while let wake = wakes.min, wake.at <= now {
            wakes.removeMin()
            if var job = jobs[wake.id], job.wakeAt == wake.at {
                job.wakeAt = nil
                jobs[wake.id] = job
                evaluateJob(wake.id, now)
            } else if services[wake.id]?.wakeAt == wake.at {
                services[wake.id]?.wakeAt = nil
                evaluateService(wake.id, now)
            }
        }
    }

    /// Lets something happen to many jobs, and looks at what starts only then.
    mutating func gather(_ now: Timestamp, _ body: (inout Scheduler) -> Void) {
        gathering = true
        body(&self)
        gathering = false
        for id in jobs.keys.sorted() { evaluateJob(id, now) }
    }

    /// Notices that the wall clock was set, or that the host slept.
    private mutating func watchClock(_ moment: Moment) {
        let before = lastMoment
        lastMoment = moment
        guard let last = before else { return }
        let step = (moment.wall - last.wall) - (moment.steady - last.steady)
        if step > Scheduler.clockTolerance {
            event("clock-set", "the clock went forward by \(DurationText.print(step)), or the host slept", moment.wall)
            gather(moment.wall) { scheduler in
                for id in scheduler.jobs.keys.sorted() { scheduler.missDueTimes(id, .clockJump, moment.wall) }
            }
        } else if step < .zero - Scheduler.clockTolerance {
            let back = Duration.zero - step
            event("clock-set", "the clock went back by \(DurationText.print(back))", moment.wall)
            gather(moment.wall) { scheduler in
                for id in scheduler.jobs.keys.sorted() { scheduler.clockWentBack(job: id, by: back, moment.wall) }
            }
            for id in services.keys.sorted() { clockWentBack(service: id, by: back, moment.wall) }
        }
    }

    private mutating func clockWentBack(job id: WorkloadID, by back: Duration, _ now: Timestamp) {
        guard var job = jobs[id] else { return }
        for index in job.record.pending.indices where job.record.pending[index].trigger != .schedule || back > Scheduler.correction {
            job.record.pending[index].notBefore = max(now, job.record.pending[index].notBefore - back)
        }
        jobs[id] = job
        // A small step back runs nothing twice: the cursor stays ahead. A large one is a correction: nothing waits for years.
        if job.record.cursor > now + Scheduler.correction { beginEra(id, now) } else { write(.job(job.record)) }
    }

    private mutating func clockWentBack(service id: WorkloadID, by back: Duration, _ now: Timestamp) {
        guard let next = services[id]?.record.nextStartAt else { return }
        services[id]?.record.nextStartAt = max(now, next - back)
        writeService(id)
        evaluateService(id, now)
    }

    // MARK: Small things

    mutating func write(_ write: Write) { decision.writes.append(write) }

    mutating func perform(_ effect: Effect) { decision.effects.append(effect) }

    mutating func event(
        _ kind: String, _ text: String, _ now: Timestamp, actor: String = "berthd", project: ProjectName? = nil, workload: WorkloadID? = nil,
        run: RunID? = nil
    ) {
        write(
            .event(
                EventRecord(
                    at: now, project: project ?? workload?.project, workload: workload?.name, runID: run, kind: kind, actor: actor, text: text)))
    }

    mutating func wake(_ id: WorkloadID, at time: Timestamp?) {
        guard let time else { return }
        if let job = jobs[id], !job.removing {
            guard jobs[id]?.wakeAt != time else { return }
            jobs[id]?.wakeAt = time
        } else {
            guard services[id]?.wakeAt != time else { return }
            services[id]?.wakeAt = time
        }
        wakes.insert(Wake(at: time, id: id))
    }

    /// Decides a run: it is written down as `starting`, and launched once that is durable.
    mutating func launch(
        _ workload: Workload, digest: String, trigger: Trigger, dueAt: Timestamp?, attempt: Int, timeout: Duration?, lastOutcome: Outcome?,
        arrivals: [Arrival] = [], changes: RunChanges? = nil, generation: Int = 0, _ now: Timestamp
    ) -> RunID {
        let container = changes?.applied(to: workload.container) ?? workload.container
        let kind: WorkloadKind = if case .service = workload.kind { .service } else { .job }
        let request = RunRequest(
            id: RunID(now: now, random: UInt32.random(in: .min ... .max, using: &dice)), workload: workload.id, kind: kind,
            container: container, trigger: trigger, attempt: attempt, dueAt: dueAt, decidedAt: now, timeout: timeout,
            lastOutcome: lastOutcome, recipeDigest: digest, arrivals: arrivals, changes: changes?.summary)
        runs[request.id] = ActiveRun(request: request, generation: generation, changes: changes)
        let fingerprint = container == workload.container ? fingerprint(of: workload) : container.fingerprint
        write(.openRun(RunOpening(request: request, bootID: bootID, fingerprint: fingerprint, generation: generation)))
        perform(.launch(request))
        return request.id
    }

    private mutating func fingerprint(of workload: Workload) -> String {
        if let known = fingerprints[workload.id] { return known }
        let fingerprint = workload.container.fingerprint
        fingerprints[workload.id] = fingerprint
        return fingerprint
    }

    mutating func forgetFingerprints(of project: ProjectName) {
        for id in fingerprints.keys where id.project == project { fingerprints[id] = nil }
    }

    mutating func stopRun(_ id: RunID, reason: String, _ now: Timestamp) {
        guard var run = runs[id], run.stopReason == nil else { return }
        run.stopReason = reason
        runs[id] = run
        write(.stopRequested(id, at: now, reason: reason))
        // One that is still being launched is stopped when it is up.
        if run.startedAt != nil { perform(.stop(id)) }
    }
}
