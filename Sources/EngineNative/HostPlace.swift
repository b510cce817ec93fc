internal import CLinux
internal import EngineAPI
internal import Glibc
internal import HostOS

/// A file or directory of the host, held open. Checks and mounts are of what is held: no path is looked up twice.
final class HostPlace: Sendable {
    /// Opened with `O_PATH`.
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
        var walk = try Walk(path, writable)
        return try walk.run()
    }
}

/// Which file it is, whatever it is called.
struct FileIdentity: Hashable, Sendable {
    let device: UInt
    let inode: UInt

    init(_ info: stat) {
        device = UInt(info.st_dev)
        inode = UInt(info.st_ino)
    }

    /// Of what a path names now; `nil` when there is nothing.
    init?(path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        self.init(info)
    }
}

/// Directories of the host that containers can write to, at the time of one launch.
struct WritableDirectories {
    private let identities: Set<FileIdentity>
    /// The same as places in their file systems, for directories that are mounted a second time elsewhere.
    private let locations: [HostLocation]

    /// - Parameter paths: absolute; those that are not there count for nothing
    init(_ paths: some Sequence<String>, mounts: @autoclosure () -> [MountTable]) {
        var identities: Set<FileIdentity> = []
        var locations: [HostLocation] = []
        var table: [MountTable]?
        for path in paths {
            let fd = clinux_open_place(AT_FDCWD, path, 0)
            guard fd >= 0 else { continue }
            defer { close(fd) }
            var info = stat()
            guard fstat(fd, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { continue }
            identities.insert(FileIdentity(info))
            let known = table ?? mounts()
            table = known
            if let location = HostLocation(descriptor: fd, known) { locations.append(location) }
            // A mount takes along what is mounted below it.
            let name = HostLocation.name(of: fd)
            for mount in known where HostLocation.relative(mount.target, to: name).map({ !$0.isEmpty }) ?? false {
                locations.append(HostLocation(device: mount.device, path: mount.root))
                if let identity = FileIdentity(path: mount.target) { identities.insert(identity) }
            }
        }
        self.identities = identities
        self.locations = locations
    }

    var isEmpty: Bool { identities.isEmpty }

    func contains(_ identity: FileIdentity) -> Bool { identities.contains(identity) }

    /// Whether a place lies in one of them under another name.
    func contains(_ location: HostLocation?) -> Bool { location.map { place in locations.contains { place.lies(in: $0) } } ?? false }
}

/// A walk along a path, component by component.
private struct Walk {
    private let path: String
    private let writable: WritableDirectories
    private var current: Int32
    /// Components to come, last first.
    private var pending: [Substring]
    private var links = 0
    private var mount: Int?
    /// The directory from which on links are not followed.
    private var boundary: String?

    init(_ path: String, _ writable: WritableDirectories) throws(EngineError) {
        self.path = path
        self.writable = writable
        pending = path.split(separator: "/").reversed()
        current = clinux_open_place(AT_FDCWD, "/", O_DIRECTORY)
        guard current >= 0 else { throw .sandbox("cannot open /: \(String(cString: strerror(errno)))") }
    }

    mutating func run() throws(EngineError) -> HostPlace {
        do throws(EngineError) {
            try arrived()
            while let component = pending.popLast() { try step(String(component)) }
        } catch {
            close(current)
            throw error
        }
        return try HostPlace(descriptor: current, path: path)
    }

    private mutating func step(_ component: String) throws(EngineError) {
        if component == "." { return }
        if component == "..", let boundary { throw refusal("leads up and out of", boundary) }
        let next = clinux_open_place(current, component, O_NOFOLLOW)
        guard next >= 0 else {
            let code = errno
            if code == ENOENT { throw .sandbox("the mount's source \(path) is not there") }
            throw .sandbox("the mount's source \(path) cannot be opened at '\(component)': \(String(cString: strerror(code)))")
        }
        var info = stat()
        guard fstat(next, &info) == 0, info.st_mode & S_IFMT == S_IFLNK else {
            close(current)
            current = next
            return try arrived()
        }
        if let boundary {
            close(next)
            throw refusal("leads through the link '\(component)' in", boundary)
        }
        try follow(next)
    }

    private mutating func follow(_ link: Int32) throws(EngineError) {
        defer { close(link) }
        var buffer = [CChar](repeating: 0, count: 4097)
        let length = readlinkat(link, "", &buffer, 4096)
        links += 1
        guard length > 0, links <= 40 else { throw .sandbox("the mount's source \(path) leads through more links than can be followed") }
        let text = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        pending += text.split(separator: "/").reversed()
        guard text.hasPrefix("/") else { return }
        let root = clinux_open_place(AT_FDCWD, "/", O_DIRECTORY)
        guard root >= 0 else { throw .sandbox("cannot open /: \(String(cString: strerror(errno)))") }
        close(current)
        current = root
        mount = nil
        try arrived()
    }

    /// Looks whether a container can write to where the walk is now.
    private mutating func arrived() throws(EngineError) {
        guard boundary == nil, !writable.isEmpty else { return }
        var info = stat()
        guard fstat(current, &info) == 0 else { return }
        if writable.contains(FileIdentity(info)) {
            boundary = HostLocation.name(of: current)
            return
        }
        // A part of a file system that is mounted here, as by `mount --bind`, may lie in one of them.
        let id = HostLocation.mountID(of: current)
        guard id != mount else { return }
        mount = id
        if writable.contains(HostLocation(descriptor: current, MountTable.read())) { boundary = HostLocation.name(of: current) }
    }

    private func refusal(_ what: String, _ directory: String) -> EngineError {
        .sandbox("the mount's source \(path) \(what) \(directory), which a container can write to: refused; name the place that is meant")
    }
}

/// Where something is, whatever mount it is reached by: a file system, and a path inside it.
struct HostLocation: Hashable {
    let device: String
    let path: String

    init(device: String, path: String) {
        self.device = device
        self.path = path
    }

    /// `nil` when the descriptor's mount is not among the mounts, or what it is has no name any more.
    init?(descriptor: Int32, _ mounts: [MountTable]) {
        guard let id = HostLocation.mountID(of: descriptor), let mount = mounts.first(where: { $0.id == id }) else { return nil }
        let name = HostLocation.name(of: descriptor)
        guard let below = HostLocation.relative(name, to: mount.target) else { return nil }
        self.init(device: mount.device, path: HostLocation.join(mount.root, below))
    }

    func lies(in other: HostLocation) -> Bool { device == other.device && HostLocation.relative(path, to: other.path) != nil }

    /// The descriptor's path, as the kernel tells it now.
    static func name(of descriptor: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 4097)
        let length = readlink("/proc/self/fd/\(descriptor)", &buffer, 4096)
        return length > 0 ? String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self) : ""
    }

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
