internal import Glibc
internal import WorkloadModel

/// Finds the runs that take space by letting few of them go on at a time: it does not matter how they take it.
///
/// One that takes little in so short a time, or none while it is watched, is not found.
struct DiskTrial {
    let cgroups: CgroupHost
    /// How long a part of the runs goes on at most.
    let turn: Duration
    /// Taking less than this in a turn counts as nothing.
    let much: Int64
    /// What is free now.
    let free: () -> Int64
    /// Called before each turn, while all are frozen: sees that there is space to take, since where nothing is left nobody is seen to
    /// take any, and that runs end that are to end.
    let prepare: () -> Void
    let thaw: (RunID) -> Void
    let freeze: (RunID) -> Void

    /// After this time nobody more is looked for: all the others wait.
    private static let longest = Duration.seconds(30)

    /// - Parameter runs: all of them frozen; they are frozen afterwards, too
    /// - Returns: those that took space in each of their turns, while none went when all were frozen
    func takers(among runs: [RunID]) -> Set<RunID> {
        waitUntilHalted(runs)
        let end = ContinuousClock.now + DiskTrial.longest
        return isQuiet() ? search(runs[...], until: end) : []
    }

    private func search(_ runs: ArraySlice<RunID>, until end: ContinuousClock.Instant) -> Set<RunID> {
        guard let first = runs.first, ContinuousClock.now < end, takes(runs) else { return [] }
        if runs.count == 1 {
            // Something else that takes space now and then would have to do so in these turns only.
            for _ in 0..<3 { guard isQuiet(), takes(runs) else { return [] } }
            return isQuiet() ? [first] : []
        }
        let middle = runs.startIndex + runs.count / 2
        return search(runs[..<middle], until: end).union(search(runs[middle...], until: end))
    }

    /// Whether no space goes while all are frozen, for longer than a turn.
    private func isQuiet() -> Bool { taken(by: [], in: turn * 4) < much }

    private func takes(_ runs: ArraySlice<RunID>) -> Bool { taken(by: runs, in: turn) >= much }

    private func taken(by runs: ArraySlice<RunID>, in time: Duration) -> Int64 {
        prepare()
        let before = free()
        let end = ContinuousClock.now + time
        for run in runs { thaw(run) }
        repeat { usleep(1000) } while ContinuousClock.now < end && before - free() < much * 4
        for run in runs { freeze(run) }
        waitUntilHalted(Array(runs))
        return before - free()
    }

    /// A write that is under way goes on to its end first.
    private func waitUntilHalted(_ runs: [RunID]) {
        for _ in 0..<100 where !runs.allSatisfy({ cgroups.hasHalted($0) || !cgroups.isFrozen($0) }) { usleep(1000) }
    }
}
