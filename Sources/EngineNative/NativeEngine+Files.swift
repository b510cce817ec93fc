internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Synchronization
internal import WorkloadModel

/// The root file system and the mounts of a run. What a recipe names of the host is opened here, once, and checked; the shim
/// is given what was opened, and looks up no path of the host for it.
extension NativeEngine {
    /// - Returns: what is to be known of the run while it lives
    func addFiles(_ run: RunRequest, _ image: Image?, _ network: NetworkPlace, _ spec: inout LaunchSpec) throws(EngineError) -> RunNote {
        let container = run.container
        // Before any of them is opened: each takes a descriptor.
        let mounted = self.mounts(of: run, image)
        guard mounted.count < LaunchSpec.mostPlaces else { throw .sandbox("a container can have \(LaunchSpec.mostPlaces) mounts, and no more") }
        shared.note(container.writableDirectories)
        // Most containers name nothing of the host, and need no look at what is mounted.
        let mounts = container.namesHostFiles ? MountTable.read() : []
        let writable = container.namesHostPaths ? shared.current(mounts) : WritableDirectories()
        var note = RunNote(workload: run.workload.description)
        note.image = image?.id ?? ""
        note.run = run.run
        note.run?.changes = nil
        note.run?.forgottenChanges = run.run.changes?.summary
        try addRoot(container, image, &spec, &note, mounts, writable)
        try addNetwork(run, network, &spec, &note)
        note.paths = ["\(paths.scratch)/\(run.id)/upper", paths.logs(run.workload)]
        note.empty = [note.paths[0]]
        try addMounts(mounted, run, &spec, &note, mounts, writable)
        for (number, file) in (container.files?.value ?? []).enumerated() { try addFile(file, number, run, writable, &spec) }
        return note
    }

