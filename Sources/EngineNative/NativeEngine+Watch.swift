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
    func watch(_ run: RunID, pidfd: Int32, isShim: Bool) {
        let source = DispatchSource.makeReadSource(fileDescriptor: pidfd, queue: queue)
        source.setEventHandler { [self] in processEnded(run) }
        source.setCancelHandler { close(pidfd) }
        watches.withLock { $0[run] = Watch(pidfd: pidfd, source: source, isShim: isShim) }
        source.activate()
    }

    private func processEnded(_ run: RunID) {
        guard let watch = watches.withLock({ $0.removeValue(forKey: run) }) else { return }
        watch.source.cancel()
        let directory = RunDirectory(path: paths.run(run))
        if let status = directory.exitStatus(now: WallClock.now()) {
            // What could not be killed may still be writing: another copy beside it would do harm.
            if status.leftProcesses { reportWhenEmpty(run, status) } else { report(run, status) }
            return
        }
        // No record. A shim that was killed may have left its container alive.
        if watch.isShim, let facts = directory.facts, HostProcess.isAlive(facts.container, start: facts.containerStart) {
            let pidfd = clinux_pidfd_open(facts.container)
            if pidfd >= 0, HostProcess.isAlive(facts.container, start: facts.containerStart) {
                log.warning("the run's shim is gone; its container lives on", metadata: ["run": "\(run)"])
                self.watch(run, pidfd: pidfd, isShim: false)
                standIn(for: run)
                return
            }
            if pidfd >= 0 { close(pidfd) }
        }
        var status = lost(directory, "its shim ended without a record of how it ended")
        if let end = shimless.withLock({ $0[run] }) {
            (status.stopRequested, status.timedOut, status.killed) = (end.isStopping && !end.timedOut, end.timedOut, end.killed)
        }
        reportWhenEmpty(run, status)
    }

    private func report(_ run: RunID, _ status: ExitStatus) {
        forget(run)
        guard let networks else {
            exitSink.yield(EngineExit(run: run, status: status))
            return
        }
        // What it left on its network is gone before the next run can find it.
        Task { [exitSink] in
            await networks.leave(run)
            exitSink.yield(EngineExit(run: run, status: status))
        }
    }

    /// "Ended" is said only when the control group is empty.
    ///
    /// - Parameter pause: how long is waited for that, in milliseconds; longer each time
    private func reportWhenEmpty(_ run: RunID, _ status: ExitStatus, pause: Int = 1) {
        if cgroups.isEmpty(run) {
            var status = status
            status.leftProcesses = false
            report(run, status)
            return
        }
        cgroups.kill(run: run)
        if pause == 1024 { log.error("processes of a run cannot be killed; it has not ended before they have", metadata: ["run": "\(run)"]) }
        queue.asyncAfter(deadline: .now() + .milliseconds(pause)) { [self] in reportWhenEmpty(run, status, pause: min(pause * 2, 2048)) }
    }

    /// A run that has ended, or that still has processes: then its end is reported later.
    private func ended(_ run: RunID, _ status: ExitStatus) -> ObservedRun {
        if cgroups.isEmpty(run) { return .exited(status) }
        adopt(run, RunDirectory(path: paths.run(run)))
        queue.async { [self] in reportWhenEmpty(run, status) }
        return .alive(startedAt: status.startedAt ?? status.finishedAt)
    }

    private func lost(_ directory: RunDirectory, _ sentence: String) -> ExitStatus {
        var status = ExitStatus(ending: .lost(sentence), finishedAt: WallClock.now())
        status.startedAt = directory.startedAt
        return status
    }

    /// The runs that earlier daemons left, with those that ended meanwhile. What is no run's is moved to quarantine, and what runs left behind
    /// beside their directories is removed.
    ///
    /// - Throws: ``EngineError/host(_:)`` when they cannot be listed
    public func observe() async throws(EngineError) -> [RunID: ObservedRun] {
        var found: [RunID: ObservedRun] = [:]
        removeGoneVolumes()
        let names: [String]
        // Nobody would be found, and all of them started again.
        do { names = try HostFile.listing(paths.runs) } catch { throw .host("\(error)") }
        for name in names {
            guard let run = RunID(name) else {
                // Nothing of ours is called that. It is put aside, not removed.
                let target = "\(paths.runQuarantine)/run-\(name)-\(WallClock.now().milliseconds)"
                rename("\(paths.runs)/\(name)", target)
                log.warning("something strange among the runs was put aside", metadata: ["path": "\(target)"])
                continue
            }
            // Before its end is looked at, which may be booked at once.
            if let place = RunDirectory(path: paths.run(run)).note?.place { await networks?.adopt(run, place: place) }
            found[run] = observe(run)
        }
        for name in cgroups.leftovers().union(HostFile.names(in: paths.scratch)) {
            if let run = RunID(name), found[run] == nil { clean(name) }
        }
        return found
    }

    /// What was written down before the run could begin.
    public func origin(of run: RunID) async -> Run? { RunDirectory(path: paths.run(run)).note?.run }

    /// Treats a run that an earlier daemon started as one of this daemon's.
    private func adopt(_ run: RunID, _ directory: RunDirectory) {
        let note = directory.note
        images.hold(note?.image, for: run)
        volumeUses.withLock { $0[run] = VolumeUse(workload: note?.workload ?? "run \(run)", volumes: note?.volumes.map { Set($0) }) }
        shared.began(run, note?.writable ?? [])
        disk.adopt(run, workload: note?.workload ?? "run \(run)", paths: note?.paths ?? ["\(paths.scratch)/\(run)/upper"])
    }

    /// Drops what is kept of a run while it lives.
    func forget(_ run: RunID) {
        disk.remove(run)
        shared.ended(run)
        volumeUses.withLock { $0[run] = nil }
        images.drop(run)
        shimless.withLock { $0[run] = nil }
    }

    /// `nil` when nothing of it is left that tells anything.
    private func observe(_ run: RunID) -> ObservedRun? {
        let directory = RunDirectory(path: paths.run(run))
        if let status = directory.exitStatus(now: WallClock.now()), !directory.isLocked {
            return ended(run, status)
        }
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
                    watch(run, pidfd: pidfd, isShim: true)
                    return .alive(startedAt: startedAt, health: directory.note?.health)
                }
                if pidfd >= 0 { close(pidfd) }
            }
            // A shim that was not told to go ends by itself, and leaves nothing; one that ends now leaves its record.
            _ = directory.waitUntilUnlocked(milliseconds: 35_000)
            if let status = directory.exitStatus(now: WallClock.now()) { return ended(run, status) }
        }
        if let facts, let startedAt = directory.startedAt, HostProcess.isAlive(facts.container, start: facts.containerStart) {
            let pidfd = clinux_pidfd_open(facts.container)
            if pidfd >= 0, HostProcess.isAlive(facts.container, start: facts.containerStart) {
                // Before its end can be reported, which removes it again.
                adopt(run, directory)
                watch(run, pidfd: pidfd, isShim: false)
                standIn(for: run)
                return .alive(startedAt: startedAt, health: directory.note?.health)
            }
            if pidfd >= 0 { close(pidfd) }
        }
        guard directory.startedAt != nil else { return .notStarted }
        return ended(run, lost(directory, "its shim was gone when the daemon came back"))
    }
}
