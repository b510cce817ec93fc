internal import CLinux
internal import EngineAPI
internal import Glibc
internal import HostOS

/// A file or directory of the host, held open. Checks and mounts are of what is held: no path is looked up twice.
final class HostPlace: Sendable {
    /// Opened with `O_PATH`, and closed with this: whoever takes it out has to keep this.
    let descriptor: Int32
    /// How the recipe names it; for messages.
    let path: String
    let isDirectory: Bool
    let identity: FileIdentity
    let links: UInt

    /// Takes the descriptor over.
    init(descriptor: Int32, path: String) throws(EngineError) {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else {
            let code = errno
            close(descriptor)
            throw .sandbox("the mount's source \(path) cannot be looked at: \(String(cString: strerror(code)))")
        }
        self.descriptor = descriptor
        self.path = path
        isDirectory = info.st_mode & S_IFMT == S_IFDIR
        identity = FileIdentity(info)
        links = UInt(info.st_nlink)
    }

    deinit { close(descriptor) }

    /// Its path, as the kernel tells it now.
    var name: String { HostLocation.name(of: descriptor) }

    /// The mount that it was opened in; it stays the same while it is held open.
    var mountID: Int? { HostLocation.mountID(of: descriptor) }

    /// `nil` when its mount is not among the mounts, or it has no name any more.
    func location(_ mounts: [MountTable]) -> HostLocation? { HostLocation(descriptor: descriptor, mounts) }

    /// A directory or file of Berth's own, below its own directories, where no path is anybody else's.
    static func own(_ path: String) throws(EngineError) -> HostPlace {
        let fd = clinux_open_place(AT_FDCWD, path, O_NOFOLLOW)
        guard fd >= 0 else { throw .sandbox("cannot open \(path): \(String(cString: strerror(errno)))") }
        return try HostPlace(descriptor: fd, path: path)
    }

    /// Opens a path of a recipe, one component after the other.
    ///
    /// Links are followed, as `/home/me/media -> /mnt/disk` needs. But from the first directory on that some container can
    /// write to, none is: there a link is what a container wants it to be.
    ///
    /// - Parameters:
    ///   - path: absolute
    ///   - writable: directories that containers can write to
    static func open(_ path: String, writable: WritableDirectories) throws(EngineError) -> HostPlace {
        do throws(Unopened) { return try open(path, writable: writable, notEntering: []) } catch {
            guard case .refused(let error) = error else { preconditionFailure("nothing was to be left out") }
            throw error
        }
    }

    /// Why a path was not opened.
    enum Unopened: Error {
        case refused(EngineError)
        /// It leads there, to a mount that was not to be entered. Links on the way from there are not known.
        case onServer(HostLocation)
    }

    /// Opens a path as ``open(_:writable:)`` does.
    ///
    /// - Parameter servers: mounts that are not entered
    static func open(_ path: String, writable: WritableDirectories, notEntering servers: [MountTable]) throws(Unopened) -> HostPlace {
        let walk = BindWalk(path: path, writable: writable, servers: servers)
        let descriptor = try walk.descriptor()
        do throws(EngineError) { return try HostPlace(descriptor: descriptor, path: path) } catch { throw .refused(error) }
    }
}

/// Which file it is, whatever it is called.
struct FileIdentity: Hashable, Sendable, Codable {
    let device: UInt
    let inode: UInt

    init(device: UInt, inode: UInt) {
        self.device = device
        self.inode = inode
    }

    init(_ info: stat) { self.init(device: UInt(info.st_dev), inode: UInt(info.st_ino)) }

    /// Of what a path names now; `nil` when there is nothing.
    init?(path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        self.init(info)
    }
}

/// The walk to the source of a bind mount.
private struct BindWalk {
    let path: String
    let writable: WritableDirectories
    let servers: [MountTable]

