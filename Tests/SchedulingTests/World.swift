import Ledger
import EngineAPI
import Scheduling
import Schedules
import TestKit
import WorkloadModel

/// The scheduler with a disk and containers that survive it: what is on disk and what runs, step by step, with a crash
/// possible between any two steps.
///
/// The disk takes writes as the database does: all of a decision or none, and a closed run is closed.
struct World {
    /// A due time of one era of its job: see `JobRecord.era`.
    struct DueKey: Hashable, Comparable {
        let era: Int
        let at: Timestamp

        static func < (left: DueKey, right: DueKey) -> Bool { (left.era, left.at) < (right.era, right.at) }
    }

    /// Where an era began, and how far due times were accounted for before it.
    struct Era {
        let from: Timestamp
        let seen: Timestamp?
        /// The last cursor of the era; `nil` while it lasts.
        var through: Timestamp?
    }

    struct StoredRun {
        var open: Run
        var outcome: Outcome?
        var closedTimes = 0
        /// How many runs were closed before it, and how many events there had been.
        var closedAfter = (runs: 0, events: 0)
        /// Of its job, when it was decided.
        var era = 0
    }

    struct Container {
        let request: RunRequest
        let startedAt: Timestamp
        var endsAt: Timestamp?
        var status: ExitStatus?
    }

    struct Start {
        let run: RunID
        let workload: WorkloadID
        let trigger: Trigger
        let dueAt: Timestamp?
        let attempt: Int
        let at: Timestamp
        let steady: Duration
        let daemon: UInt64
        let era: Int
        let arrivals: [Arrival]
        /// How often somebody had asked for its workload by then.
        let asked: Int
    }

    // On disk.
    var recipes: [ProjectName: Recipe] = [:]
    var services: [InstanceID: ServiceRecord] = [:]
    var jobs: [WorkloadID: JobRecord] = [:]
    var runs: [RunID: StoredRun] = [:]
    private var openRuns: Set<RunID> = []
    private var closings = 0
    /// The jobs of the recipes that have a deadline.
    private var deadlines: [WorkloadID: Duration] = [:]
    /// The jobs of the recipes that have a pool.
    private var pools: [WorkloadID: WorkloadName] = [:]
    var due: [WorkloadID: [DueKey: DueRecord]] = [:]
    var eras: [WorkloadID: [Era]] = [:]
    var events: [EventRecord] = []
    /// How often somebody wanted a workload to be started.
    private var asked: [WorkloadID: Int] = [:]
    var storedBoot: String?
    private var storedEra = 0
    // In the world.
    var containers: [RunID: Container] = [:]
    var starts: [Start] = []
    var now: Timestamp
    var steady: Duration = .zero
    /// The latest time that the clock has shown, since it was last set far back.
    var latest: Timestamp
    /// Due times that had come and waited when the clock was set far back, of jobs that it was not far enough for.
    private var waited: Set<String> = []
    var bootID = "boot-1"
    var scheduler: Scheduler
    var seed: UInt64
    /// How long a command runs and how it ends.
    var script: @Sendable (RunRequest, inout Dice) -> (Duration, ExitStatus.Ending) = { _, _ in (.seconds(1), .exited(code: 0)) }
    /// How long a probe of a service takes, and what it comes to.
    var answers: @Sendable (RunRequest, inout Dice) -> (Duration, Probe.Result) = { _, _ in (.zero, .exited(0)) }
    /// Probes that are out.
    private var probing: [RunID: (at: Timestamp, probe: Probe)] = [:]
    /// How long a container takes to end after it was told to.
    var stopTakes: Duration = .zero
    /// How long an engine takes to start a container.
    var launchTakes: Duration = .zero
    /// Launches that are under way, and when they are done.
    private var launching: [RunID: (request: RunRequest, at: Timestamp)] = [:]
    /// The store takes no writes: decisions wait.
    private(set) var storeFails = false
    private var backlog: [(decision: Decision, change: (() -> (ProjectName, Recipe?))?)] = []
    /// Runs whose launch was under way when the clock was set.
    var overtaken: Set<RunID> = []
    /// Ends that the daemon was told.
    private var told: Set<RunID> = []
    /// What was on disk is being replaced by a copy from before.
    private var isFromCopy = false
    /// The recipe on disk cannot be read by the daemon that runs.
    private(set) var isUnreadable = false
    var dice: Dice
    /// Rules that were broken, as sentences.
    var violations: [String] = []
    /// Steps (a commit, or one effect) until the daemon dies; `nil` is never.
    var stepsUntilCrash: Int?
    var steps = 0
    var crashed = false
    /// Each how many-th step the scheduler is compared with one that is rebuilt; `nil` is never.
    var rebuildEvery: Int?
    var rebuilds = 0
    /// Nothing is carried out by itself: decisions wait to be committed, effects to be performed, answers to be delivered, each
    /// a step of its own that somebody else chooses.
    var deferred = false
    var decisions: [Decision] = []
    var effects: [Effect] = []
    var inbox: [Event] = []

