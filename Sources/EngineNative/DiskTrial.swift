internal import Glibc
internal import WorkloadModel

/// Finds the runs that take space by letting few of them go on at a time: it does not matter how they take it.
///
/// One that takes little in so short a time, or none while it is watched, is not found.
struct DiskTrial {
    let freezer: RunFreezer
    let cgroups: CgroupHost
    /// The free space now, in bytes; sees that there is some.
    let free: () -> Int64

    /// How long a part of the runs goes on, in microseconds.
    private static let turn: UInt32 = 25_000
    /// Taking more than this many bytes in a turn is not what a disk's own journal and the daemon do.
    private static let much: Int64 = 128 << 10

    /// - Parameter runs: all of them frozen; they are frozen afterwards, too
    /// - Returns: those that took space twice; none when it goes while all are frozen
    func takers(among runs: [RunID]) -> Set<RunID> {
        waitUntilHalted(runs)
        guard taken(by: []) < DiskTrial.much else { return [] }
        return search(runs[...])
    }

    private func search(_ runs: ArraySlice<RunID>) -> Set<RunID> {
        guard let first = runs.first, taken(by: runs) >= DiskTrial.much else { return [] }
        if runs.count == 1 { return taken(by: runs) >= DiskTrial.much ? [first] : [] }
        let middle = runs.startIndex + runs.count / 2
        return search(runs[..<middle]).union(search(runs[middle...]))
    }

    private func taken(by runs: ArraySlice<RunID>) -> Int64 {
        let before = free()
        for run in runs { freezer.thaw(run) }
        usleep(DiskTrial.turn)
        for run in runs { freezer.freeze(run) }
        waitUntilHalted(Array(runs))
        return before - free()
    }

    /// A write that is under way goes on to its end first.
    private func waitUntilHalted(_ runs: [RunID]) {
        for _ in 0..<100 where !runs.allSatisfy(cgroups.hasHalted) { usleep(1000) }
    }
}
