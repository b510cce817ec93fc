internal import CLinux
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Schedules
internal import Synchronization
internal import WorkloadModel

/// A directory of the host that a container can write to, known by inode and location: its name may come to mean another one.
struct WritablePlace: Hashable, Sendable, Codable {
    let identity: FileIdentity
    /// For directories that are mounted a second time elsewhere; `nil` when it cannot be told.
    let location: HostLocation?

    /// The place itself, and what is mounted below it: a mount takes that along.
    static func places(_ place: HostPlace, _ mounts: [MountTable]) -> [WritablePlace] {
        guard place.isDirectory else { return [] }
        var found = [WritablePlace(identity: place.identity, location: place.location(mounts))]
        let name = place.name
        let unanswering = Set(MountTable.unanswering(mounts).map(\.target))
        for mount in mounts where HostLocation.relative(mount.target, to: name).map({ !$0.isEmpty }) ?? false {
            // What is on another machine, or behind one, is known by its location.
            let identity = unanswering.contains(mount.target) ? FileIdentity(device: 0, inode: 0) : FileIdentity(path: mount.target)
            guard let identity else { continue }
            found.append(WritablePlace(identity: identity, location: HostLocation(device: mount.device, path: mount.root)))
        }
        return found
    }
}

/// Directories of the host that containers can write to, at the time of one launch.
struct WritableDirectories {
    private var identities: Set<FileIdentity> = []
    private var locations: Set<HostLocation> = []
    /// Mounts whose server was not asked: of places in them only the location is known.
    private(set) var unaskedDevices: Set<String> = []

    /// Adds a place by its location alone.
    mutating func insert(unasked location: HostLocation) {
        locations.insert(location)
        unaskedDevices.insert(location.device)
    }

    mutating func insert(_ places: [WritablePlace]) {
        for place in places {
            identities.insert(place.identity)
            if let location = place.location { locations.insert(location) }
        }
    }

    /// All directories: no link is followed anywhere.
    static let everything = WritableDirectories(isEverything: true)
    private var isEverything = false

    init() {}
    private init(isEverything: Bool) { self.isEverything = isEverything }

    var isEmpty: Bool { identities.isEmpty && locations.isEmpty && !isEverything }

    func contains(_ identity: FileIdentity) -> Bool { isEverything || identities.contains(identity) }

    /// Whether a place lies in one of them under another name.
    func contains(_ location: HostLocation?) -> Bool { location.map { place in locations.contains { place.lies(in: $0) } } ?? false }
}

/// Directories of the host that containers can write to, or could: any link in them may have been made by a container, also after
/// its recipe was removed.
///
/// The paths that recipes name are kept in a file. The directories that each live run was given are kept beside its facts.
final class SharedDirectories: Sendable {
    private struct State {
        /// Absolute paths, as recipes name them.
        var names: Set<String> = []
        /// Whether the file lacks some of them.
        var isUnsaved = false
        var runs: [RunID: [WritablePlace]] = [:]
    }

    /// With more names than this, those that no longer exist are dropped at a start.
    private static let many = 5000

    private let file: String
    private let log: Logger
    private let state = Mutex(State())

    /// - Parameters:
    ///   - file: where the names are kept
    ///   - quarantine: a directory for one that cannot be read
    init(file: String, quarantine: String, log: Logger) {
        self.file = file
        self.log = log
        guard HostFile.exists(file) else { return }
        guard let names: [String] = HostFile.json(file, limit: 64 << 20) else {
            let aside = "\(quarantine)/writable.json-\(WallClock.now().milliseconds)"
            try? HostFile.makeDirectory(quarantine)
            rename(file, aside)
            log.error(
                "the list of directories that containers could write to cannot be read; it was put aside, and a new one begins",
                metadata: ["file": "\(file)", "aside": "\(aside)"])
            return
        }
        state.withLock { $0.names = Set(names.count > SharedDirectories.many ? names.filter(HostFile.exists) : names) }
    }

    /// Adds directories that recipes make writable, and writes the list when it changed.
    func note(_ names: some Sequence<String>) {
        state.withLock { state in
            let known = state.names.count
            state.names.formUnion(names)
            guard state.names.count > known || state.isUnsaved else { return }
            state.isUnsaved = true
            // Written under the lock, so that an older list never replaces a newer one.
            do {
                try HostFile.replace(file, json: state.names.sorted())
                state.isUnsaved = false
            } catch {
                log.error("the list of directories that containers can write to cannot be written", metadata: ["error": "\(error)"])
            }
        }
    }

    func began(_ run: RunID, _ places: [WritablePlace]) { if !places.isEmpty { state.withLock { $0.runs[run] = places } } }

    func ended(_ run: RunID) { state.withLock { $0.runs[run] = nil } }

    /// The directories that the kept names lead to now, and those that live runs were given.
    ///
    /// A name is resolved as a mount's source is: no link in a writable directory is followed, so a container that replaces
    /// `data/sub` by a link adds nothing. Names without links come first, so that the rest is resolved when those are known.
    ///
    /// Places on other machines' disks are not opened, as a server that does not answer would keep every launch waiting.
    func current(_ mounts: [MountTable]) -> WritableDirectories {
        let (names, runs) = state.withLock { state in (state.names, state.runs) }
        var found = WritableDirectories()
        for places in runs.values { found.insert(places) }
        let servers = MountTable.unanswering(mounts)
        var throughLinks: [String] = []
        for name in names {
            do throws(HostPlace.Unopened) {
                found.insert(WritablePlace.places(try HostPlace.open(name, writable: .everything, notEntering: servers), mounts))
            } catch {
                switch error {
                case .onServer(let location): found.insert(unasked: location)
                case .refused: throughLinks.append(name)
                }
            }
        }
        for name in throughLinks.sorted(by: { ($0.utf8.count, $0) < ($1.utf8.count, $1) }) {
            do throws(HostPlace.Unopened) {
                found.insert(WritablePlace.places(try HostPlace.open(name, writable: found, notEntering: servers), mounts))
            } catch { if case .onServer(let location) = error { found.insert(unasked: location) } }
        }
        return found
    }
}