    init(at start: Timestamp, seed: UInt64 = 1) {
        now = start
        latest = start
        self.seed = seed
        dice = Dice(seed: seed)
        scheduler = Scheduler(bootID: "boot-1", seed: seed)
        // As a first start writes it.
        storedBoot = bootID
    }

    var moment: Moment { Moment(wall: now, steady: steady) }

    // MARK: Steps

    /// One step; false when the daemon dies before it.
    private mutating func step() -> Bool {
        if let left = stepsUntilCrash {
            if left == 0 {
                crashed = true
                return false
            }
            stepsUntilCrash = left - 1
        }
        steps += 1
        return true
    }

    @discardableResult
    mutating func take(_ event: Event) -> Reply {
        guard !crashed else { return .done }
        let decision = scheduler.apply(event, at: moment)
        // The recipe travels in the same transaction.
        var change: (() -> (ProjectName, Recipe?))?
        if case .apply(let recipe, _, _) = event { change = { (recipe.project, recipe) } }
        if case .down(let project, _) = event { change = { (project, nil) } }
        switch event {
        case .apply(let recipe, explicit: true, _): for workload in recipe.workloads { asked[workload.id, default: 0] += 1 }
        case .start(let id, _), .restart(let id, _), .run(let id, _, _, _): wantWithNeeds(id)
        default: break
        }
        carryOut(decision, change)
        return decision.reply
    }

    /// Somebody wants it, and with it what it depends on.
    private mutating func wantWithNeeds(_ id: WorkloadID) {
        asked[id, default: 0] += 1
        for name in recipes[id.project]?[id]?.dependsOn.keys.sorted() ?? [] { wantWithNeeds(WorkloadID(project: id.project, name: name)) }
    }

    private mutating func carryOut(_ decision: Decision, _ change: (() -> (ProjectName, Recipe?))? = nil) {
        if storeFails {
            guard !decision.isEmpty || change != nil else { return }
            let isFirst = backlog.isEmpty
            backlog.append((decision, change))
            // A commit fails, and is tried again and again.
            if isFirst { take(.historyFails) }
            return
        }
        if deferred, change == nil {
            if !decision.isEmpty { decisions.append(decision) }
            return
        }
        if !decision.writes.isEmpty || change != nil {
            guard step() else { return }
            commit(decision.writes, change)
        }
        for effect in decision.effects {
            guard !crashed, step() else { return }
            perform(effect)
        }
    }

    // MARK: A store that fails

    mutating func failStore() { storeFails = true }

    /// The store takes writes again: what waited is made durable, then carried out. A launch may be too late.
    mutating func mendStore() {
        guard storeFails, !crashed else { return }
        storeFails = false
        let waited = backlog
        backlog = []
        guard !waited.isEmpty else { return }
        guard step() else { return }
        for (decision, change) in waited { commit(decision.writes, change) }
        for effect in waited.flatMap(\.decision.effects) {
            guard !crashed, step() else { return }
            if case .launch(let request) = effect { take(.delayed(request.id)) } else { perform(effect) }
        }
        take(.historyWorks)
    }

    private mutating func commit(_ writes: [Write], _ change: (() -> (ProjectName, Recipe?))?) {
        if let (project, recipe) = change?() {
            recipes[project] = recipe
            (pools, deadlines) = ([:], [:])
            for workload in recipe?.workloads ?? [] {
                pools[workload.id] = workload.jobPolicy?.pool
                deadlines[workload.id] = workload.jobPolicy?.deadline
            }
            isUnreadable = false
        }
        // What is due is looked at before what has happened: one may go in the decision that lets another start.
        let opened = writes.compactMap { if case .openRun(let run) = $0, run.kind == .service { run } else { nil } }
        let before = opened.map { unmetNeed($0) }
        for write in writes { perform(write) }
        for (run, unmet) in zip(opened, before) where unmet != nil { if let unmet = unmetNeed(run) { violations.append(unmet) } }
    }

