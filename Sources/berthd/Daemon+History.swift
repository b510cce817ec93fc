import Ledger
import ControlAPI
import ControlServer
import EngineNative
import Foundation
import Glibc
import HistoryStore
import Logging
import HostOS
import Scheduling
import Schedules
import ServiceManager
import Supervision
import WorkloadModel

/// The history at a start: opened, put aside when it is damaged, and read back.
extension Daemon {
    /// Opens the history, and waits for it while its disk is full or fails: the control socket says so meanwhile.
    func waitForHistory(_ state: String, _ seal: Seal, socket: String, access: SocketAccess, _ version: VersionInfo, _ log: Logger) async throws -> (
        HistoryStore, LoadedState, wasPutAside: Bool
    ) {
        var room: WaitingRoom?
        var lastSaid: ContinuousClock.Instant?
        while true {
            do {
                let opened = try await openHistory(state, seal, log)
                await room?.close()
                if room != nil { log.notice("the history can be opened again") }
                return opened
            } catch let error as StoreError where error.mayPass {
                if lastSaid.map({ .now - $0 >= .seconds(60) }) ?? true {
                    lastSaid = .now
                    log.error("the history cannot be opened; nothing is started until it can", metadata: ["error": "\(error)"])
                }
                // Who asks gets an answer; a manager that waits for more would end what waits.
                ServiceManager.ready("waiting: the history cannot be opened: \(error)")
                ServiceManager.alive()
                if let room {
                    room.say("\(error)")
                } else {
                    room = WaitingRoom(socket: socket, version: version, access: access, reason: "\(error)", log: Self.quiet(log))
                }
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// Waits, in a new boot, while the clock is behind what is known of the time: a host without a battery for it begins in 1970, or where it was
    /// switched off, until the network tells. Judged by it, due times would be missed, or come again.
    func waitForClock(
        _ stored: StoredState, upTo limit: Duration, socket: String, access: SocketAccess, _ version: VersionInfo, _ log: Logger
    ) async throws {
        var info = stat()
        // The program was built before it ran, and what is in the history is in the past.
        let built = stat("/proc/self/exe", &info) == 0 ? Timestamp(seconds: Int64(info.st_mtim.tv_sec)) : nil
        guard let known = [built, stored.lastKnownAt].compactMap({ $0 }).max() else { return }
        // By so much a clock may be set back for good.
        func isSane() -> Bool { WallClock.now() > known - .seconds(3 * 3600) }
        guard !isSane() else { return }
        let sentence = "the clock shows \(WallClock.now()), and it is later than \(known)"
        log.warning("the clock is behind: nothing is started until it is right, or some time has passed", metadata: ["clock": "\(sentence)"])
        ServiceManager.ready("waiting: \(sentence)")
        let room = WaitingRoom(socket: socket, version: version, access: access, reason: sentence, log: Self.quiet(log))
        let end = ContinuousClock.now + limit
        while !isSane(), .now < end {
            ServiceManager.alive()
            try await Task.sleep(for: .milliseconds(200))
        }
        await room.close()
        guard !isSane() else { return log.notice("the clock is right") }
        log.error("the clock is still behind, and is taken as it is", metadata: ["clock": "\(sentence)"])
    }

    private func openHistory(_ state: String, _ seal: Seal, _ log: Logger) async throws -> (HistoryStore, LoadedState, wasPutAside: Bool) {
        let path = "\(state)/berth.db"
        let failure: StoreError
        do throws(StoreError) {
            let store = try HistoryStore(path: path, engine: NativeEngine.name, seal: seal)
            let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
            if size < 256 << 20 || store.isSaidToBeDamaged { try store.check() }
            return (store, try await store.load(), false)
        } catch { failure = error }
        guard case .corrupt(let sentence) = failure else { throw failure }
        // What cannot be read is put aside, not removed.
        let aside = "\(state)/quarantine/berth.db.corrupt-\(Int(Date().timeIntervalSince1970))"
        try? FileManager.default.createDirectory(atPath: "\(state)/quarantine", withIntermediateDirectories: true)
        for ending in ["", "-wal", "-shm", ".damaged"] { rename(path + ending, aside + ending) }
        let copy = try HistoryStore.putSnapshotInPlace(of: path)
        let store = try HistoryStore(path: path, engine: NativeEngine.name, seal: seal)
        if let copy {
            log.critical(
                """
                the history is damaged; it was put aside, and its newest copy is in its place: what happened since then is not known but for runs that \
                are there, and what was changed since then by hand is to be done again
                """,
                metadata: ["reason": "\(sentence)", "aside": "\(aside)", "copy": "\(copy.path)", "of": "\(copy.at)"])
        } else {
            // Containers that no recipe has are stopped: started again from recipe files they would run twice, on the same volumes.
            try await store.markAsCopy(at: WallClock.now())
            log.critical(
                "the history is damaged; it was put aside, and a new one begins, since there is no copy",
                metadata: ["reason": "\(sentence)", "aside": "\(aside)"])
        }
        return (store, try await store.load(), true)
    }

    /// Copies the history once a day, the first time ten minutes after the start, when the host has come to rest. A copy that fails is tried again
    /// after an hour.
    func keepCopies(of store: HistoryStore, _ log: Logger) -> Task<Void, Never> {
        Task {
            var pause = Duration.seconds(600)
            while !Task.isCancelled {
                do { try await Task.sleep(for: pause) } catch { return }
                pause = .seconds(600)
                let now = WallClock.now()
                // A copy of a clock that was ahead is no reason to make none.
                if let last = store.snapshots.first?.at, last <= now, now - last < .seconds(86_400) { continue }
                do {
                    let made = try await store.makeSnapshot(now: now)
                    log.info("the history is whole, and copied", metadata: ["file": "\(made.path)", "bytes": "\(made.size)"])
                } catch {
                    log.error("the history could not be copied", metadata: ["error": "\(error)"])
                    pause = .seconds(3600)
                }
            }
        }
    }

    /// - Parameter boot: the boot in which a daemon last had this runtime directory
    func readBack(_ loaded: LoadedState, _ recipes: RecipeService, boot: String?, _ log: Logger) -> StoredState {
        var stored = loaded.state
        // A copy does not know of later boots.
        if stored.copiedAt != nil, let boot { stored.bootID = boot }
        for row in loaded.replaced { log.critical("\(row.sentence); it is kept in damaged_rows", metadata: ["workload": "\(row.workload)"]) }
        for row in loaded.unreadable { log.error("a row of the history cannot be read; it stays as it is", metadata: ["row": "\(row)"]) }
        for (project, source) in loaded.recipeSources {
            do {
                guard let source else { throw StoreError.corrupt("it cannot be opened") }
                stored.recipes.append(try recipes.restore(source))
            } catch {
                if let name = try? ProjectName(project) { stored.unreadable.insert(name) }
                log.critical(
                    "a stored recipe cannot be read now; its containers run on, and nothing of it is started until it is applied again",
                    metadata: ["project": "\(project)", "error": "\(error)"])
            }
        }
        return stored
    }
}
