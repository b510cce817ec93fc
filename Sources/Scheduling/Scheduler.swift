internal import Ledger
public import Schedules
internal import WorkloadModel

/// Decides what is started, stopped and written down, from what is wanted, what is observed, and the time.
///
/// A value. It holds no clock and does nothing: events and the time come in, decisions go out. Whoever performs them makes
/// the writes durable first and carries the effects out after, and may die between any two of them: a scheduler restored
/// from what was written and from what an engine finds goes on where this one was.
public struct Scheduler: Sendable {
    /// A job as it stands.
    struct Job: Sendable, Recorded {
        /// A job, not a service.
        var workload: Workload
        var record: JobRecord { didSet { isChanged = true } }
        var isChanged = true
        var active: [RunID] = []
        var removing = false
        var digest: String
        /// When its last starts were, on the steady clock; at most ``Scheduler/startsPerSecond``.
        var starts: [Duration] = []

        var policy: JobPolicy { workload.jobPolicy ?? JobPolicy() }
        static func removal(of id: WorkloadID) -> Write { .removeJob(id) }
        var write: Write { .job(record) }
    }

    /// A service as it stands.
    struct Service: Sendable, Recorded {
        var workload: Workload
        var policy: ServicePolicy
        var record: ServiceRecord { didSet { isChanged = true } }
        var isChanged = true
        var active: RunID?
        /// Whether the recipe has it no more: it is forgotten when its run has ended.
        var removing = false
        var digest: String

        static func removal(of id: InstanceID) -> Write { .removeService(id) }
        var write: Write { .service(record) }
    }

    /// A run that has not ended.
    @dynamicMemberLookup
    struct ActiveRun: Sendable {
        var run: Run
        let container: ContainerSpec
        var timeout: Duration?
        var lastOutcome: Outcome?
        /// How it is asked whether it works; `nil` until it is released, and when it is not asked.
        var health: HealthCheck?
        var probes = Probes()

        var request: RunRequest { RunRequest(run: run, container: container, timeout: timeout, lastOutcome: lastOutcome) }

        subscript<Value>(dynamicMember path: KeyPath<Run, Value>) -> Value { run[keyPath: path] }
        subscript<Value>(dynamicMember path: WritableKeyPath<Run, Value>) -> Value {
            get { run[keyPath: path] }
            set { run[keyPath: path] = newValue }
        }
    }

    /// How far the asking of a run has come.
    struct Probes: Sendable {
        /// How many were begun.
        var count = 0
        /// Whether one is going on.
        var isOut = false
        /// The last one that was written down.
        var written: Probe?
    }

    /// Why no start is decided now.
    struct Holds: OptionSet, Sendable {
        let rawValue: Int
        /// `restore`, `apply` or the clock lets something happen to many jobs: jobs are evaluated once all of it is known.
        static let gathering = Holds(rawValue: 1)
        /// The daemon is leaving.
        static let leaving = Holds(rawValue: 2)
        /// The history takes no writes.
        static let historyFails = Holds(rawValue: 4)
    }

    var jobs = Kept<Job>()
    var services = Kept<Service>()
    var runs: [RunID: ActiveRun] = [:]
    var catalogue = Catalogue()
    var pools = Pools()
    var wakes = WakeQueue()
    var clock = ClockWatch()
    var holds: Holds = []
    /// Runs that are frozen because they fill the disk.
    var frozenRuns: Set<RunID> = []
    /// Runs whose stop is held until those of their `stopAfter` have ended; derived from `runs`, so that an end looks at few.
    var heldStops: Set<RunID> = []
    /// Services of which something has changed that others may wait for.
    var moved: Set<WorkloadID> = []
    var dice: Dice
    let bootID: String
    /// The era of new jobs: ``StoredState/era``.
    var era = 0
    /// The decision that is being made.
    var decision = Decision()

    /// A due time that is handled later than this after its instant counts as missed.
    static let lateTolerance = Duration.seconds(60)
    /// Limit on automatic starts per job and second. Manual runs are exempt.
    static let startsPerSecond = 10

    /// A scheduler without recipes or runs.
    ///
    /// - Parameters:
    ///   - bootID: the present boot of the host
    ///   - seed: of the random part of run ids and of pauses before another start
    public init(bootID: String, seed: UInt64) {
        self.bootID = bootID
        dice = Dice(seed: seed)
    }

