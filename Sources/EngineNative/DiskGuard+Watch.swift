internal import Dispatch
internal import Logging
internal import Synchronization
internal import WorkloadModel

extension DiskGuard {
    /// What was free at a look, the reserve counted in.
    struct Reading {
        let free: DiskAmount
        let at: ContinuousClock.Instant
    }

    /// Looks at what is free, and asks for the next look: in 10 ms while it changes near the floor or below, else in up to 250 ms.
    ///
    /// - Parameters:
    ///   - last: the reading of the last look
    ///   - pause: how long was waited since then, in milliseconds
    func look(last: Reading?, pause: Int) {
        let isOver = state.withLock { state in
            guard state.runs.isEmpty || state.isLeaving else { return false }
            state.isWatching = false
            (state.earlier, state.later, state.searches) = (nil, nil, [:])
            return true
        }
        if isOver { return }
        let spaces = DiskQuantity.allCases.compactMap { space($0) }
        let now = Reading(free: spaces.reduce(into: DiskAmount()) { $0[$1.quantity] = $1.free }, at: .now)
        for space in spaces {
            keepReserve(space)
            state.withLock { state in
                guard let before = state.searches[space.quantity]?.freeWhenJudged else { return }
                state.searches[space.quantity]?.freeWhenJudged = max(before, space.free)
            }
        }
        thawEnding(among: state.withLock { Array($0.frozen.keys) })
        if spaces.allSatisfy({ $0.free > $0.limits.roomy }) { state.withLock { ($0.earlier, $0.later) = (nil, nil) } } else { sample(now.free, spaces) }
        var soonest = 250
        for space in spaces {
            let quantity = space.quantity
            // How much goes, in a second.
            let rate = last.map { max(0, Double($0.free[quantity] - space.free)) / max(0.001, (now.at - $0.at) / .seconds(1)) } ?? 0
            if space.free < space.limits.floor {
                judge(quantity, now.free, space.limits, rate: rate)
            } else if space.free > space.limits.enough {
                thawForSpace(quantity)
            }
            let headroom = Int(clamping: (space.free - space.limits.floor) / quantity.fastest)
            let isMoving = last.map { abs($0.free[quantity] - space.free) > 2 * quantity.much } ?? false
            soonest = min(soonest, headroom > 0 ? max(isMoving ? 10 : 50, headroom) : isMoving ? 10 : pause * 2)
        }
        let next = soonest
        queue.asyncAfter(deadline: .now() + .milliseconds(next)) { [self] in look(last: now, pause: next) }
    }

    /// Takes the reserve, or what is missing of it, when there is space.
    func keepReserve(_ space: Space) {
        let (quantity, limits, reserve) = (space.quantity, space.limits, reserve(space.quantity))
        // The floor may have been larger when it was taken.
        if reserve.held > limits.reserve { reserve.release(reserve.held - limits.reserve) }
        let now = ContinuousClock.now
        guard reserve.held < limits.reserve, space.beside > limits.enough + limits.reserve, state.withLock({ ($0.nextReserve[quantity] ?? now) <= now }) else {
            return
        }
        // Some file systems keep no space for a file.
        if !reserve.take(limits.reserve) { state.withLock { $0.nextReserve[quantity] = now + .seconds(60) } }
    }

    // MARK: Measuring

    /// Measures, to compare with, when space has gone since the last time: at most once a minute, and at most a hundredth of the time.
    private func sample(_ free: DiskAmount, _ spaces: [Space]) {
        let (runs, last) = state.withLock { ($0.runs, $0.later ?? $0.earlier) }
        if let last {
            let age = ContinuousClock.now - last.at
            guard age > max(.milliseconds(100), last.cost * 100) else { return }
            // What was in a volume that is new here is looked at soon.
            let isKnown = runs.values.allSatisfy { last.use.knows($0.paths) }
            let hasMoved = spaces.contains { abs(last.free[$0.quantity] - $0.free) >= $0.limits.floor / 8 }
            if isKnown, age < .seconds(60) || !hasMoved { return }
        }
        guard var sample = measure(runs, free) else { return }
        state.withLock { state in
            guard var base = state.earlier else {
                state.earlier = sample
                return
            }
            // A run that began while it was measured is known by how it began.
            sample.use.complete(from: (state.later ?? base).use, for: state.runs.mapValues(\.paths))
            if let later = state.later, .now - base.at > .seconds(60) { base = later }
            base.use.complete(from: sample.use, for: state.runs.mapValues(\.paths))
            (state.earlier, state.later) = (base, sample)
        }
    }