    /// Of what a service depends on, what is not as it must be on disk.
    private func unmetNeed(_ run: Run) -> String? {
        guard let workload = recipes[run.workload.project]?[run.workload] else { return nil }
        for (name, dependency) in workload.dependsOn where dependency.required {
            let id = InstanceID(WorkloadID(project: run.workload.project, name: name))
            let last = runs.values.filter { $0.open.instance == id && $0.open.kind == .service }.max { left, right in
                // Ids go with the clock, which may have been set back.
                (left.outcome == nil ? 1 : 0, left.closedAfter.runs) < (right.outcome == nil ? 1 : 0, right.closedAfter.runs)
            }
            let isUp = last.map { $0.outcome == nil && $0.open.startedAt != nil && $0.open.stopReason == nil } ?? false
            let isAsItMustBe =
                switch dependency.condition {
                // An end that came while the recipe could not be read is heard now.
                case .started: isUp || services[id]?.phase == .exited || services[id]?.unheard != nil
                case .healthy: isUp && services[id]?.health?.state == .healthy
                case .completed: last?.outcome == .succeeded
                }
            if !isAsItMustBe { return "\(run.workload) was started, and \(name) was not \(dependency.condition.rawValue)" }
        }
        return nil
    }

    // MARK: Deferred steps

    /// The oldest decision reaches the disk, whole.
    mutating func commitNext() {
        let decision = decisions.removeFirst()
        for write in decision.writes { perform(write) }
        effects += decision.effects
    }

    mutating func performEffect(_ index: Int) { perform(effects.remove(at: index)) }

    mutating func deliver(_ index: Int) { take(inbox.remove(at: index)) }

    /// A container ends by itself.
    mutating func end(_ id: RunID, _ ending: ExitStatus.Ending) {
        guard let container = containers[id] else { return }
        var status = ExitStatus(ending: ending, finishedAt: now)
        status.startedAt = container.startedAt
        containers[id]?.endsAt = now
        containers[id]?.status = status
        if !crashed { inbox.append(.exited(id, status)) }
    }

    /// A container ends by itself now, and the daemon hears of it in its turn.
    mutating func finish(_ id: RunID, _ ending: ExitStatus.Ending) {
        guard let container = containers[id] else { return }
        var status = ExitStatus(ending: ending, finishedAt: now)
        status.startedAt = container.startedAt
        containers[id]?.endsAt = now
        containers[id]?.status = status
    }

    /// The daemon dies: what it had not committed and not done is gone.
    mutating func die() {
        crashed = true
        (decisions, effects, inbox) = ([], [], [])
    }

    // MARK: What is done