    /// When the scheduler wants a `tick` at the latest; `nil` when nothing is to come.
    public var nextWake: Timestamp? { wakes.next }

    /// Whether no start is decided because the history takes no writes.
    public var isHeld: Bool { holds.contains(.historyFails) }

    /// Takes an event in.
    public mutating func apply(_ event: Event, at moment: Moment) -> Decision {
        decision = Decision()
        let now = moment.wall
        watchClock(moment)
        // What comes due now could not start either.
        if event == .historyFails {
            holds.insert(.historyFails)
            // The ends that others wait for are not heard of any more.
            if holds.contains(.leaving) { releaseAllStops() }
        }
        // What is due is due under the recipe that was in force, whatever the event changes.
        wakeDue(now)
        switch event {
        case .tick: break
        case .launched(let run, let at, let image, let health): launched(run, at: at, image: image, health: health, now)
        case .probed(let run, let probe): probed(run, probe, now)
        case .delayed(let run): launchIfInTime(run, now)
        case .launchFailed(let run, let sentence):
            ended(run, ExitStatus(ending: .startError(sentence), finishedAt: now), now)
        case .exited(let run, let status): ended(run, status, now)
        case .historyFails: break
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
            holds.insert(.leaving)
            for (id, run) in runs.sorted(by: { $0.key < $1.key }) {
                // Where ends cannot be written down, none is heard of that others wait for.
                let users = run.kind == .service && !holds.contains(.historyFails) ? users(of: run.workload) : []
                stopRun(id, reason: "the daemon was told to stop everything", after: users, now)
            }
        }
        wakeDue(now)
        settleGates(now)
        return decided()
    }

    /// The decision that was made, with the records that it changed.
    mutating func decided() -> Decision {
        decision.writes += services.takeWrites() + jobs.takeWrites()
        return decision
    }

    // MARK: Waking

    private mutating func wakeDue(_ now: Timestamp) {
        while let subject = wakes.takeDue(now) {
            switch subject {
            case .job(let id): evaluateJob(id, now)
            case .service(let id): evaluateService(id, now)
            case .probe(let id): probeIfDue(id, now)
            }
        }
    }

    /// Lets something happen to many jobs, and evaluates them only then.
    mutating func gather(_ now: Timestamp, _ body: (inout Scheduler) -> Void) {
        holds.insert(.gathering)
        body(&self)
        holds.remove(.gathering)
        for id in jobs.keys.sorted() { evaluateJob(id, now) }
    }

    /// Takes a step of the wall clock into account.
    private mutating func watchClock(_ moment: Moment) {
        guard let step = clock.step(to: moment) else { return }
        if step > .zero {
            event("clock-set", "the clock went forward by \(DurationText.print(step)), or the host slept", moment.wall)
            for id in jobs.keys.sorted() { moveNeeds(id, by: step) }
            gather(moment.wall) { scheduler in
                for id in scheduler.jobs.keys.sorted() { scheduler.missDueTimes(id, .clockJump, moment.wall) }
            }
            for id in services.keys.sorted() { moveHealth(of: id, by: step, moment.wall) }
        } else {
            let back = Duration.zero - step
            event("clock-set", "the clock went back by \(DurationText.print(back))", moment.wall)
            gather(moment.wall) { scheduler in
                for id in scheduler.jobs.keys.sorted() { scheduler.clockWentBack(job: id, by: back, moment.wall) }
            }
            for id in services.keys.sorted() { clockWentBack(service: id, by: back, moment.wall) }
        }
    }

    private mutating func clockWentBack(job id: WorkloadID, by back: Duration, _ now: Timestamp) {
        moveNeeds(id, by: .zero - back)
        guard var job = jobs[id] else { return }
        for index in job.record.pending.indices where job.record.pending[index].trigger != .schedule || back > ClockWatch.correction {
            job.record.pending[index].notBefore = max(now, job.record.pending[index].notBefore - back)
        }
        jobs[id] = job
        // A small step back runs nothing twice: the cursor stays ahead. A large one is a correction: nothing waits for years.
        if job.record.cursor > now + ClockWatch.correction { beginEra(id, now) }
    }

    private mutating func clockWentBack(service id: InstanceID, by back: Duration, _ now: Timestamp) {
        moveHealth(of: id, by: .zero - back, now)
        guard case .backoff(let next) = services[id]?.record.phase else { return }
        services[id]?.record.phase = .backoff(until: max(now, next - back))
        evaluateService(id, now)
    }