    /// Opened with `O_PATH`; the caller's to close.
    func descriptor() throws(HostPlace.Unopened) -> Int32 {
        // Asked once a walk at most: what the host mounts while it is looked at (autofs) is among them.
        var mounts: [MountTable]?
        var mount: Int?
        // Whether each directory of the mount is to be looked up by its location.
        var isUnasked = false
        // The directory from which on links are not followed.
        var boundary: String?
        let walk = try reach { () throws(HostFile.Failure) in try PathWalk(path) }
        func arrived() {
            guard boundary == nil, !writable.isEmpty else { return }
            var info = stat()
            guard fstat(walk.descriptor, &info) == 0 else { return }
            if writable.contains(FileIdentity(info)) {
                boundary = HostLocation.name(of: walk.descriptor)
                return
            }
            // A part of a file system that is mounted here, as by `mount --bind`, may lie in one of them.
            let id = HostLocation.mountID(of: walk.descriptor)
            guard id != mount || isUnasked else { return }
            mount = id
            if mounts == nil || mounts?.contains(where: { $0.id == id }) == false { mounts = MountTable.read() }
            let location = HostLocation(descriptor: walk.descriptor, mounts ?? [])
            isUnasked = location.map { writable.unaskedDevices.contains($0.device) } ?? false
            if writable.contains(location) { boundary = HostLocation.name(of: walk.descriptor) }
        }
        arrived()
        while let component = walk.upcoming {
            if component == "..", let boundary { throw refusal("leads up and out of", boundary) }
            if !servers.isEmpty {
                let next = HostLocation.join(HostLocation.name(of: walk.descriptor), String(component))
                if servers.contains(where: { $0.target == next }) {
                    throw .onServer(HostLocation(unopened: HostLocation.join(next, walk.rest(after: component)), servers))
                }
            }
            guard let step = try reach({ () throws(HostFile.Failure) in try walk.next() }) else { break }
            switch step {
            case .entered: arrived()
            case .link(let name, _, let target):
                if let boundary { throw refusal("leads through the link '\(name)' in", boundary) }
                if try reach({ () throws(HostFile.Failure) in try walk.follow(target) }) {
                    mount = nil
                    arrived()
                }
            }
        }
        return walk.take()
    }

    private func reach<Value>(_ body: () throws(HostFile.Failure) -> Value) throws(HostPlace.Unopened) -> Value {
        do throws(HostFile.Failure) { return try body() } catch {
            switch error.code {
            case ENOENT: throw .refused(.sandbox("the mount's source \(path) is not there"))
            case ELOOP: throw .refused(.sandbox("the mount's source \(path) leads through more links than can be followed"))
            default: throw .refused(.sandbox("the mount's source \(path) cannot be opened: \(String(cString: strerror(error.code)))"))
            }
        }
    }

    private func refusal(_ what: String, _ directory: String) -> HostPlace.Unopened {
        .refused(.sandbox("the mount's source \(path) \(what) \(directory), which a container can write to: refused; name the place that is meant"))
    }
}

/// Where something is, whatever mount it is reached by: a file system, and a path inside it.
struct HostLocation: Hashable, Sendable, Codable {
    let device: String
    let path: String

    init(device: String, path: String) {
        self.device = device
        self.path = path
    }

    /// `nil` when the descriptor's mount is not among the mounts, or what it is has no name any more.
    init?(descriptor: Int32, _ mounts: [MountTable]) {
        self.init(mount: HostLocation.mountID(of: descriptor), name: HostLocation.name(of: descriptor), mounts)
    }

    /// - Parameters:
    ///   - mount: its number
    ///   - name: a path in it, as it is called on this host
    init?(mount: Int?, name: String, _ mounts: [MountTable]) {
        guard let mount = mounts.first(where: { $0.id == mount }) else { return nil }
        guard let below = HostLocation.relative(name, to: mount.target) else { return nil }
        self.init(device: mount.device, path: HostLocation.join(mount.root, below))
    }

    /// Of a path that is not looked up, below one of some mounts: where it is if no link leads elsewhere. A path that goes up again
    /// stands for all of its mount.
    init(unopened path: String, _ mounts: [MountTable]) {
        let mount = mounts.filter { HostLocation.relative(path, to: $0.target) != nil }.max { $0.target.utf8.count < $1.target.utf8.count }!
        let below = HostLocation.relative(path, to: mount.target) ?? ""
        self.init(device: mount.device, path: HostLocation.join(mount.root, below.split(separator: "/").contains("..") ? "" : below))
    }

    func lies(in other: HostLocation) -> Bool { device == other.device && HostLocation.relative(path, to: other.path) != nil }

    /// The descriptor's path, as the kernel tells it now.
    static func name(of descriptor: Int32) -> String { HostFile.link("/proc/self/fd/\(descriptor)") ?? "" }

    static func mountID(of descriptor: Int32) -> Int? {
        guard let text = try? HostFile.text("/proc/self/fdinfo/\(descriptor)") else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("mnt_id:") {
            return Int(line.dropFirst(7).filter { !$0.isWhitespace })
        }
        return nil
    }

    /// `path` below `directory`, without a slash before it; empty when they are the same, `nil` when it lies elsewhere.
    static func relative(_ path: String, to directory: String) -> String? {
        if path == directory { return "" }
        let start = directory == "/" ? "/" : directory + "/"
        return path.hasPrefix(start) ? String(path.dropFirst(start.count)) : nil
    }

    static func join(_ directory: String, _ below: String) -> String {
        below.isEmpty ? directory : directory == "/" ? "/" + below : "\(directory)/\(below)"
    }
}
