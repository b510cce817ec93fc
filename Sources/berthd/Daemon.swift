import Ledger
import ArgumentParser
import CLinux
import ControlAPI
import ControlServer
import EngineAPI
import EngineNative
import Foundation
import Glibc
import HistoryStore
import Hummingbird
import Logging
import Networks
import Scheduling
import RecipeFile
import Schedules
import ServiceManager
import Supervision
import HostOS
import WorkloadModel

/// The daemon: reads its arguments, puts the parts together, and runs until it is told to leave.
@main
struct Daemon: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "berthd", abstract: "Keeps a recipe's services on and runs its jobs at their time.",
        discussion: """
            It listens on a Unix socket, RUNTIME-DIR/berth.sock, and nowhere else. Recipes come from 'berth up', from --recipe, and \
            from /etc/berth/recipes. SIGHUP reads recipe files and time zones again; SIGTERM ends the daemon and leaves every container running; \
            SIGUSR1 stops them all first, and the next start starts again what is to run.
            """, version: BerthVersion.current)

    @Option(help: "Where the history, images, volumes and logs are.") var stateDir = "/var/lib/berth"
    @Option(help: "Where the socket and the facts of running containers are.") var runtimeDir = "/run/berth"
    @Option(
        help: "A recipe to apply at start; may be given more than once. It and every folder above it must be root's, and nobody else's to write.")
    var recipe: [String] = []
    @Option(
        help: ArgumentHelp(
            "A variable of the daemon's environment that recipes which the daemon reads by itself may name; may be given more than once.", valueName: "name"))
    var passVariable: [String] = []
    @Option(help: "A directory whose *.yaml recipes are applied at start.") var recipeDir = "/etc/berth/recipes"
    @Option(help: "Where the time zones are.") var zoneinfoDir = "/usr/share/zoneinfo"
    @Option(help: "The berth-shim program; by default the one beside berthd, or in ../libexec/berth.") var shim: String?
    @Option(help: "The most bytes that a recipe may have.") var maxRecipeBytes = 1 << 20
    @Option(help: "How much of the state disk containers leave free, as 512M; by default a twentieth, from 128 MiB to 1 GiB.") var diskFloor: String?
    @Option(
        help: ArgumentHelp(
            "A range of addresses that networks are taken from, as 10.89.0.0/16; may be given more than once. What the host routes already is left out.",
            valueName: "range"))
    var networkPool: [String] = []
    @Option(help: "How long an image is kept that nothing needs any more, as 12h; it goes sooner where the disk is short.") var keepImages = "7d"
    @Option(help: "How much of the disk the rows of the history take at most, as 2G; by default a tenth of the disk.") var maxHistory: String?
    @Option(help: "How much of the disk all logs take at most, as 2G; by default a fifth of the disk. The oldest go first.") var maxLogs: String?
    @Option(help: "How long the first start of a boot waits for a clock that is behind what the history and the host's files say, as 60s.")
    var clockWait = "60s"
    @Option(help: "trace, debug, info, notice, warning or error.") var logLevel = "info"
    @Flag(help: "On SIGTERM, stop every container and wait until all have ended.") var stopAll = false
    @Option(help: ArgumentHelp("Put what 'berth backup' wrote in the place of what is there, and end.", valueName: "archive")) var restore: String?
    @Option(help: "Whose members may do all on the control socket. (default: berth, where it is there)") var group: String?
    @Option(help: "Whose members may look, and change nothing. (default: berth-view, where it is there)") var viewGroup: String?
    @Option(help: "Where Prometheus finds numbers, at /metrics and without a password, as 127.0.0.1:9736; by default nowhere but on the control socket.")
    var metrics: String?
    @Option(help: "With --restore: the file of the passphrase that its secrets were encrypted with.") var passphraseFile: String?
    @Flag(help: "With --restore: put aside what is there.") var replace = false

    func run() async throws {
        let level = Logger.Level(rawValue: logLevel) ?? .info
        LoggingSystem.bootstrap { Self.logHandler($0, level) }
        let log = Logger(label: "berthd")
        do { if let restore { try restoreBackup(restore) } else { try await serve(log) } } catch let error as StartError {
            FileHandle.standardError.write(Data("berthd: \(error)\n".utf8))
            throw ExitCode(error.code)
        } catch let error as StoreError {
            FileHandle.standardError.write(Data("berthd: \(error)\n".utf8))
            throw ExitCode(74)
        }
    }

    /// Why the daemon cannot start. Exit codes are those of sysexits.h.
    struct StartError: Error, CustomStringConvertible {
        let description: String
        let code: Int32
    }

    /// Takes a directory for this daemon alone, and makes it when it is not there.
    static func lock(_ directory: String, mode: Int) throws -> FileLock {
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: mode])
        } catch { throw StartError(description: "the directory \(directory) cannot be made: \(error.localizedDescription)", code: 73) }
        do { return try FileLock(directory: directory, withDirectory: mode == 0o700) } catch let held as FileLock.Held {
            throw StartError(
                description: "another berthd\(held.holder.map { " (pid \($0))" } ?? "") has the directory \(directory); one daemon a directory", code: 75)
        } catch { throw StartError(description: "\(error)", code: 73) }
    }

    /// Sees that the control socket can be made, before anything is started: without it nobody could ask or stop what was.
    private static func checkSocket(_ path: String) throws {
        func refused(_ why: String) -> StartError { StartError(description: "the control socket \(path) cannot be made: \(why)", code: 69) }
        var info = stat()
        if lstat(path, &info) == 0, info.st_mode & S_IFMT != S_IFSOCK { throw refused("something else is in its place; move it away") }
        unlink(path)
        do { close(try UnixSocket.open(path, .bind)) } catch {
            guard error.code == ENAMETOOLONG else { throw refused(String(cString: strerror(error.code))) }
            throw refused("its path has \(path.utf8.count) bytes, and the kernel takes \(UnixSocket.mostBytes): choose a shorter --runtime-dir")
        }
        unlink(path)
    }

    func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    private func size(_ text: String, of option: String) throws -> Int64 {
        guard let bytes = ByteSize.parse(text), bytes > 0 else {
            throw StartError(description: "\(option) '\(text)' is not a size: write it as 512M", code: 64)
        }
        return bytes
    }

    /// The group that is asked for; the usual one need not be there.
    private func number(ofGroup group: String?, _ option: String, usual: String) throws -> UInt32? {
        guard let group else { return SocketAccess.number(of: usual) }
        guard let number = SocketAccess.number(of: group) else { throw StartError(description: "\(option): there is no group '\(group)'", code: 67) }
        return number
    }

    private func serve(_ log: Logger) async throws {
        guard geteuid() == 0 else { throw StartError(description: "it must run as root: containers need namespaces, mounts and control groups", code: 77) }
        // A reload asked for while the daemon starts comes after its start.
        let signals = Signals()
        signals.catch(SIGHUP)
        umask(0o077)
        let metricsAddress = try metrics.map { text in
            guard let address = ListenAddress(text) else {
                throw StartError(description: "--metrics '\(text)' is not an address with a port: write it as 127.0.0.1:9736 or [::1]:9736", code: 64)
            }
            return address
        }
        Descriptors.raiseLimit()
        guard Descriptors.most >= Descriptors.fewest else {
            throw StartError(
                description: "it may have \(Descriptors.most) descriptors, and needs \(Descriptors.fewest): raise the limit, as by 'ulimit -n' or LimitNOFILE=",
                code: 71)
        }
        let state = absolute(stateDir)
        let runtime = absolute(runtimeDir)
        let lock = try Self.lock(state, mode: 0o700)
        defer { lock.release() }
        try? HostFile.replace("\(state)/berthd.pid", with: "\(getpid())\n", mode: 0o644)
        // Another daemon's containers would look like orphans to this one.
        let runtimeLock = try Self.lock(runtime, mode: 0o755)
        defer { runtimeLock.release() }
        let socket = "\(runtime)/berth.sock"
        try Self.checkSocket(socket)
        let zones = SystemZones(directory: zoneinfoDir)
        var limits = RecipeLimits(bytes: maxRecipeBytes)
        // A node takes at least some bytes, so the limit on nodes follows the one on bytes.
        limits.nodes = max(limits.nodes, maxRecipeBytes / 10)
        let seal: Seal
        do { seal = try Seal(keyFile: "\(state)/seal.key") } catch { throw StartError(description: "\(error)", code: 74) }
        let access = try SocketAccess(
            group: number(ofGroup: group, "--group", usual: "berth"), viewers: number(ofGroup: viewGroup, "--view-group", usual: "berth-view"))
        let version = VersionInfo(version: BerthVersion.current, pid: getpid(), stateDirectory: state, engine: NativeEngine.name)
        let (store, loaded, wasPutAside) = try await waitForHistory(state, seal, socket: socket, access: access, version, log)
        do { try store.keepReserve() } catch { log.warning("there is no reserve for the history", metadata: ["error": "\(error)"]) }
        do {
            if try store.sealWhatIsClear() == .inFreePages {
                log.warning(
                    "what an earlier release stored in clear is sealed; free pages of the history may hold older texts until it is written anew, by VACUUM")
            }
        } catch {
            log.error("what an earlier release stored in clear cannot be sealed now; the next start tries again", metadata: ["error": "\(error)"])
        }
        let floor = try diskFloor.map { text in
            let bytes = try size(text, of: "--disk-floor")
            if let most = NativeEngine.mostDiskFloor(state), bytes > most {
                log.warning("--disk-floor is more than half of the disk; half of it is kept free", metadata: ["floor": "\(text)", "kept": "\(most >> 20)M"])
            }
            return bytes
        }
        let pools = try networkPool.map { text in
            guard let range = AddressRange(text), !range.first.isIPv6, range.prefix <= 24 else {
                throw StartError(description: "--network-pool '\(text)' is not a range of addresses: write it as 10.89.0.0/16", code: 64)
            }
            return range
        }
        let clockWait: Duration
        do { clockWait = try DurationText.parse(self.clockWait) } catch {
            throw StartError(description: "--clock-wait '\(self.clockWait)' is not a time: write it as 60s", code: 64)
        }
        let keep: Duration
        do { keep = try DurationText.parse(keepImages) } catch {
            throw StartError(description: "--keep-images '\(keepImages)' is not a time: write it as 12h", code: 64)
        }
        let disk = NativeEngine.diskBytes(state) ?? .max
        let mostBytes = try maxHistory.map { try size($0, of: "--max-history") } ?? disk / 10
        let mostLogBytes = try maxLogs.map { try size($0, of: "--max-logs") } ?? disk / 5
        let engine: NativeEngine
        let networks: NetworkHost
        do {
            let program = shim.map(absolute) ?? BerthPaths.beside("berth-shim")
            let own = String(StableHash(state).value, radix: 36)
            let isUsual = state == "/var/lib/berth"
            networks = try NetworkHost(
                state: state, runtime: runtime, name: isUsual ? "berth" : "b" + own.suffix(6), pools: pools.isEmpty ? NetworkHost.usualPools : pools, log: log)
            engine = try NativeEngine(
                paths: EnginePaths(state: state, runtime: runtime, shim: program), cgroupName: isUsual ? "berth" : "berth-" + own, diskFloor: floor,
                keepImages: keep, mostLogBytes: mostLogBytes, networks: networks, log: log)
        } catch { throw StartError(description: error.description, code: 69) }
        if loaded.state.bootID != engine.bootID {
            try await waitForClock(loaded.state, upTo: clockWait, socket: socket, access: access, version, log)
        }
        let clock = SystemClock()
        let scheduler = Scheduler(bootID: engine.bootID, seed: .random(in: .min ... .max))
        let supervisor = Supervisor(scheduler: scheduler, store: store, engine: engine, clock: clock, mostBytes: mostBytes, log: log)
        let readingGuard = ReadingGuard(state: state)
        for key in readingGuard.setAside { log.critical("the daemon died while it read a recipe; it is set aside", metadata: ["recipe": "\(key)"]) }
        let own = ProcessInfo.processInfo.environment
        let recipes = RecipeService(
            supervisor: supervisor, engine: engine, zones: zones, limits: limits, reading: readingGuard,
            variables: own.filter { passVariable.contains($0.key) })
        let lastBoot = (try? HostFile.text("\(runtime)/boot", limit: 128)).map { String($0.prefix { !$0.isWhitespace }) }
        try? HostFile.replace("\(runtime)/boot", with: "\(engine.bootID)\n", mode: 0o644, durable: false)
        try await supervisor.start(readBack(loaded, recipes, boot: lastBoot, log))
        // Beside the rest: who asks how things stand need not wait for a firewall.
        let watching = Task { await networks.watch() }
        defer { watching.cancel() }
        // From here on there is something to be ended in order; before, a start that hangs is to be ended at all.
        signals.catch(SIGTERM)
        signals.catch(SIGINT)
        signals.catch(SIGUSR1)
        do { try await recipes.noteImages(in: store) } catch { log.warning("which images are in use is not written down", metadata: ["error": "\(error)"]) }
        clinux_give_memory_back()

        let server = ControlServer(
            supervisor: supervisor, store: store, engine: engine, recipes: recipes, version: version, access: access,
            recipeDirectory: absolute(recipeDir), replaced: loaded.replaced,
            log: Self.quiet(log))
        let serving = Task {
            let application = server.application(socket: socket) {
                if let why = access.apply(to: socket) { log.warning("\(why)") }
                log.notice("ready", metadata: ["socket": "\(socket)", "state": "\(state)", "version": "\(BerthVersion.current)"])
                Task { ServiceManager.ready(await Self.status(supervisor)) }
            }
            do { try await application.run() } catch is CancellationError {} catch {
                log.critical("the control socket is gone, and with it the daemon", metadata: ["socket": "\(socket)", "error": "\(error)"])
                kill(getpid(), SIGTERM)
                throw error
            }
        }
        let counting = metricsAddress.map { address in
            Task {
                do { try await server.metricsApplication(host: address.host, port: address.port).run() } catch is CancellationError {} catch {
                    log.critical("numbers for Prometheus cannot be served", metadata: ["address": "\(metrics ?? "")", "error": "\(error)"])
                    kill(getpid(), SIGTERM)
                    throw error
                }
            }
        }
        defer { counting?.cancel() }
        let life = keepAlive(supervisor)
        let journal = tellJournal(supervisor, log)
        let copying = keepCopies(of: store, log)
        let zoneWatch = Task {
            while !Task.isCancelled {
                do { try await Task.sleep(for: .seconds(60)) } catch { return }
                await readZonesAgain(store, supervisor, recipes, zones, log)
                await recipes.removeImages(.outdated)
            }
        }
        // Images of recipe files may take long to bring in: everything else goes on meanwhile.
        var reading = [
            Task {
                await applyFiles(recipes, log)
                // After damage, nobody knows what the recipes that are gone need.
                if !wasPutAside { recipes.allowRemovalOfImages() }
            }
        ]
        var ending: Int32?
        for await number in signals.stream {
            ending = number
            guard number == SIGHUP else { break }
            log.notice("reading recipes again")
            ServiceManager.reloading()
            reading.append(
                Task { [last = reading.last] in
                    await last?.value
                    await readZonesAgain(store, supervisor, recipes, zones, log)
                    await applyFiles(recipes, log)
                    ServiceManager.ready(await Self.status(supervisor))
                })
        }
        zoneWatch.cancel()
        copying.cancel()
        for task in reading { task.cancel() }
        let takeAlong = stopAll || ending == SIGUSR1 || ServiceManager.isHostGoingDown
        ServiceManager.stopping(takeAlong ? "stopping all containers" : "containers run on")
        if takeAlong { await supervisor.stopAll() }
        await supervisor.shutDown()
        serving.cancel()
        let served = await serving.result
        unlink(socket)
        if takeAlong { await supervisor.waitUntilIdle() }
        engine.thawAll()
        engine.removeGroups()
        // A host that shuts down needs nobody to take its bridges down.
        let isIdle = await supervisor.runs.isEmpty
        let isEmpty = await supervisor.projects.isEmpty
        if isIdle, stopAll || ending == SIGUSR1 || isEmpty { await networks.takeDown() }
        try? store.close()
        journal?.cancel()
        life.cancel()
        let left = await supervisor.runs.count
        log.notice("ended", metadata: ["left running": "\(left)"])
        if case .failure = served { throw StartError(description: "the control socket \(socket) could not be kept", code: 69) }
    }

    /// The server's own lines, such as that a client left, are of no interest; failures are answered to whoever asked.
    static func quiet(_ log: Logger) -> Logger {
        var log = log
        log.logLevel = .critical
        return log
    }

    // MARK: Recipe files

    private func recipeFiles() -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: recipeDir)) ?? []
        return names.filter { ($0.hasSuffix(".yaml") || $0.hasSuffix(".yml")) && !$0.hasPrefix(".") }.sorted().map { "\(recipeDir)/\($0)" } + recipe
    }

    /// Applies the recipe files. Two of one project are none: the second would take the first one's place.
    private func applyFiles(_ recipes: RecipeService, _ log: Logger) async {
        func refuse(_ file: String, _ error: any Error) {
            log.error("a recipe was not applied; what was in force stays in force", metadata: ["file": "\(file)"])
            FileHandle.standardError.write(Data((PlainText.lines("\(error)") + "\n").utf8))
        }
        var read: [(file: String, source: RecipeSource, recipe: Recipe)] = []
        for file in recipeFiles() {
            do {
                let (source, recipe) = try await recipes.load(path: absolute(file))
                read.append((file, source, recipe))
            } catch { refuse(file, error) }
        }
        let files = Dictionary(grouping: read, by: \.recipe.project).mapValues { $0.map(\.file) }
        for (file, source, recipe) in read {
            do {
                if let same = files[recipe.project], same.count > 1 {
                    throw StartError(
                        description: "\(same.joined(separator: " and ")) are recipes of one project, '\(recipe.project)': give each a 'name:' of its own",
                        code: 65)
                }
                try await recipes.apply(source, recipe, explicit: false, actor: "berthd") { log.info("\($0)") }
                log.notice("recipe applied", metadata: ["file": "\(file)", "project": "\(recipe.project)"])
            } catch { refuse(file, error) }
        }
    }

    // MARK: Signals

    /// An update of the tz database counts without a restart.
    private func readZonesAgain(_ store: HistoryStore, _ supervisor: Supervisor, _ recipes: RecipeService, _ zones: SystemZones, _ log: Logger) async {
        guard zones.haveChanged() else { return }
        log.notice("time zones have changed; schedules follow them")
        do {
            for source in try await store.recipeSources() {
                do { await supervisor.take(.zonesChanged(try recipes.restore(source))) } catch {
                    log.error("a recipe cannot follow the changed time zones", metadata: ["error": "\(error)"])
                }
            }
        } catch { log.error("schedules cannot follow the changed time zones", metadata: ["error": "\(error)"]) }
    }
}
