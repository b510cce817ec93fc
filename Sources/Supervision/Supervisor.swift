public import Ledger
public import EngineAPI
public import HistoryStore
public import Logging
public import Scheduling
internal import HostOS
internal import Schedules
public import WorkloadModel

/// The one loop: events in, decisions of the ``Scheduler`` made durable, then carried out.
///
/// Decisions queue up while a transaction is under way and share the next one. Nothing is launched before its row is on
/// disk; while the disk takes no rows, nothing is launched, and what runs runs on.
public actor Supervisor {
    private var scheduler: Scheduler
    private let store: HistoryStore
    private let engine: any ContainerEngine
    private let clock: any SupervisorClock
    private let log: Logger
    /// What the rows of the history may take of the disk.
    public nonisolated let mostBytes: Int64
    private var queue: [Item] = []
    private var pump: Task<Void, Never>?
    /// Since when, by the steady clock, the present commit has been under way.
    private var committingSince: Duration?
    private var listeners: [Task<Void, Never>] = []
    private var endWaiters: [RunID: [Int: CheckedContinuation<Void, Never>]] = [:]
    private var lastWaiter = 0
    private var idleWaiters: [CheckedContinuation<Void, Never>] = []
    private var working: Set<RunID> = []
    /// Whether the daemon ends: no launch is begun any more, and those that are under way finish.
    private var isLeaving = false
    /// Runs whose end is decided and not durable yet.
    private var closing: Set<RunID> = []
    /// The due time that the engine was told of.
    private var noticed: Timestamp?
    var feed: ChangeFeed
    private var isPruning = false
    private var lastPrune: Moment?
    /// How long the wall clock must have gone right before the history is pruned by it.
    private var trustsClockAfter = Duration.seconds(600)
    /// Since when the wall clock has gone as fast as time passes.
    private var clockIsRightSince: Moment?
    /// Why the history cannot be written, so that nothing can be launched; `nil` when the last commit succeeded.
    public private(set) var degraded: String?
    /// How long after its due time each of the last runs was released, in milliseconds; newest last.
    public private(set) var startDelays: [Int64] = []

    /// What is counted since the daemon began.
    private var metrics = RunMetrics()

    private struct Item {
        let writes: [Write]
        let recipes: [HistoryStore.RecipeChange]
        let effects: [Effect]
        let waiter: CheckedContinuation<Void, Never>?
        /// When it was decided, by the steady clock.
        let since: Duration
        /// Whether its stops were begun before their row was written.
        var isToldToStop: Bool
    }

    /// A supervisor that does nothing before it is started.
    ///
    /// - Parameters:
    ///   - scheduler: new, without recipes or runs
    ///   - store: where its decisions are made durable
    ///   - engine: carries out starts and stops
    ///   - clock: wakes it; this supervisor is its one reader
    ///   - mostBytes: what the rows of the history may take of the disk
    public init(
        scheduler: Scheduler, store: HistoryStore, engine: any ContainerEngine, clock: any SupervisorClock, mostBytes: Int64 = .max, log: Logger
    ) {
        self.mostBytes = mostBytes
        self.scheduler = scheduler
        self.store = store
        self.engine = engine
        self.clock = clock
        self.log = log
        feed = ChangeFeed(feed: .random(in: 0...(.max)))
    }

    // MARK: Life

    /// Takes up what an earlier daemon left, and begins.
    ///
    /// - Throws: ``EngineError``
    public func start(_ stored: StoredState) async throws(EngineError) {
        feed.know(stored.openRuns)
        metrics.know(stored.openRuns)
        await engine.share(stored.recipes.flatMap { $0.workloads.map(\.container) })
        // A host that was off for a month, or one whose clock is wrong since it started: a day tells.
        if let last = stored.lastKnownAt, clock.moment().wall - last > .seconds(30 * 86400) { trustsClockAfter = .seconds(86400) }
        let observed = try await engine.observe()
        var stored = stored
        if stored.copiedAt != nil { stored.foundRuns = await runsUnknown(to: stored, among: observed.keys.sorted()) }
        // Which places live runs are in is known by now: what they have is theirs.
        for recipe in stored.recipes { await engine.networks?.know(recipe) }
        let decision = scheduler.restore(stored, observed: observed, at: clock.moment())
        await carryOut(decision)
        listeners = [
            Task { [weak self, exits = engine.exits] in
                for await exit in exits {
                    FailPoint.exitSeen.pass()
                    await self?.decide(.exited(exit.run, exit.status))
                }
            },
            Task { [weak self, frozenRuns = engine.frozenRuns] in
                for await runs in frozenRuns { await self?.decide(.frozen(runs)) }
            },
            Task { [weak self, ticks = clock.ticks] in
                for await _ in ticks { await self?.tick() }
            },
        ]
    }

    /// Runs that a copy of the history does not know, because it is older.
    private func runsUnknown(to stored: StoredState, among ids: [RunID]) async -> [Run] {
        var found: [Run] = []
        for id in ids where !stored.openRuns.contains(where: { $0.id == id }) {
            // Where it cannot be asked, nothing is written either: it is let go of as one that is closed.
            guard await (try? store.knows(id)) == false, let run = await engine.origin(of: id) else { continue }
            found.append(run)
        }
        return found
    }

    /// Ends without stopping a container. What was decided is made durable first, and launches that are under way are let
    /// finish; what is decided after this was called is not carried out, and is up to the next daemon.
    public func shutDown() async {
        for listener in listeners { listener.cancel() }
        listeners = []
        isLeaving = true
        feed.end()
        // What cannot be written now will not be in time; nothing was done about it, so nothing is lost.
        while pump != nil || !working.isEmpty, degraded == nil { try? await Task.sleep(for: .milliseconds(5)) }
    }

    /// Stops every run and waits until all have ended.
    public func stopAll() async {
        let stopping = Task { _ = await take(.stopAll) }
        while !scheduler.activeRuns.isEmpty, degraded == nil { try? await Task.sleep(for: .milliseconds(20)) }
        if degraded == nil { await stopping.value } else { stopping.cancel() }
    }

    /// What is counted of the services and jobs that are there.
    public func counted(_ known: Set<WorkloadID>) -> RunMetrics {
        metrics.keep(known)
        return metrics
    }

    private func tick() {
        if let since = committingSince, clock.moment().steady - since > Supervisor.longestCommit { decide(.historyFails) }
        decide(.tick)
        let moment = clock.moment()
        let now = moment.wall
        // A clock that is far ahead for a while would make all of the history old.
        if let since = clockIsRightSince {
            let drift = (now - since.wall) - (moment.steady - since.steady)
            if drift > .seconds(60) || drift < .seconds(-60) { clockIsRightSince = nil }
        }
        let since = clockIsRightSince ?? moment
        clockIsRightSince = since
        guard moment.steady - since.steady >= trustsClockAfter, lastPrune.map({ moment.steady - $0.steady >= .seconds(3600) }) ?? true,
            !isPruning
        else { return }
        lastPrune = moment
        // Beside the loop: it may take its time, and no due time waits for it.
        let own = scheduler.keepPolicies.mapValues { Retention(runs: $0.runs, days: $0.days, now: now) }
        isPruning = true
        Task { [store, engine, log, mostBytes] in
            defer { isPruning = false }
            do {
                var forgotten: [(RunID, WorkloadID)]
                repeat {
                    forgotten = try await store.prune(Retention(runs: 10_000, days: 90, now: now), own: own)
                    if !forgotten.isEmpty { await engine.forget(forgotten) }
                    // A full batch says that there is more; what ends meanwhile can wait for the next hour.
                } while forgotten.count >= HistoryStore.mostPrunedRuns && !isLeaving
                repeat {
                    forgotten = try await store.prune(toBytes: mostBytes)
                    if !forgotten.isEmpty {
                        log.notice("the history takes more of the disk than it may: its oldest runs are forgotten", metadata: ["runs": "\(forgotten.count)"])
                        await engine.forget(forgotten)
                    }
                } while !forgotten.isEmpty && !isLeaving
                await engine.trimLogs()
            } catch { log.error("the history cannot be pruned", metadata: ["error": "\(error)"]) }
            do { try store.keepReserve() } catch { log.warning("there is no reserve for the history", metadata: ["error": "\(error)"]) }
        }
    }

    // MARK: Events

    /// Takes an event in, and returns once what follows from it is durable.
    ///
    /// - Parameter recipes: written with it, unless it is refused
    @discardableResult
    public func take(_ event: Event, recipes: [HistoryStore.RecipeChange] = []) async -> Reply {
        if case .apply(let recipe, _, _) = event { await engine.share(recipe.workloads.map(\.container)) }
        let decision = scheduler.apply(event, at: clock.moment())
        let isRefused = if case .refused = decision.reply { true } else { false }
        await carryOut(decision, recipes: isRefused ? [] : recipes)
        return decision.reply
    }

    /// Takes a recipe in, and returns once it is durable.
    ///
    /// - Parameters:
    ///   - source: what is stored of it, in the same transaction
    ///   - objection: asked at the last moment; an answer refuses the recipe
    /// - Returns: what it changes, or why it was refused
    public func apply(
        _ recipe: Recipe, explicit: Bool, actor: String, source: HistoryStore.RecipeChange, unless objection: @Sendable () -> String? = { nil }
    ) async -> Result<RecipePlan, Refusal> {
        await engine.share(recipe.workloads.map(\.container))
        if let objection = objection() { return .failure(Refusal(sentence: objection)) }
        let (decision, plan) = scheduler.take(recipe, explicit: explicit, actor: actor, at: clock.moment())
        await carryOut(decision, recipes: [source])
        return .success(plan)
    }

    /// Why something was not done.
    public struct Refusal: Error {
        /// Why, for people.
        public let sentence: String
    }

    /// What a recipe would change now.
    public func plan(_ recipe: Recipe) -> RecipePlan { scheduler.plan(recipe, at: clock.moment()) }

    /// Takes an event in that nobody waits for: what comes after it is decided although it is not durable yet.
    private func decide(_ event: Event) {
        let decision = scheduler.apply(event, at: clock.moment())
        setAlarm()
        enqueue(decision)
    }

    /// After a commit that took longer, a launch may be too late.
    private static let longestCommit = Duration.seconds(1)

    /// How long before something is due the engine is told.
    static let notice = Duration.milliseconds(20)

    /// Wakes a little before the next due time, and then at it.
    private func setAlarm() {
        guard let next = scheduler.nextWake else {
            clock.wake(at: nil)
            return
        }
        let now = clock.moment().wall
        if next - now > Supervisor.notice {
            noticed = nil
            clock.wake(at: next - Supervisor.notice)
            return
        }
        clock.wake(at: next)
        guard noticed != next, next > now else { return }
        noticed = next
        Task { [engine] in await engine.expectLaunches() }
    }

    private func carryOut(_ decision: Decision, recipes: [HistoryStore.RecipeChange] = []) async {
        setAlarm()
        guard !decision.isEmpty || !recipes.isEmpty else { return }
        await withCheckedContinuation { enqueue(decision, recipes: recipes, waiter: $0) }
    }

    private func enqueue(_ decision: Decision, recipes: [HistoryStore.RecipeChange] = [], waiter: CheckedContinuation<Void, Never>? = nil) {
        guard !decision.isEmpty || !recipes.isEmpty else { return }
        for case .closeRun(let run, _, _, _) in decision.writes { closing.insert(run) }
        let isDegraded = degraded != nil
        if isDegraded { stopNow(decision.effects) }
        queue.append(
            Item(
                writes: decision.writes, recipes: recipes, effects: decision.effects, waiter: waiter, since: clock.moment().steady,
                isToldToStop: isDegraded))
        if pump == nil { pump = Task { await runPump() } }
    }

    private func runPump() async {
        while !queue.isEmpty {
            var batch = queue
            queue = []
            committingSince = clock.moment().steady
            await commit(&batch)
            committingSince = nil
            let now = clock.moment().steady
            for item in batch {
                for case .put(let project, _, _, _) in item.recipes { feed.append(.recipe(project, isRemoved: false)) }
                for case .remove(let project) in item.recipes { feed.append(.recipe(project, isRemoved: true)) }
                feed.append(item.writes)
                metrics.take(item.writes)
            }
            for item in batch {
                item.waiter?.resume()
                let isDelayed = now - item.since > Supervisor.longestCommit
                for effect in item.effects {
                    if case .launch(let request) = effect, isDelayed { decide(.delayed(request.id)) } else { perform(effect) }
                }
                for case .closeRun(let run, _, _, _) in item.writes { ended(run) }
            }
            if scheduler.isHeld { decide(.historyWorks) }
        }
        pump = nil
    }

    /// Tries until it succeeds: until then nothing of the batch is carried out but its stops.
    private func commit(_ batch: inout [Item]) async {
        var lastSaid: ContinuousClock.Instant?
        let writes = batch.flatMap(\.writes)
        let recipes = batch.flatMap(\.recipes)
        while true {
            do {
                FailPoint.beforeStarting.pass(when: writes.openRuns)
                try await store.commit(writes, recipes: recipes)
                FailPoint.afterStarting.pass(when: writes.openRuns)
                FailPoint.applied.pass(when: !recipes.isEmpty)
                if degraded != nil {
                    degraded = nil
                    log.notice("the history can be written again")
                }
                return
            } catch {
                // Again and again: who looks at the log of an hour finds it there.
                if lastSaid.map({ .now - $0 >= .seconds(60) }) ?? true {
                    lastSaid = .now
                    log.error("the history cannot be written; nothing is launched until it can", metadata: ["error": "\(error)"])
                }
                // Never given up: what was decided is lost otherwise.
                degraded = error.mayPass ? "\(error)" : "\(error). Trying again does not mend this: end the daemon, and restore or repair the database"
                decide(.historyFails)
                for index in batch.indices where !batch[index].isToldToStop {
                    batch[index].isToldToStop = true
                    stopNow(batch[index].effects)
                }
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    // MARK: Effects

    /// A stop needs no row to be safe, and may be what makes room again. It is begun once more when the row is there.
    private func stopNow(_ effects: [Effect]) {
        for effect in effects { if case .stop = effect { perform(effect) } }
    }

    private func perform(_ effect: Effect) {
        switch effect {
        case .launch(let request):
            // Its row says `starting`: the next daemon launches it under its id.
            guard !isLeaving else { return }
            working.insert(request.id)
            Task { await launch(request) }
        case .probe(let request, let check):
            guard !isLeaving else { return }
            Task { decide(.probed(request.id, await engine.probe(request, check))) }
        case .stop(let run):
            Task { await engine.stop(run) }
        case .settle(let run):
            FailPoint.outcomeDurable.pass()
            working.insert(run)
            Task {
                await engine.settle(run)
                done(run)
            }
        }
    }

    private func done(_ run: RunID) {
        working.remove(run)
        guard working.isEmpty else { return }
        for waiter in idleWaiters { waiter.resume() }
        idleWaiters = []
    }

    private func launch(_ request: RunRequest) async {
        do {
            let launched = try await engine.launch(request)
            if let dueAt = request.dueAt, request.trigger == .schedule {
                startDelays.append((launched.at - dueAt).wholeMilliseconds)
                if startDelays.count > 1000 { startDelays.removeFirst(500) }
                metrics.began(after: launched.at - dueAt)
            }
            await take(.launched(request.id, at: launched.at, image: launched.image, health: launched.health))
            FailPoint.running.pass()
        } catch {
            log.warning("a run could not be started", metadata: ["workload": "\(request.workload)", "run": "\(request.id)", "error": "\(error)"])
            await take(.launchFailed(request.id, error.description))
        }
        done(request.id)
    }

    // MARK: Waiting

    private func ended(_ run: RunID) {
        closing.remove(run)
        for waiter in (endWaiters.removeValue(forKey: run) ?? [:]).values { waiter.resume() }
    }

    /// Returns once the end of a run is durable, or the task is cancelled; at once when it is not running.
    public func waitForEnd(of run: RunID) async {
        guard isRunning(run), !Task.isCancelled else { return }
        lastWaiter += 1
        let number = lastWaiter
        await withTaskCancellationHandler {
            await withCheckedContinuation { endWaiters[run, default: [:]][number] = $0 }
        } onCancel: {
            Task { await self.giveUp(number, run) }
        }
    }

    private func giveUp(_ number: Int, _ run: RunID) {
        endWaiters[run]?.removeValue(forKey: number)?.resume()
        if endWaiters[run]?.isEmpty == true { endWaiters[run] = nil }
    }

    /// Whether no start is decided, because the history takes no writes.
    var isHeld: Bool { scheduler.isHeld }

    /// Who waits for the end of a run.
    var waiting: Int { endWaiters.values.reduce(0) { $0 + $1.count } }

    /// Returns once nothing is being launched or cleaned up.
    public func waitUntilIdle() async {
        guard !working.isEmpty else { return }
        await withCheckedContinuation { idleWaiters.append($0) }
    }

    // MARK: Questions

    /// How every copy of a service and every job stands, ascending by name.
    public var statuses: [WorkloadStatus] { scheduler.statuses }
    /// How one service, by its first copy, or job stands; `nil` when there is none of this name.
    public func status(of id: WorkloadID) -> WorkloadStatus? { scheduler.status(of: id) }
    /// The services and jobs, ascending by name.
    public var workloads: [(id: WorkloadID, kind: WorkloadKind)] { scheduler.workloads }
    /// Runs that have not ended, ascending. An end counts once it is decided, durable or not.
    public var runs: [RunID] { scheduler.activeRuns }
    /// The runs of a service or job that have not ended.
    public func runs(of id: WorkloadID) -> [RunID] { scheduler.activeRuns(of: id) }
    /// Whether its end is still to come, or not durable yet.
    public func isRunning(_ run: RunID) -> Bool { scheduler.isActive(run) || closing.contains(run) }
    /// The projects that have a recipe, ascending.
    public var projects: [ProjectName] { scheduler.projects }
    /// Of all recipes in force and all runs; `nil` while one of them cannot be read, or what was decided is not durable yet.
    public var containers: [ContainerSpec]? { degraded == nil && pump == nil && queue.isEmpty ? scheduler.containers : nil }
    /// The recipe in force of a project; `nil` when there is none or it cannot be read.
    public func recipe(of project: ProjectName) -> Recipe? { scheduler.recipe(of: project) }
    /// The service or job of this name; `nil` when there is none.
    public func workload(_ id: WorkloadID) -> Workload? { scheduler.workload(id) }
}