    private mutating func perform(_ write: Write) {
        switch write {
        case .openRun(let run):
            if runs[run.id] != nil { violations.append("run \(run.id) was opened twice") }
            runs[run.id] = StoredRun(open: run, era: jobs[run.workload]?.era ?? 0)
            openRuns.insert(run.id)
            checkPool(run)
            checkCause(run)
        case .runStarted(let id, let at, _):
            guard let run = runs[id], run.outcome == nil else { return }
            runs[id]?.open.startedAt = at
        case .stopRequested(let id, _, let reason, let after):
            runs[id]?.open.stopReason = reason
            runs[id]?.open.stopAfter = after
        case .closeRun(let id, let outcome, let status, _):
            guard runs[id] != nil else {
                violations.append("run \(id) was closed and never opened")
                return
            }
            runs[id]?.closedTimes += 1
            runs[id]?.closedAfter = (closings, events.count)
            closings += 1
            openRuns.remove(id)
            if runs[id]?.outcome != nil { violations.append("run \(id) was closed twice") }
            if case .lost = status.ending, outcome != .lost { violations.append("a lost run became \(outcome)") }
            runs[id]?.outcome = outcome
            // What never started is lost with its host only: in the same boot it is started, or called off.
            if outcome == .lost, !isFromCopy, let open = runs[id]?.open, open.bootID == bootID, !starts.contains(where: { $0.run == id }) {
                violations.append("run \(id) never started, and was booked as lost in the same boot")
            }
        case .due(let record):
            let key = DueKey(era: record.era, at: record.dueAt)
            if let old = due[record.workload]?[key] {
                violations.append("\(record.workload) \(record.dueAt) has two rows: \(old.result) and \(record.result)")
            }
            due[record.workload, default: [:]][key] = record
        case .dueCaughtUp(let id, let dueAt, let run):
            let covering = due[id]?.values.filter { $0.firstDueAt <= dueAt && $0.dueAt >= dueAt } ?? []
            guard let old = covering.max(by: { $0.era < $1.era }) else {
                violations.append("\(id) \(dueAt) was caught up and has no row")
                return
            }
            due[id]?[DueKey(era: old.era, at: old.dueAt)] = DueRecord(
                workload: id, dueAt: old.dueAt, firstDueAt: old.firstDueAt, result: old.result, reason: old.reason, count: old.count, runID: run,
                note: old.note, era: old.era)
        case .service(let record): services[record.id] = record
        case .job(let record):
            if jobs[record.id] == nil, record.era > 0 {
                // It was there before, or another was: the eras before are not its own.
                eras[record.id] = Array(repeating: Era(from: record.cursor, seen: nil), count: record.era + 1)
            }
            if let old = jobs[record.id], record.era > old.era {
                eras[record.id, default: [Era(from: old.cursor, seen: nil)]][old.era].through = old.cursor
                eras[record.id]?.append(Era(from: record.era == old.era + 1 ? now : record.cursor, seen: record.seen))
            }
            jobs[record.id] = record
        case .removeService(let id): services[id] = nil
        case .removeJob(let id): jobs[id] = nil
        case .event(let event):
            events.append(event)
            if event.text.hasPrefix("started for "), let project = event.project, let name = event.workload {
                asked[WorkloadID(project: project, name: name), default: 0] += 1
            }
        case .probe(let id, let run, _): if runs[run]?.open.instance != id { violations.append("the probe of \(run) is no probe of \(id)") }
        case .boot(let id): storedBoot = id
        case .era(let era): storedEra = era
        case .copyTakenUp: break
        }
    }

    private mutating func perform(_ effect: Effect) {
        switch effect {
        case .launch(let request):
            guard let stored = runs[request.id] else {
                violations.append("run \(request.id) was launched and is not on disk")
                return
            }
            if stored.outcome != nil { violations.append("the finished run \(request.id) was launched") }
            if containers[request.id] == nil, launchTakes > .zero, !deferred {
                launching[request.id] = (request, now + launchTakes)
            } else {
                start(request)
            }
        case .probe(let request, _):
            if probing[request.id] != nil { violations.append("run \(request.id) is asked twice at once") }
            if containers[request.id] == nil { violations.append("run \(request.id) is asked, and is not there") }
            let (takes, result) = answers(request, &dice)
            let probe = Probe(at: now, duration: takes, result: result, output: "")
            if deferred { inbox.append(.probed(request.id, probe)) } else { probing[request.id] = (now + takes, probe) }
        case .stop(let id):
            for user in runs[id]?.open.stopAfter ?? [] where runs[user]?.outcome == nil {
                violations.append("\(id) is told to end before \(user), which uses it, has ended")
            }
            // One that is ending already goes on with it.
            guard let container = containers[id], container.endsAt ?? now >= now, container.status?.stopRequested != true else { return }
            let end = min(now + stopTakes, container.endsAt ?? now + stopTakes)
            var status = ExitStatus(ending: .signaled(number: 15), finishedAt: end)
            status.startedAt = container.startedAt
            status.stopRequested = true
            containers[id]?.endsAt = end
            containers[id]?.status = status
            if deferred { inbox.append(.exited(id, status)) }
        case .settle(let id):
            if let container = containers[id], let ends = container.endsAt, ends > now { violations.append("the live run \(id) was let go") }
            containers[id] = nil
        }
    }

