internal import Dispatch
internal import Logging
internal import Synchronization
internal import WorkloadModel

extension DiskGuard {
    /// How fast a disk can be filled, in bytes a millisecond: the sooner it could be full, the sooner it is looked at again.
    private static let fastest: Int64 = 4 << 20

    /// Looks at the free space, and asks for the next look: in 10 ms while it changes near the floor or below, else in up to 250 ms.
    ///
    /// - Parameters:
    ///   - last: the free space at the last look
    ///   - pause: how long that was ago, in milliseconds
    func look(last: Int64?, pause: Int) {
        let isOver = state.withLock { state in
            guard state.runs.isEmpty || state.isLeaving else { return false }
            state.isWatching = false
            (state.earlier, state.later, state.freeWhenJudged) = (nil, nil, nil)
            return true
        }
        if isOver { return }
        let space = space
        if let space {
            keepReserve(space.beside, space.limits)
            state.withLock { $0.freeWhenJudged = $0.freeWhenJudged.map { max($0, space.free) } }
            thawEnding()
            if space.free > space.limits.roomy { state.withLock { ($0.earlier, $0.later) = (nil, nil) } } else { sample(space.free, space.limits) }
            // How fast it goes, in bytes a millisecond.
            let rate = last.map { max(0, $0 - space.free) / Int64(max(1, pause)) } ?? 0
            if space.free < space.limits.floor { judge(space.free, space.limits, rate: rate) } else if space.free > space.limits.enough { thawForSpace() }
        }
        let headroom = space.map { Int(clamping: ($0.free - $0.limits.floor) / DiskGuard.fastest) } ?? .max
        let isMoving = space.map { abs($0.free - (last ?? $0.free)) > 256 << 10 } ?? false
        let next = headroom > 0 ? min(250, max(isMoving ? 10 : 50, headroom)) : isMoving ? 10 : min(250, pause * 2)
        queue.asyncAfter(deadline: .now() + .milliseconds(next)) { [self] in look(last: space?.free, pause: next) }
    }

    /// Takes the reserve, or what is missing of it, when there is space.
    private func keepReserve(_ free: Int64, _ limits: DiskLimits) {
        // The floor may have been larger when it was taken.
        if reserve.held > limits.reserve { reserve.release(reserve.held - limits.reserve) }
        guard reserve.held < limits.reserve, free > limits.enough + limits.reserve, !state.withLock({ $0.hasNoReserve }) else { return }
        // A file system that keeps no space for a file does not do so later.
        if !reserve.take(limits.reserve) { state.withLock { $0.hasNoReserve = true } }
    }

    // MARK: Measuring

