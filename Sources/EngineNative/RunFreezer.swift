internal import Glibc
internal import HostOS
internal import Synchronization
internal import WorkloadModel

/// Freezes runs and thaws those that it froze. A mark beside the run's facts tells the next daemon which these are; a run that
/// an admin froze stays so.
final class RunFreezer: Sendable {
    private let directory: String
    private let cgroups: CgroupHost
    private let frozen = Mutex<Set<RunID>>([])

    /// - Parameter directory: where each run has a directory
    init(directory: String, cgroups: CgroupHost) {
        self.directory = directory
        self.cgroups = cgroups
    }

    private func mark(_ run: RunID) -> String { "\(directory)/\(run)/frozen" }

    func freeze(_ run: RunID) {
        frozen.withLock { frozen in
            if !HostFile.exists(mark(run)) {
                if cgroups.isFrozen(run) { return }
                try? HostFile.replace(mark(run), with: "", durable: false)
            }
            frozen.insert(run)
            cgroups.freeze(run, true)
        }
    }

    /// Does nothing for a run that neither this freezer nor that of an earlier daemon froze.
    func thaw(_ run: RunID) {
        frozen.withLock { frozen in
            guard frozen.remove(run) != nil || HostFile.exists(mark(run)) else { return }
            cgroups.freeze(run, false)
            unlink(mark(run))
        }
    }

    /// A run that has ended.
    func forget(_ run: RunID) { frozen.withLock { _ = $0.remove(run) } }
}
