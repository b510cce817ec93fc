internal import CLinux
internal import EngineAPI
internal import Foundation
internal import Glibc
internal import HostOS
internal import Logging
internal import WorkloadModel

/// Volumes: what a run mounts of them, and what they begin with.
extension NativeEngine {
    /// The recipe's mounts, and of a service those that its image asks for: their content is to outlive the container. A job's container begins
    /// anew each time, and the image's own files are there without a volume.
    func mounts(of run: RunRequest, _ image: Image?) -> [VolumeMount] {
        let container = run.container
        guard run.kind == .service, let volumes = image?.configuration.volumes, !volumes.isEmpty else { return container.mounts }
        let taken = Set(container.mounts.map(\.target) + container.temporaryFileSystems.map(\.target))
        // Images of whole systems name places of the sandbox, such as /sys/fs/cgroup.
        func isSandboxes(_ path: String) -> Bool { ["/proc", "/sys", "/dev"].contains { path == $0 || path.hasPrefix($0 + "/") } }
        let wanted = volumes.filter { !taken.contains($0) && !isSandboxes($0) }
        return container.mounts + wanted.map { VolumeMount(source: .anonymous, target: $0, readOnly: false) }
    }

    /// Where a volume of a run is; `nil` for what is no volume.
    func path(of mount: VolumeMount, _ run: RunRequest) -> String? {
        switch mount.source {
        case .volume(let name): paths.volume(name, of: run.workload.project)
        case .shared(let name, _): sharedVolume(name)
        case .anonymous: paths.anonymousVolume(run.instance, at: mount.target)
        case .bind: nil
        }
    }

    /// Where a volume with a name of its own is. As in Compose, `shop_data` is also the volume `data` of the project `shop`.
    func sharedVolume(_ name: String) -> String {
        let own = paths.sharedVolume(name)
        if HostFile.exists(own) { return own }
        for index in name.indices where name[index] == "_" {
            guard let project = try? ProjectName(String(name[..<index])), let volume = try? WorkloadName(String(name[name.index(after: index)...])) else {
                continue
            }
            let path = paths.volume(volume.description, of: project)
            if HostFile.exists(path) { return path }
        }
        return own
    }

    /// A part of a volume, opened without following what a container put there.
    ///
    /// - Throws: ``EngineError/sandbox(_:)`` when it is not there
    func part(_ subpath: String, of volume: String) throws(EngineError) -> HostPlace {
        var place = try HostPlace.own(volume)
        for part in subpath.split(separator: "/") {
            let descriptor = clinux_open_place(place.descriptor, String(part), O_NOFOLLOW)
            guard descriptor >= 0 else {
                throw .sandbox("the volume has no '\(subpath)' to be mounted: \(String(cString: strerror(errno)))")
            }
            place = try HostPlace(descriptor: descriptor, path: "\(volume)/\(subpath)")
        }
        var info = stat()
        guard fstat(place.descriptor, &info) == 0, [S_IFDIR, S_IFREG].contains(info.st_mode & S_IFMT) else {
            throw .sandbox("'\(subpath)' of the volume is neither a directory nor a file: refused")
        }
        return place
    }

    /// Copies into volumes that are empty what the image has at their places.
    ///
    /// - Throws: ``EngineError/sandbox(_:)``; then the volume is as it was
    func seedVolumes(_ run: RunRequest, _ image: Image?) async throws(EngineError) {
        guard let image else { return }
        for mount in mounts(of: run, image) where mount.copiesImage && mount.subpath == nil {
            guard let path = path(of: mount, run), isToBeSeeded(path) else { continue }
            let result: Result<Void, EngineError>
            do {
                // Two containers that begin to use it together: the second finds what the first has copied.
                result = try await seeds.run(path) { [self] in
                    guard isToBeSeeded(path) else { return .success(()) }
                    return await seed(path, mount.target, image)
                }
            } catch { throw .sandbox("it was called off") }
            try result.get()
        }
    }

    /// One that is not there, or is empty, or that an earlier copy was not wholly moved into (`seed.c`).
    private func isToBeSeeded(_ path: String) -> Bool {
        let url = URL(fileURLWithPath: path)
        return !HostFile.exists(path) || HostFile.isEmptyDirectory(path)
            || HostFile.exists("\(url.deletingLastPathComponent().path)/~seed~\(url.lastPathComponent)")
    }

    private func seed(_ path: String, _ target: String, _ image: Image) async -> Result<Void, EngineError> {
        let pipe = Pipe()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: paths.shim)
        process.arguments = ["seed", path, target, image.directory] + image.layers
        process.standardError = pipe
        return await withCheckedContinuation { continuation in
            copies.addOperation {
                do {
                    try HostFile.makeDirectories(URL(fileURLWithPath: path).deletingLastPathComponent().path)
                    try process.run()
                    let words = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self).filter { !$0.isNewline }
                    process.waitUntilExit()
                    guard process.terminationStatus == 0 else {
                        throw EngineError.sandbox("the volume at \(target) cannot get what the image has there: \(words)")
                    }
                    continuation.resume(returning: .success(()))
                } catch { continuation.resume(returning: .failure(error as? EngineError ?? .sandbox("\(error)"))) }
            }
        }
    }

    /// Makes what a bind names of the host and is not there, as Docker does: a directory of root's.
    ///
    /// - Throws: ``EngineError/sandbox(_:)`` when it cannot be made
    func makeSource(_ mount: VolumeMount, _ path: String, _ writable: WritableDirectories) throws(EngineError) {
        var info = stat()
        guard mount.makesSource, lstat(path, &info) != 0, errno == ENOENT else { return }
        var missing: [String] = []
        var parent = path[...]
        // The first part of it that is there is opened as any other source, so that no link leads elsewhere.
        while lstat(String(parent), &info) != 0, parent != "/" {
            let slash = parent.lastIndex(of: "/") ?? parent.startIndex
            missing.append(String(parent[parent.index(after: slash)...]))
            parent = slash == parent.startIndex ? "/" : parent[..<slash]
        }
        let place = try HostPlace.open(String(parent), writable: writable)
        var directory = fcntl(place.descriptor, F_DUPFD_CLOEXEC, 3)
        defer { if directory >= 0 { close(directory) } }
        for name in missing.reversed() {
            guard mkdirat(directory, name, 0o755) == 0 || errno == EEXIST else {
                throw .sandbox("the mount's source \(path) is not there, and cannot be made: \(String(cString: strerror(errno)))")
            }
            let next = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            close(directory)
            directory = next
            guard next >= 0 else { throw .sandbox("the mount's source \(path) cannot be made: \(String(cString: strerror(errno)))") }
            // Whatever the daemon's own mask is.
            fchmod(next, 0o755)
        }
        log.info("made a directory that a mount names", metadata: ["path": "\(path)"])
    }
}