    /// Measures, to compare with, when space has gone since the last time: at most once a minute, and at most a hundredth of the time.
    private func sample(_ free: Int64, _ limits: DiskLimits) {
        let (runs, last) = state.withLock { ($0.runs, $0.later ?? $0.earlier) }
        if let last {
            let age = ContinuousClock.now - last.at
            guard age > max(.milliseconds(100), last.cost * 100) else { return }
            // What was in a volume that is new here is looked at soon.
            let isKnown = runs.values.allSatisfy { last.use.knows($0.paths) }
            if isKnown, age < .seconds(60) || abs(last.free - free) < limits.floor / 8 { return }
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

    private func measure(_ runs: [RunID: Entry], _ free: Int64) -> Sample? {
        guard let device = FileIdentity(path: directory)?.device else { return nil }
        let start = ContinuousClock.now
        let use = DiskUse(runs.mapValues(\.paths), on: device, until: start + .seconds(2)) { cgroups.processes(of: $0) }
        return Sample(free: free, at: start, cost: .now - start, use: use)
    }

    // MARK: Judging

    /// Finds the runs that take the space, and freezes them. Done only when more of it is gone than at the last time: otherwise the takers
    /// are frozen already, or something else takes it.
    private func judge(_ free: Int64, _ limits: DiskLimits, rate: Int64) {
        let isLast = free < limits.last
        let start = ContinuousClock.now
        let (all, candidates, base, highest) = state.withLock { state -> ([RunID: Entry], [RunID: Entry], Sample?, Int64) in
            guard let base = state.earlier, free < (state.freeWhenJudged ?? base.free) - state.step, state.nextJudgement.map({ $0 < start }) ?? true else {
                return ([:], [:], nil, 0)
            }
            return (
                state.runs, state.runs.filter { state.frozen[$0.key] == nil && $0.value.hasStarted && (isLast || !state.ending.contains($0.key)) }, base,
                state.freeWhenJudged ?? 0
            )
        }
        guard let base, !candidates.isEmpty else { return }
        // Measuring may take longer than the space lasts: all are frozen until it is done.
        let isPressing = free < limits.pressing
        if isPressing { for run in candidates.keys { freeze(run, evenEnding: isLast) } }
        let sample = measure(all, free)
        // Frozen and ending runs are measured too: what they took is not put down to others.
        let growth = sample?.use.growth(since: base.use) ?? [:]
        // What is gone, and what runs gave back meanwhile.
        let gone = max(base.free, highest) - free - growth.values.reduce(0) { $0 + min(0, $1) }
        let isExplained = growth.values.reduce(0) { $0 + max(0, $1) } >= gone / 2
        var takers = isExplained ? DiskUse.largestGrowths(growth.filter { candidates[$0.key] != nil }) : []
        if !isExplained, isPressing {
            // As long as the one that is looked for needs to be seen.
            let turn = Duration.milliseconds(min(1000, max(25, rate > 0 ? 4 * DiskTrial.much / rate : 25)))
            let trial = DiskTrial(
                cgroups: cgroups, turn: turn, free: { [self] in space?.free ?? 0 },
                provide: { [self] in if let space, space.beside < space.limits.portion { reserve.release(space.limits.portion) } },
                thaw: freezer.thaw, freeze: { [self] in freeze($0, evenEnding: isLast) })
            takers = trial.takers(among: candidates.keys.sorted(by: >))
        }
        if isPressing { for run in candidates.keys where !takers.contains(run) { freezer.thaw(run) } }
        // Runs may have ended, or have been told to end, meanwhile.
        let chosen = state.withLock { state in
            let chosen = state.isLeaving ? [] : takers.filter { state.runs[$0] != nil && (isLast || !state.ending.contains($0)) }
            for run in chosen {
                freezer.freeze(run)
                state.frozen[run] = Frozen(workload: candidates[run]?.workload ?? "?", grown: isExplained ? growth[run] : nil)
            }
            // More of it goes while they take turns.
            let left = min(free, space?.free ?? free)
            state.freeWhenJudged = left
            // On average all are frozen for a tenth of the time at most.
            state.nextJudgement = isPressing ? .now + (.now - start) * 10 : nil
            state.step = chosen.isEmpty ? min(state.step * 2, max(DiskGuard.smallestStep, limits.floor / 16)) : DiskGuard.smallestStep
            // From now on only what is taken from now on counts.
            if !chosen.isEmpty, var sample {
                sample.free = left
                sample.use.complete(from: (state.later ?? state.earlier ?? sample).use, for: state.runs.mapValues(\.paths))
                (state.earlier, state.later) = (sample, nil)
            }
            return chosen
        }
        for run in takers where !chosen.contains(run) { freezer.thaw(run) }
        guard !chosen.isEmpty else { return }
        for run in chosen {
            log.error(
                "a container fills the state disk; it is frozen until there is space",
                metadata: [
                    "workload": "\(candidates[run]?.workload ?? "?")", "run": "\(run)", "grown": "\(isExplained ? growth[run] ?? 0 : 0)", "free": "\(free)",
                    "disk": "\(directory)",
                ])
        }
        report()
    }

    /// Thaws frozen runs whose stop has begun, as at their time limit: their shims write down that it did.
    private func thawEnding() {
        let frozen = state.withLock { state in state.frozen.keys.filter { !state.ending.contains($0) } }
        for run in frozen where RunDirectory(path: "\(runs)/\(run)").isStopping { exempt(run) }
    }

    private func thawForSpace() {
        let frozen = state.withLock { state in
            defer { state.frozen = [:] }
            (state.freeWhenJudged, state.step) = (nil, DiskGuard.smallestStep)
            return state.frozen
        }
        guard !frozen.isEmpty else { return }
        for (run, use) in frozen {
            freezer.thaw(run)
            log.notice("there is space again; the container goes on", metadata: ["workload": "\(use.workload)", "run": "\(run)"])
        }
        report()
    }
}
