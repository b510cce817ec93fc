internal import CLinux
internal import EngineAPI
internal import Glibc
internal import HostOS

/// Berth's own directories, which no container may have: the history, the control socket, other runs' files, images and
/// volumes of others. They are known by file system and path inside it, so a second name for one, such as a bind mount of
/// the host, is no way in.
final class OwnFiles: Sendable {
    /// Held open: they stay the same directories, whatever happens to their names.
    private let directories: [(place: HostPlace, mount: Int?)]

    init(_ paths: [String]) throws(EngineError) {
        var places: [HostPlace] = []
        for path in paths {
            let fd = clinux_open_place(AT_FDCWD, path, O_DIRECTORY)
            guard fd >= 0 else { throw .host("cannot open \(path): \(String(cString: strerror(errno)))") }
            places.append(try HostPlace(descriptor: fd, path: path))
        }
        directories = places.map { ($0, $0.mountID) }
    }

    /// The places of ours that a mount of something would show, relative to it; what lies under another mount there counts too.
    ///
    /// - Parameter recursive: whether the mounts below come along
    /// - Throws: when it is one of ours itself, or lies in one
    func visible(from source: HostPlace, recursive: Bool, _ mounts: [MountTable]) throws(EngineError) -> [String] {
        guard let location = source.location(mounts) else {
            throw .sandbox("cannot tell where the mount's source \(source.path) lies on the host: refused")
        }
        let name = source.name
        var found: [String] = []
        for (own, mount) in directories {
            let ownName = own.name
            guard let ours = HostLocation(mount: mount, name: ownName, mounts) else { continue }
            // A disk that is mounted below one of ours is ours as well.
            let below = mounts.filter { HostLocation.relative($0.target, to: ownName).map { !$0.isEmpty } ?? false }
            let isOurs = location.lies(in: ours) || below.contains { location.lies(in: HostLocation(device: $0.device, path: $0.root)) }
            if isOurs || isHardLink(source, own) {
                throw .sandbox("the mount of \(source.path) would give Berth's own files (\(own.path)) to the container: refused")
            }
            if ours.lies(in: location), let below = HostLocation.relative(ours.path, to: location.path) { found.append(below) }
            guard recursive else { continue }
            for mount in mounts {
                guard let place = HostLocation.relative(mount.target, to: name), !place.isEmpty else { continue }
                let part = HostLocation(device: mount.device, path: mount.root)
                if part.lies(in: ours) {
                    found.append(place)
                } else if ours.lies(in: part), let below = HostLocation.relative(ours.path, to: part.path) {
                    found.append(HostLocation.join(place, below))
                }
            }
        }
        // What lies in one of them is hidden with it.
        return Set(found).sorted().reduce(into: []) { kept, path in
            if !kept.contains(where: { HostLocation.relative(path, to: $0) != nil }) { kept.append(path) }
        }
    }

    /// A second name for a file that lies directly in one of ours, such as the history.
    private func isHardLink(_ source: HostPlace, _ own: HostPlace) -> Bool {
        guard !source.isDirectory, source.links > 1 else { return false }
        let path = own.name
        return HostFile.names(in: path).contains { FileIdentity(path: "\(path)/\($0)") == source.identity }
    }
}