    /// A launch is done.
    private mutating func start(_ request: RunRequest) {
        if containers[request.id] == nil {
            let (duration, ending) = script(request, &dice)
            if case .startError(let sentence) = ending {
                take(.launchFailed(request.id, sentence))
                return
            }
            if let dueAt = request.dueAt, latest < dueAt, request.decidedAt < dueAt, [.schedule, .catchUp].contains(request.trigger),
                !waited.contains("\(request.workload) \(dueAt)")
            {
                violations.append("\(request.workload) started before \(dueAt)")
            }
            var container = Container(request: request, startedAt: now, endsAt: now + duration)
            var status = ExitStatus(ending: ending, finishedAt: now + duration)
            status.startedAt = now
            if let timeout = request.timeout, duration > timeout {
                container.endsAt = now + timeout
                status = ExitStatus(ending: .signaled(number: 15), finishedAt: now + timeout)
                status.startedAt = now
                status.timedOut = true
            }
            container.status = status
            containers[request.id] = container
            starts.append(
                Start(
                    run: request.id, workload: request.workload, trigger: request.trigger, dueAt: request.dueAt, attempt: request.attempt, at: now,
                    steady: steady, daemon: seed, era: runs[request.id]?.era ?? 0, arrivals: request.arrivals,
                    asked: asked[request.workload] ?? 0))
            if services[request.run.instance]?.wanted == false, runs[request.id]?.open.stopReason == nil {
                violations.append("the stopped service \(request.workload) was started")
            }
        }
        // The engine's answer comes as an event, after the effect.
        let answer = Event.launched(request.id, at: containers[request.id]?.startedAt ?? now, image: nil, health: World.health(request))
        if deferred { inbox.append(answer) } else { take(answer) }
    }

    private static func health(_ request: RunRequest) -> HealthCheck? {
        request.kind == .service ? HealthCheckSpec.resolve(request.container.healthCheck, image: nil) : nil
    }

    /// A pool holds no more runs than it has places.
    private mutating func checkPool(_ request: Run) {
        guard request.kind == .job, let pool = pools[request.workload], let limit = recipes[request.workload.project]?.pools[pool] else { return }
        let taken = openRuns.count { pools[runs[$0]!.open.workload] == pool }
        if taken > limit { violations.append("pool \(pool) holds \(taken) runs and has \(limit) places") }
    }

    /// A link of a chain names ends that are on disk, and that are what it comes after.
    private mutating func checkCause(_ request: Run) {
        if request.trigger == .after, request.arrivals.isEmpty { violations.append("run \(request.id) comes after nothing") }
        for arrival in request.arrivals where runs[arrival.run]?.outcome != arrival.outcome {
            violations.append("run \(request.id) comes after \(arrival.run) as \(arrival.outcome), which is not so")
        }
    }

    // MARK: Time and trouble

    /// Lets ends and due times happen, in order, until `end`.
    mutating func run(until end: Timestamp) {
        var idle = 0
        while !crashed {
            let before = (now, steps)
            defer { idle = before == (now, steps) ? idle + 1 : 0 }
            if idle > 1000 {
                let ended = containers.filter { runs[$0.key]?.outcome == nil && ($0.value.endsAt ?? end) <= now }.keys.sorted()
                violations.append("nothing moves at \(now): wake \(scheduler.nextWake.map(\.description) ?? "none"), ended \(ended)")
                break
            }
            var ending: (Timestamp, RunID)?
            for (id, container) in containers {
                guard let endsAt = container.endsAt, ending.map({ (endsAt, id) < $0 }) ?? true else { continue }
                if openRuns.contains(id), !told.contains(id) { ending = (endsAt, id) }
            }
            let launched = launching.map { ($0.value.at, $0.key) }.min { $0 < $1 }
            let probed = probing.map { ($0.value.at, $0.key) }.min { $0 < $1 }
            guard let next = [ending?.0, launched?.0, probed?.0, scheduler.nextWake].compactMap({ $0 }).min(), next <= end else { break }
            advance(to: max(next, now))
            if let (at, id) = probed, at <= now, let probe = probing.removeValue(forKey: id)?.probe {
                take(.probed(id, probe))
                checkRebuild()
                continue
            }
            if let (at, id) = launched, at <= now, let launch = launching.removeValue(forKey: id) {
                start(launch.request)
                checkRebuild()
                continue
            }
            if let (at, id) = ending, at <= now, let status = containers[id]?.status {
                told.insert(id)
                take(.exited(id, status))
            } else {
                take(.tick)
            }
            checkRebuild()
        }
        if !crashed { advance(to: end) }
    }