    private func measure(_ runs: [RunID: Entry], _ free: DiskAmount) -> Sample? {
        guard let device = FileIdentity(path: directory)?.device else { return nil }
        let start = ContinuousClock.now
        let use = DiskUse(runs.mapValues(\.paths), on: device, until: start + DiskUse.longest) { cgroups.processes(of: $0) }
        return Sample(free: free, at: start, cost: .now - start, use: use)
    }

    // MARK: Judging

    /// What a search for takers goes by.
    private struct Case {
        let quantity: DiskQuantity
        let free: DiskAmount
        let limits: DiskLimits
        let all: [RunID: Entry]
        /// Those that may be frozen, and are not.
        let candidates: [RunID: Entry]
        let base: Sample
        /// The most that was free since takers were last looked for.
        let highest: Int64
        /// How much of it goes in a second.
        let rate: Double

        /// All are frozen during the search: else it could last longer than the space.
        var isPressing: Bool { limits.isPressing(free[quantity], rate: rate) }
        var isLast: Bool { free[quantity] < limits.last }
    }

    /// Finds the runs that take a quantity, and freezes them. Done only when more of it is gone than at the last time: otherwise the
    /// takers are frozen already, or something else takes it.
    ///
    /// - Parameter rate: how much of it goes in a second
    private func judge(_ quantity: DiskQuantity, _ free: DiskAmount, _ limits: DiskLimits, rate: Double) {
        let start = ContinuousClock.now
        let isLast = free[quantity] < limits.last
        let found: Case? = state.withLock { state in
            let search = state.searches[quantity]
            guard let base = state.earlier,
                free[quantity] < (search?.freeWhenJudged ?? base.free[quantity]) - (search?.step ?? 8 * quantity.much),
                state.nextJudgement.map({ $0 < start }) ?? true
            else { return nil }
            let candidates = state.runs.filter { state.frozen[$0.key] == nil && $0.value.hasStarted && (isLast || !state.ending.contains($0.key)) }
            return candidates.isEmpty
                ? nil
                : Case(
                    quantity: quantity, free: free, limits: limits, all: state.runs, candidates: candidates, base: base, highest: search?.freeWhenJudged ?? 0,
                    rate: rate)
        }
        guard let found else { return }
        if found.isPressing { for run in found.candidates.keys { freeze(run, evenEnding: isLast) } }
        let sample = measure(found.all, free)
        let (takers, growth) = takers(found, sample)
        if found.isPressing { for run in found.candidates.keys where !takers.contains(run) { freezer.thaw(run) } }
        let chosen = keep(takers, growth, found, sample, since: start)
        for run in takers where !chosen.contains(run) { freezer.thaw(run) }
        guard !chosen.isEmpty else { return }
        for run in chosen {
            log.error(
                "a container fills the state disk; it is frozen until there is space",
                metadata: [
                    "workload": "\(found.candidates[run]?.workload ?? "?")", "run": "\(run)", "grown": "\(growth?[run].map(quantity.text) ?? "not known")",
                    "free": "\(quantity.text(free[quantity]))", "disk": "\(directory)",
                ])
        }
        report()
    }

