internal import CLinux
internal import EngineAPI
internal import Foundation
internal import Glibc
internal import HostOS
internal import Logging
internal import Synchronization
internal import WorkloadModel

/// A directory of the host that a container can write to, by what it is and where it lies: its name may come to mean another.
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

    /// Everything: no link is followed anywhere.
    static let everything = WritableDirectories(isEverything: true)
    private var isEverything = false

    init() {}
    private init(isEverything: Bool) { self.isEverything = isEverything }

    var isEmpty: Bool { identities.isEmpty && !isEverything }

    func contains(_ identity: FileIdentity) -> Bool { isEverything || identities.contains(identity) }

    /// Whether a place lies in one of them under another name.
    func contains(_ location: HostLocation?) -> Bool { location.map { place in locations.contains { place.lies(in: $0) } } ?? false }
}

/// What containers can write to of the host, and could: where one of them could write, a link may be of its making, even after
/// its recipe is gone.
///
/// The names that recipes give are kept in a file. What each live run was given is kept beside its facts, by what it is.
final class SharedDirectories: Sendable {
    private struct State {
        /// As recipes name them, absolute.
        var names: Set<String> = []
        var runs: [RunID: [WritablePlace]] = [:]
    }

    /// Of more names than this, those that are not there are forgotten at a start.
    private static let many = 5000

    private let file: String
    private let log: Logger
    private let state = Mutex(State())

    /// - Parameter file: where the names are kept
    init(file: String, log: Logger) {
        self.file = file
        self.log = log
        guard let bytes = try? HostFile.bytes(file, limit: 64 << 20) else { return }
        guard let names = try? JSONDecoder().decode([String].self, from: Data(bytes)) else {
            log.error("the list of directories that containers could write to cannot be read; it begins anew", metadata: ["file": "\(file)"])
            return
        }
        state.withLock { $0.names = Set(names.count > SharedDirectories.many ? names.filter(HostFile.exists) : names) }
    }

    /// Takes note of directories that recipes make writable. Before a container with them is launched, it is on disk.
    func note(_ names: some Sequence<String>) {
        let list: [String]? = state.withLock { state in
            let known = state.names.count
            state.names.formUnion(names)
            return state.names.count == known ? nil : state.names.sorted()
        }
        guard let list, let bytes = try? JSONEncoder().encode(list) else { return }
        do { try HostFile.replace(file, with: Array(bytes)) } catch {
            log.error("directories that containers can write to cannot be noted; until a restart they are known", metadata: ["error": "\(error)"])
        }
    }

    func began(_ run: RunID, _ places: [WritablePlace]) { if !places.isEmpty { state.withLock { $0.runs[run] = places } } }

    func ended(_ run: RunID) { state.withLock { $0.runs[run] = nil } }

    /// What can be written to now.
    ///
    /// Names are looked up as those of a mount are: a container that makes a link of `data/sub` does not make its target one of
    /// these. Those that lead through no link come first, so that all others are looked up when they are known.
    func now(_ mounts: [MountTable]) -> WritableDirectories {
        let (names, runs) = state.withLock { state in (state.names, state.runs) }
        var found = WritableDirectories()
        for places in runs.values { found.insert(places) }
        var throughLinks: [String] = []
        for name in names {
            guard let place = try? HostPlace.open(name, writable: .everything) else {
                throughLinks.append(name)
                continue
            }
            found.insert(WritablePlace.places(place.descriptor, mounts))
        }
        for name in throughLinks.sorted(by: { ($0.utf8.count, $0) < ($1.utf8.count, $1) }) {
            guard let place = try? HostPlace.open(name, writable: found) else { continue }
            found.insert(WritablePlace.places(place.descriptor, mounts))
        }
        return found
    }
}