    /// How long services have been waited for is no matter of the wall clock.
    private mutating func moveNeeds(_ id: WorkloadID, by step: Duration) {
        for index in jobs[id]?.record.pending.indices ?? 0..<0 {
            guard let since = jobs[id]?.record.pending[index].needsSince else { continue }
            jobs[id]?.record.pending[index].needsSince = since + step
        }
    }

    /// Nor is the time from which on failures of a service count.
    private mutating func moveHealth(of id: InstanceID, by step: Duration, _ now: Timestamp) {
        guard let service = services[id], let run = service.active.flatMap({ runs[$0] }), let check = run.health, let startedAt = run.startedAt,
            let health = service.record.health
        else { return }
        if health.state == .starting { services[id]?.record.health?.countedAt = (health.countedAt ?? startedAt + check.startPeriod) + step }
        if !run.probes.isOut { wakes.set(.probe(id), at: now) }
    }

    // MARK: Small things

    /// Raises the era of new jobs above that of a job that is removed. After the clock is set back, a job of the same name must not meet
    /// its rows.
    mutating func leave(era left: Int) {
        guard left >= era else { return }
        era = left + 1
        write(.era(era))
    }

    /// Drops a job that has no run any more.
    mutating func forget(job id: WorkloadID) {
        if let job = jobs[id] { leave(era: job.record.era) }
        jobs[id] = nil
    }

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

    /// Decides a run: it is written down as `starting`, and launched once that is durable.
    ///
    /// - Parameter describe: says what kind of run it is
    mutating func launch(
        _ instance: InstanceID, _ workload: Workload, _ trigger: Trigger, timeout: Duration? = nil, lastOutcome: Outcome? = nil, _ now: Timestamp,
        describe: (inout Run) -> Void
    ) -> RunID {
        let kind: WorkloadKind = if case .service = workload.kind { .service } else { .job }
        let id = RunID(now: now, random: UInt32.random(in: .min ... .max, using: &dice))
        var run = Run(id: id, instance: instance, kind: kind, trigger: trigger, decidedAt: now)
        run.bootID = bootID
        describe(&run)
        let container = run.changes?.applied(to: workload.container) ?? workload.container
        run.fingerprint = container == workload.container ? catalogue.fingerprint(of: workload) : container.fingerprint
        run.image = container.image?.description
        runs[id] = ActiveRun(run: run, container: container, timeout: timeout, lastOutcome: lastOutcome)
        write(.openRun(run))
        perform(.launch(RunRequest(run: run, container: container, timeout: timeout, lastOutcome: lastOutcome)))
        return id
    }

    /// Requests the stop of a run: written down first, sent once that is durable.
    ///
    /// - Parameter users: runs that end first, where they are live
    mutating func stopRun(_ id: RunID, reason: String, after users: [RunID] = [], _ now: Timestamp) {
        guard let run = runs[id], run.stopReason == nil else { return }
        let first = Set(users.filter { $0 != id && runs[$0] != nil }).sorted()
        runs[id]?.stopReason = reason
        runs[id]?.stopAfter = first
        write(.stopRequested(id, at: now, reason: reason, after: first))
        if run.kind == .service { moved.insert(run.workload) }
        tellToEnd(id)
    }

    /// Sends the stop of a run whose stop was requested, once it has started and the runs of its `stopAfter` have ended.
    mutating func tellToEnd(_ id: RunID) {
        guard let run = runs[id], run.stopReason != nil, run.startedAt != nil else { return }
        if run.stopAfter.contains(where: { runs[$0] != nil }) { heldStops.insert(id) } else { perform(.stop(id)) }
    }

    /// Sends all held stops now.
    mutating func releaseAllStops() {
        for id in heldStops.sorted() { perform(.stop(id)) }
        heldStops = []
    }

    /// Sends the stops that were held until this run ended.
    mutating func releaseStops(after ended: RunID) {
        for id in heldStops.sorted() where runs[id]?.stopAfter.contains(ended) ?? true {
            heldStops.remove(id)
            tellToEnd(id)
        }
    }

    /// The live runs of what depends on a service.
    func users(of id: WorkloadID) -> [RunID] {
        (catalogue.dependents[id] ?? []).flatMap { other in instances(of: other).compactMap { services[$0]?.active } + (jobs[other]?.active ?? []) }
    }
}