    /// - Returns: who takes the quantity, and by how much each run grew; `nil` when that does not explain what is gone
    private func takers(_ found: Case, _ sample: Sample?) -> (Set<RunID>, growth: [RunID: Int64]?) {
        let (quantity, isLast) = (found.quantity, found.isLast)
        // Frozen and ending runs are measured too: what they took is not put down to others.
        let growth = sample?.use.growth(of: quantity, since: found.base.use) ?? [:]
        // What is gone, and what runs gave back meanwhile.
        let gone = max(found.base.free[quantity], found.highest) - found.free[quantity] - growth.values.reduce(0) { $0 + min(0, $1) }
        if growth.values.reduce(0, { $0 + max(0, $1) }) >= gone / 2 {
            return (DiskUse.largestGrowths(growth.filter { found.candidates[$0.key] != nil }, of: quantity), growth)
        }
        guard found.isPressing else { return ([], nil) }
        // As long as the one that is looked for needs to be seen.
        let turn = Duration.seconds(min(1, max(0.025, found.rate > 0 ? 4 * Double(quantity.much) / found.rate : 0)))
        let trial = DiskTrial(
            cgroups: cgroups, turn: turn, much: quantity.much, free: { [self] in space(quantity)?.free ?? 0 },
            prepare: { [self] in
                provide(quantity)
                thawEnding(among: Array(found.candidates.keys))
            },
            thaw: freezer.thaw, freeze: { [self] in freeze($0, evenEnding: isLast) })
        let takers = trial.takers(among: found.candidates.keys.sorted(by: >))
        log.info(
            "the containers went on in turns, to see which fills the state disk",
            metadata: [
                "free": "\(quantity.text(found.free[quantity]))", "left": "\(space(quantity).map { quantity.text($0.free) } ?? "?")",
                "runs": "\(found.candidates.count)", "found": "\(takers.count)", "turn": "\(turn)",
            ])
        return (takers, nil)
    }

    /// Notes what a search found, and from where the next one measures.
    ///
    /// - Returns: those of the takers that stay frozen: runs may have ended, or have been told to end, meanwhile
    private func keep(_ takers: Set<RunID>, _ growth: [RunID: Int64]?, _ found: Case, _ sample: Sample?, since start: ContinuousClock.Instant) -> Set<RunID> {
        let quantity = found.quantity
        return state.withLock { state in
            let chosen: Set<RunID> = state.isLeaving ? [] : takers.filter { state.runs[$0] != nil && (found.isLast || !state.ending.contains($0)) }
            for run in chosen {
                freezer.freeze(run)
                state.frozen[run] = Frozen(workload: found.candidates[run]?.workload ?? "?", quantity: quantity, grown: growth?[run])
            }
            // More of it goes while they take turns.
            let left = min(found.free[quantity], space(quantity)?.free ?? .max)
            let (smallest, step) = (8 * quantity.much, state.searches[quantity]?.step ?? 8 * quantity.much)
            state.searches[quantity] = Search(
                freeWhenJudged: left, step: chosen.isEmpty ? min(step * 2, max(smallest, found.limits.floor / 16)) : smallest)
            // On average all are frozen for a tenth of the time at most.
            if found.isPressing { state.nextJudgement = .now + (.now - start) * 10 }
            // From now on only what is taken from now on counts.
            if !chosen.isEmpty, var sample {
                sample.free[quantity] = left
                sample.use.complete(from: (state.later ?? state.earlier ?? sample).use, for: state.runs.mapValues(\.paths))
                (state.earlier, state.later) = (sample, nil)
            }
            return chosen
        }
    }

    /// Thaws runs whose stop has begun, as at their time limit: their shims write down that it did.
    private func thawEnding(among runs: [RunID]) {
        let runs = state.withLock { state in runs.filter { !state.ending.contains($0) } }
        for run in runs where RunDirectory(path: "\(self.runs)/\(run)").isStopping { exempt(run) }
    }

    /// Thaws those that were frozen because they take a quantity of which there is enough now.
    private func thawForSpace(_ quantity: DiskQuantity) {
        let frozen = state.withLock { state in
            let frozen = state.frozen.filter { $1.quantity == quantity }
            for run in frozen.keys { state.frozen[run] = nil }
            state.searches[quantity] = nil
            return frozen
        }
        guard !frozen.isEmpty else { return }
        for (run, use) in frozen {
            freezer.thaw(run)
            log.notice("there is space again; the container goes on", metadata: ["workload": "\(use.workload)", "run": "\(run)"])
        }
        report()
    }
}
