internal import CLinux
@preconcurrency internal import Dispatch
public import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Schedules
internal import Synchronization
public import WorkloadModel

extension NativeEngine {
    /// Reports the end of a run when a process ends.
    func watch(_ run: RunID, pidfd: Int32, isShim: Bool, child: pid_t?) {
        let source = DispatchSource.makeReadSource(fileDescriptor: pidfd, queue: queue)
        source.setEventHandler { [self] in processEnded(run) }
        source.setCancelHandler { close(pidfd) }
        watches.withLock { $0[run] = Watch(pidfd: pidfd, source: source, isShim: isShim, isChild: child) }
        source.activate()
    }

    private func processEnded(_ run: RunID) {
        guard let watch = watches.withLock({ $0.removeValue(forKey: run) }) else { return }
        watch.source.cancel()
        if let child = watch.isChild { waitpid(child, nil, WNOHANG) }
        let directory = RunDirectory(path: paths.run(run))
        if let status = directory.exitStatus(now: WallClock.now()) {
            forget(run)
            exitSink.yield(EngineExit(run: run, status: status))
            return
        }
        // No record. A shim that was killed may have left its container alive.
        if watch.isShim, let facts = directory.facts, HostProcess.isAlive(facts.container, start: facts.containerStart) {
            let pidfd = clinux_pidfd_open(facts.container)
            if pidfd >= 0, HostProcess.isAlive(facts.container, start: facts.containerStart) {
                log.warning("the run's shim is gone; its container lives on", metadata: ["run": "\(run)"])
                self.watch(run, pidfd: pidfd, isShim: false, child: nil)
                return
            }
            if pidfd >= 0 { close(pidfd) }
        }
        forget(run)
        // "Ended" is said only when the control group is empty.
        if !cgroups.remove(run.description) { log.error("a control group cannot be emptied", metadata: ["run": "\(run)"]) }
        exitSink.yield(EngineExit(run: run, status: lost(directory, "its shim ended without a record of how it ended")))
    }

    private func lost(_ directory: RunDirectory, _ sentence: String) -> ExitStatus {
        var status = ExitStatus(ending: .lost(sentence), finishedAt: WallClock.now())
        status.startedAt = directory.startedAt
        return status
    }

    public func observe() async throws(EngineError) -> [RunID: ObservedRun] {
        var found: [RunID: ObservedRun] = [:]
        for name in HostFile.names(in: paths.runs) {
            guard let run = RunID(name) else {
                // Nothing of ours is called that. It is put aside, not removed.
                let target = "\(paths.runQuarantine)/run-\(name)-\(WallClock.now().milliseconds)"
                rename("\(paths.runs)/\(name)", target)
                log.warning("something strange among the runs was put aside", metadata: ["path": "\(target)"])
                continue
            }
            found[run] = observe(run)
        }
        for name in cgroups.leftovers().union(HostFile.names(in: paths.scratch)) {
            if let run = RunID(name), found[run] == nil { clean(name) }
        }
        return found
    }

    /// Treats a run that an earlier daemon started as one of this daemon's.
    private func adopt(_ run: RunID, _ directory: RunDirectory) {
        let note = directory.note
        shared.began(run, note?.writable ?? [])
        disk.adopt(run, workload: note?.workload ?? "run \(run)", paths: note?.paths ?? ["\(paths.scratch)/\(run)/upper"])
    }

    /// Drops what is kept of a run while it lives.
    func forget(_ run: RunID) {
        disk.remove(run)
        shared.ended(run)
    }

    /// `nil` when nothing of it is left that tells anything.
    private func observe(_ run: RunID) -> ObservedRun? {
        let directory = RunDirectory(path: paths.run(run))
        if let status = directory.exitStatus(now: WallClock.now()), !directory.isLocked { return .exited(status) }
        let facts = directory.facts
        if let facts, facts.bootID != bootID {
            HostFile.removeFlat(directory.path)
            return nil
        }
        if directory.isLocked {
            if let startedAt = directory.startedAt, let facts {
                let pidfd = clinux_pidfd_open(facts.shim)
                if pidfd >= 0, HostProcess.isAlive(facts.shim, start: facts.shimStart) {
                    // Before its end can be reported, which removes it again.
                    adopt(run, directory)
                    watch(run, pidfd: pidfd, isShim: true, child: nil)
                    return .alive(startedAt: startedAt)
                }
                if pidfd >= 0 { close(pidfd) }
            }
            // A shim that was not told to go ends by itself, and leaves nothing; one that ends now leaves its record.
            _ = directory.waitUntilUnlocked(milliseconds: 35_000)
            if let status = directory.exitStatus(now: WallClock.now()) { return .exited(status) }
        }
        if let facts, let startedAt = directory.startedAt, HostProcess.isAlive(facts.container, start: facts.containerStart) {
            let pidfd = clinux_pidfd_open(facts.container)
            if pidfd >= 0, HostProcess.isAlive(facts.container, start: facts.containerStart) {
                // Before its end can be reported, which removes it again.
                adopt(run, directory)
                watch(run, pidfd: pidfd, isShim: false, child: nil)
                return .alive(startedAt: startedAt)
            }
            if pidfd >= 0 { close(pidfd) }
        }
        guard directory.startedAt != nil else { return .notStarted }
        return .exited(lost(directory, "its shim was gone when the daemon came back"))
    }
}