    /// The network that the run joins, and what it finds of it in /etc.
    private func addNetwork(_ run: RunRequest, _ network: NetworkPlace, _ spec: inout LaunchSpec, _ note: inout RunNote) throws(EngineError) {
        var (hosts, resolver) = ("\(paths.etc)/hosts", "\(paths.etc)/resolv.conf")
        try addHostName(run, &spec)
        switch network {
        case .place(let place):
            note.place = place.id
            let descriptor = open(place.namespace, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
            guard descriptor >= 0 else { throw .sandbox("the container's network is gone: \(String(cString: strerror(errno)))") }
            try spec.addNetwork(try HostPlace(descriptor: descriptor, path: place.namespace))
            (hosts, resolver) = ("\(paths.run(run.id))/hosts", "\(paths.run(run.id))/resolv.conf")
            do {
                try HostFile.replace(hosts, with: place.hosts, mode: 0o644, durable: false)
                try HostFile.replace(resolver, with: place.resolver, mode: 0o644, durable: false)
            } catch { throw .sandbox("\(error)") }
        case .host:
            // The host's own files are right where they are.
            if run.container.root == .host { return }
            if HostFile.exists("/etc/resolv.conf") { resolver = HostFile.real("/etc/resolv.conf") }
        case .none:
            if run.container.root == .host { return }
        }
        try spec.addBind(try .own(hosts), "/etc/hosts", [.readOnly])
        try spec.addBind(try .own(resolver), "/etc/resolv.conf", [.readOnly])
    }

    /// /etc/hostname, which is the container's as its name is.
    private func addHostName(_ run: RunRequest, _ spec: inout LaunchSpec) throws(EngineError) {
        // In the host's root file system the host's file is right where it is.
        guard run.container.root != .host else { return }
        let path = "\(paths.run(run.id))/hostname"
        let isHosts = run.container.tuning?.value.hostName == true
        do {
            let name = isHosts ? try HostFile.text("/proc/sys/kernel/hostname").filter { !$0.isNewline } : NativeEngine.hostName(run)
            try HostFile.replace(path, with: "\(name)\n", mode: 0o644, durable: false)
        } catch { throw .sandbox("\(error)") }
        try spec.addBind(try .own(path), "/etc/hostname", [.readOnly])
    }

    private func addRoot(
        _ container: ContainerSpec, _ image: Image?, _ spec: inout LaunchSpec, _ note: inout RunNote, _ mounts: [MountTable], _ writable: WritableDirectories
    ) throws(EngineError) {
        switch container.root {
        case .image:
            guard let image else { throw .image("the image is not in the store; 'berth up' brings it in") }
            try spec.add(.layersDirectory, image.directory)
            for layer in image.layers { try spec.add(.lower, layer) }
        case .directory(let path):
            let place = try HostPlace.open(path, writable: writable)
            guard place.isDirectory else { throw .sandbox("the root file system \(path) is not a directory") }
            let own = try ownFiles.visible(from: place, recursive: false, mounts)
            guard own.isEmpty else { throw .sandbox("the root file system \(path) holds Berth's own files (\(own[0])): refused") }
            try spec.addRoot(place)
        case .host:
            let root = try HostPlace.own("/")
            try spec.addRoot(root)
            // Other runs' files and the history are no container's business, even where the host's files are its root.
            for path in try ownFiles.visible(from: root, recursive: false, mounts) { try spec.add(.hide, path) }
            for disk in MountTable.hostDisks(mounts) {
                // A disk of Berth's own is left out: what is its place shows nothing.
                guard let place = try? HostPlace.own(disk), place.isDirectory, let own = try? ownFiles.visible(from: place, recursive: false, mounts) else {
                    continue
                }
                try checkCovers(own, container, "the host's disk at \(disk)")
                if container.canRemount {
                    shared.note([disk])
                    note.writable += WritablePlace.places(place, mounts)
                }
                try spec.addBind(place, disk, [.readOnly, .optional], hidden: own)
            }
            // Sockets and secrets of the host's own services are in /run; nothing of it is for a container.
            try spec.addTemporary("/run", size: nil, mode: 0o755)
        }
    }

    private func addMounts(
        _ mounted: [VolumeMount], _ run: RunRequest, _ spec: inout LaunchSpec, _ note: inout RunNote, _ mounts: [MountTable], _ writable: WritableDirectories
    ) throws(EngineError) {
        let disk = FileIdentity(path: paths.state)?.device
        let container = run.container
        // Parents before children, whatever the recipe's order: a longer path cannot be the parent of a shorter one.
        var temporaries = container.temporaryFileSystems.sorted { $0.target.count < $1.target.count }[...]
        func addTemporaries(_ spec: inout LaunchSpec, shorterThan length: Int) throws(EngineError) {
            while let next = temporaries.first, next.target.count < length {
                var flags = NativeEngine.named(next.target, container)
                if next.isExecutable != true { flags.insert(.noPrograms) }
                if next.isReadOnly == true { flags.insert(.readOnly) }
                let options = [next.owner.map { "uid=\($0)" }, next.group.map { "gid=\($0)" }, next.mostFiles.map { "nr_inodes=\($0)" }].compactMap { $0 }
                try spec.addTemporary(next.target, size: next.sizeBytes, mode: next.mode, options: options.joined(separator: ","), flags)
                temporaries.removeFirst()
            }
        }
        for mount in mounted.sorted(by: { $0.target.count < $1.target.count }) {
            try addTemporaries(&spec, shorterThan: mount.target.count)
            var flags = NativeEngine.named(mount.target, container)
            if mount.readOnly { flags.insert(.readOnly) }
            switch mount.source {
            case .volume, .shared, .anonymous:
                guard let path = path(of: mount, run) else { continue }
                if case .shared(let name, isExternal: true) = mount.source, !HostFile.exists(path) { throw .sandbox("there is no volume '\(name)'") }
                do {
                    if case .shared = mount.source { try HostFile.makeDirectories("\(paths.volumes)/~shared") }
                    try HostFile.makeDirectories("\(paths.volumes)/\(run.workload.project)")
                    try HostFile.makeDirectory(path, mode: 0o755)
                } catch { throw .sandbox("\(error)") }
                if !mount.readOnly || container.canRemount {
                    if !mount.readOnly, HostFile.isEmptyDirectory(path) {
                        flags.insert(.fresh)
                        note.empty.append(path)
                    }
                    note.paths.append(path)
                }
                if let subpath = mount.subpath {
                    flags.remove(.fresh)
                    try spec.addBind(try part(subpath, of: path), mount.target, flags)
                } else {
                    try spec.addBind(try .own(path), mount.target, flags)
                }
            case .bind(let path):
                try makeSource(mount, path, writable)
                let place = try HostPlace.open(path, writable: writable)
                if place.isDirectory { flags.insert(.recursive) }
                if !mount.readOnly || container.canRemount {
                    note.writable += WritablePlace.places(place, mounts)
                    // Only what is on the state disk can fill it.
                    if place.identity.device == disk { note.paths.append(place.name) }
                }
                try spec.addBind(place, mount.target, flags, hidden: try check(place, container, mounts))
            }
        }
        try addTemporaries(&spec, shorterThan: .max)
    }

    /// The most bytes of a secret or config.
    private static let mostFileBytes = 1 << 20

    /// A secret's or config's file of the host, read without following what a container put in the way.
    ///
    /// - Throws: ``EngineError/sandbox(_:)`` when there is none, or it is no file or too large
    func content(of path: String, _ writable: WritableDirectories) throws(EngineError) -> [UInt8] {
        let place = try HostPlace.open(path, writable: writable)
        var info = stat()
        guard fstat(place.descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { throw .sandbox("\(path) is not a file: a secret or config is one") }
        let descriptor = Glibc.open("/proc/self/fd/\(place.descriptor)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .sandbox("\(path) cannot be read: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        do { return try HostFile.read(descriptor, path, limit: NativeEngine.mostFileBytes) } catch { throw .sandbox("\(error)") }
    }

    /// A copy of it in the run's directory, which is in memory and goes with the run.
    private func addFile(
        _ file: GivenFile, _ number: Int, _ run: RunRequest, _ writable: WritableDirectories, _ spec: inout LaunchSpec
    ) throws(EngineError) {
        let bytes: [UInt8]
        switch file.source {
        case .text(let value): bytes = Array(value.revealed.utf8)
        case .file(let path): bytes = try content(of: path, writable)
        }
        let copy = "\(paths.run(run.id))/given.\(number)"
        let descriptor = Glibc.open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .sandbox("cannot make \(copy): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            guard written > 0 || errno == EINTR else { throw .sandbox("cannot write \(copy): \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(max(0, written))
        }
        // Whatever the daemon's own mask is.
        guard fchown(descriptor, file.uid, file.gid) == 0, fchmod(descriptor, file.mode) == 0 else {
            throw .sandbox("cannot give \(copy) its owner and mode: \(String(cString: strerror(errno)))")
        }
        try spec.addBind(try .own(copy), file.target, [.readOnly])
    }

    private static func named(_ target: String, _ container: ContainerSpec) -> LaunchSpec.MountFlags {
        DevicePlaces.contains(target, privileged: container.privileged) ? [.named] : []
    }

    /// What a bind may not show, relative to it.
    ///
    /// - Throws: when it may not be mounted at all
    func check(_ place: HostPlace, _ container: ContainerSpec, _ mounts: [MountTable]) throws(EngineError) -> [String] {
        if place.identity == FileIdentity(path: "/"), !container.privileged {
            throw .sandbox(
                "the mount of / would bring the kernel's own files of the host: mount the directories that are needed, or say 'privileged: true'")
        }
        // A place that autofs mounted when it was opened is not in the table that was read before.
        let id = place.mountID
        let mounts = mounts.contains { $0.id == id } ? mounts : MountTable.read()
        // What lies above them may be seen; in their place the container finds an empty directory.
        let hidden = try ownFiles.visible(from: place, recursive: place.isDirectory, mounts)
        try checkCovers(hidden, container, "the mount of \(place.path)")
        return hidden
    }

    /// Refuses a mount whose covers over Berth's own files the container could unmount. A privileged container has the host's disks
    /// anyway.
    private func checkCovers(_ hidden: [String], _ container: ContainerSpec, _ what: String) throws(EngineError) {
        guard let first = hidden.first, !container.privileged, container.capabilities.contains(.sysAdmin) else { return }
        throw .sandbox(
            "\(what) holds Berth's own files (\(first)), and a container with cap_add SYS_ADMIN could uncover them: refused; mount the directories that are needed"
        )
    }
}

extension ContainerSpec {
    /// Directories and files of the host that the container can write to.
    var writableDirectories: [String] {
        mounts.compactMap { mount in
            if case .bind(let path) = mount.source, !mount.readOnly || canRemount { path } else { nil }
        }
    }

    /// Whether the container can make a read-only mount of its own writable.
    var canRemount: Bool { privileged || capabilities.contains(.sysAdmin) }

    /// Whether the recipe names a path of the host.
    var namesHostPaths: Bool {
        if case .directory = root { return true }
        return mounts.contains { if case .bind = $0.source { true } else { false } }
            || files?.value.contains { if case .file = $0.source { true } else { false } } == true
    }

    /// Whether the container sees files of the host.
    var namesHostFiles: Bool { root == .host || namesHostPaths }
}
