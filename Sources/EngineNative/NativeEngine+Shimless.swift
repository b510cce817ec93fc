internal import Dispatch
internal import Foundation
internal import Glibc
internal import HostOS
internal import Logging
internal import Schedules
internal import Synchronization
internal import WorkloadModel

/// A run whose shim is gone while its container lives on.
struct ShimlessRun {
    /// Its stop was asked for.
    var isToStop = false
    var isStopping = false
    var timedOut = false
    var killed = false
}

/// What a shim would do for a container, done by the daemon when the shim is gone: the stop sequence and the time limit.
extension NativeEngine {
    /// Takes the place of a run's shim. Its container is watched.
    func standIn(for run: RunID) {
        keepLog(of: run)
        let isToStop = shimless.withLock { $0[run]?.isToStop == true }
        let directory = RunDirectory(path: paths.run(run))
        var left: Int64?
        if let timeout = directory.note?.stop?.timeoutMilliseconds, let startedAt = directory.startedAt {
            left = timeout - (WallClock.now() - startedAt).wholeMilliseconds
        }
        if isToStop || directory.isStopping { stopWithoutShim(run, timedOut: !isToStop && left.map { $0 <= 0 } == true) }
        guard let left else { return }
        queue.asyncAfter(deadline: .now() + .milliseconds(Int(clamping: max(0, left)))) { [self] in stopWithoutShim(run, timedOut: true) }
    }

    /// Lets a process of its own go on with the log. It outlives this daemon; a second one for the same run ends at once.
    private func keepLog(of run: RunID) {
        let directory = RunDirectory(path: paths.run(run))
        guard let note = directory.note?.log, let facts = directory.facts, facts.streams != (0, 0) else { return }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: paths.shim)
        process.arguments =
            ["log", "\(directory.path)/log.lock", note.base, "\(note.cap)", "\(note.cpuMillis ?? 0)", "\(facts.streams.0)", "\(facts.streams.1)"]
            + ([facts.container] + cgroups.processes(of: run)).prefix(1000).map { "\($0)" }
        (process.standardInput, process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice, FileHandle.nullDevice)
        process.terminationHandler = { [self] process in
            guard process.terminationStatus != 0, watches.withLock({ $0[run] != nil }) else { return }
            log.error("the process that keeps the log of a run without a shim ended; another one is started", metadata: ["run": "\(run)"])
            queue.asyncAfter(deadline: .now() + 1) { [self] in if watches.withLock({ $0[run] != nil }) { keepLog(of: run) } }
        }
        do { try process.run() } catch {
            log.error("the log of a run without a shim cannot be continued", metadata: ["run": "\(run)", "error": "\(error)"])
        }
    }

    /// Stop signal, grace, kill.
    func stopWithoutShim(_ run: RunID, timedOut: Bool) {
        // A shim that does not hear any more is found gone in a moment.
        guard let watch = watches.withLock({ $0[run] }), !watch.isShim else { return }
        let begins = shimless.withLock { runs in
            guard runs[run]?.isStopping != true else { return false }
            runs[run] = ShimlessRun(isToStop: true, isStopping: true, timedOut: timedOut)
            return true
        }
        guard begins else { return }
        disk.exempt(run)
        let directory = RunDirectory(path: paths.run(run))
        let stop = directory.note?.stop
        log.warning("the run has no shim any more; the daemon stops it", metadata: ["run": "\(run)"])
        if let facts = directory.facts, HostProcess.isAlive(facts.container, start: facts.containerStart) {
            kill(facts.container, stop?.signal ?? SIGTERM)
        }
        queue.asyncAfter(deadline: .now() + .milliseconds(Int(clamping: stop?.graceMilliseconds ?? 10_000))) { [self] in
            guard watches.withLock({ $0[run] != nil }) else { return }
            shimless.withLock { $0[run]?.killed = true }
            cgroups.kill(run: run)
        }
    }
}