    /// Sees that a restart would lose nothing now, every so often.
    mutating func checkRebuild() {
        guard !crashed, let every = rebuildEvery, steps % every == 0, violations.isEmpty else { return }
        guard !storeFails else { return }
        // What is being launched and is to end, or may be late, is called off by the next daemon at once.
        let isSettled = launching.keys.allSatisfy { id in
            runs[id]?.open.stopReason == nil && runs[id].flatMap { deadlines[$0.open.workload] } == nil
        }
        guard isSettled else { return }
        // Ends that have come and are not told yet are no state of the scheduler's.
        guard !containers.contains(where: { runs[$0.key]?.outcome == nil && ($0.value.endsAt ?? now + .seconds(1)) <= now }) else { return }
        let wrong = restless() + lostByRestart()
        if !wrong.isEmpty { violations.append("at \(now): \(wrong.prefix(3).joined(separator: "; "))") }
        rebuilds += 1
    }

    mutating func advance(to time: Timestamp) {
        guard time > now else { return }
        steady += time - now
        now = time
        latest = max(latest, now)
    }

    /// The daemon is gone for a while, and comes back. A recipe that it could not read before may be one that it reads now: an upgrade was
    /// taken back, a key is there again.
    /// - Parameter copy: what was on disk at an earlier moment; all that was written since is lost
    mutating func restart(after down: Duration, newBoot: Bool = false, unreadable: Bool? = nil, from copy: World? = nil) {
        advance(to: now + down)
        if newBoot {
            bootID += "+"
            steady = .zero
            // The containers die with the host, and what the engine knew of them is gone.
            containers = [:]
        }
        seed &+= 1
        crashed = false
        (launching, probing, backlog, told, storeFails) = ([:], [:], [], [], false)
        isUnreadable = unreadable ?? isUnreadable
        scheduler = Scheduler(bootID: bootID, seed: seed &* 7919)
        if let copy {
            (recipes, services, jobs, runs, openRuns) = (copy.recipes, copy.services, copy.jobs, copy.runs, copy.openRuns)
            (due, eras, events, closings, storedEra) = (copy.due, copy.eras, copy.events, copy.closings, copy.storedEra)
        }
        isFromCopy = copy != nil
        defer { isFromCopy = false }
        var stored = stored
        var observed = self.observed()
        if let copy {
            stored.copiedAt = copy.now
            stored.foundRuns = containers.keys.sorted().filter { runs[$0] == nil }.compactMap { containers[$0]?.request.run }
        }
        // Of a run that was never launched an engine may find what was made ready for it, or nothing at all.
        for run in stored.openRuns where observed[run.id] == nil && run.bootID == bootID && run.state == .starting && Bool.random(using: &dice) {
            // A copy may be of before its launch.
            if copy != nil, starts.contains(where: { $0.run == run.id }) { continue }
            observed[run.id] = .notStarted
        }
        carryOut(scheduler.restore(stored, observed: observed, at: moment))
    }

    /// What a daemon that starts now reads back.
    var stored: StoredState {
        var stored = StoredState(
            recipes: isUnreadable ? [] : recipes.values.sorted { $0.project < $1.project }, services: Array(services.values), jobs: Array(jobs.values),
            openRuns: openRuns.sorted().compactMap { runs[$0]?.open }, bootID: storedBoot)
        if isUnreadable { stored.unreadable = Set(recipes.keys) }
        stored.era = storedEra
        return stored
    }

    /// What an engine finds.
    func observed() -> [RunID: ObservedRun] {
        containers.mapValues { container in
            if let ends = container.endsAt, ends <= now, let status = container.status {
                .exited(status)
            } else {
                .alive(startedAt: container.startedAt, health: World.health(container.request))
            }
        }
    }

    /// Sets the wall clock; containers go on in their own time.
    mutating func setClock(by step: Duration) {
        now = now + step
        latest = step < .zero - .seconds(3 * 3600) ? now : max(latest, now)
        launching = launching.mapValues { ($0.request, $0.at + step) }
        overtaken.formUnion(launching.keys)
        probing = probing.mapValues { ($0.at + step, $0.probe) }
        containers = containers.mapValues { container in
            var container = container
            container.endsAt = container.endsAt.map { $0 + step }
            return container
        }
        for job in jobs.values {
            for start in job.pending { if let dueAt = start.dueAt, dueAt > now { waited.insert("\(job.id) \(dueAt)") } }
        }
        take(.tick)
        // Where an era begins, they come again.
        for (id, eras) in eras where eras.last?.from == now { waited = waited.filter { !$0.hasPrefix("\(id) ") } }
    }
}
