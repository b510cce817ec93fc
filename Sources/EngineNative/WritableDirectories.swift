internal import CLinux
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Synchronization
internal import WorkloadModel

/// A directory of the host that a container can write to, known by inode and location: its name may come to mean another one.
struct WritablePlace: Hashable, Sendable, Codable {
    let identity: FileIdentity
    /// For directories that are mounted a second time elsewhere; `nil` when it cannot be told.
    let location: HostLocation?

    /// The place itself, and what is mounted below it: a mount takes that along.
    static func places(_ descriptor: Int32, _ mounts: [MountTable]) -> [WritablePlace] {
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { return [] }
        var found = [WritablePlace(identity: FileIdentity(info), location: HostLocation(descriptor: descriptor, mounts))]
        let name = HostLocation.name(of: descriptor)
        for mount in mounts where HostLocation.relative(mount.target, to: name).map({ !$0.isEmpty }) ?? false {
            guard let identity = FileIdentity(path: mount.target) else { continue }
            found.append(WritablePlace(identity: identity, location: HostLocation(device: mount.device, path: mount.root)))
        }
        return found
    }
}

/// Directories of the host that containers can write to, at the time of one launch.
struct WritableDirectories {
    private var identities: Set<FileIdentity> = []
    private var locations: Set<HostLocation> = []

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

    var isEmpty: Bool { identities.isEmpty && !isEverything }

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
        var runs: [RunID: [WritablePlace]] = [:]
    }

    /// With more names than this, those that no longer exist are dropped at a start.
    private static let many = 5000

    private let file: String
    private let log: Logger
    private let state = Mutex(State())

    /// - Parameter file: where the names are kept
    init(file: String, log: Logger) {
        self.file = file
        self.log = log
        guard HostFile.exists(file) else { return }
        guard let names: [String] = HostFile.json(file, limit: 64 << 20) else {
            log.error("the list of directories that containers could write to cannot be read; it begins anew", metadata: ["file": "\(file)"])
            return
        }
        state.withLock { $0.names = Set(names.count > SharedDirectories.many ? names.filter(HostFile.exists) : names) }
    }

    /// Adds directories that recipes make writable, and writes the list when it changed.
    func note(_ names: some Sequence<String>) {
        state.withLock { state in
            let known = state.names.count
            state.names.formUnion(names)
            guard state.names.count > known else { return }
            // Written under the lock, so that an older list never replaces a newer one.
            do { try HostFile.replace(file, json: state.names.sorted()) } catch {
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
    func current(_ mounts: [MountTable]) -> WritableDirectories {
        let (names, runs) = state.withLock { state in (state.names, state.runs) }
        var found = WritableDirectories()
        for places in runs.values { found.insert(places) }
        var throughLinks: [String] = []
        for name in names {
            if let place = try? HostPlace.open(name, writable: .everything) {
                found.insert(WritablePlace.places(place.descriptor, mounts))
            } else {
                throughLinks.append(name)
            }
        }
        for name in throughLinks.sorted(by: { ($0.utf8.count, $0) < ($1.utf8.count, $1) }) {
            guard let place = try? HostPlace.open(name, writable: found) else { continue }
            found.insert(WritablePlace.places(place.descriptor, mounts))
        }
        return found
    }
}
