public import EngineAPI
internal import Foundation
internal import Glibc
internal import HostOS
internal import Logging
internal import Schedules
internal import Synchronization
public import WorkloadModel

/// The volumes that are there: directories of the state directory, by project.
extension NativeEngine {
    static let shared = "~shared"

    /// The volumes, with what they take; of very large ones that is not known.
    public func volumes() async -> [StoredVolume] {
        await withCheckedContinuation { continuation in
            copies.addOperation { [self] in continuation.resume(returning: list()) }
        }
    }

    private func list() -> [StoredVolume] {
        let deadline = ContinuousClock.now + .seconds(10)
        var found: [StoredVolume] = []
        for folder in HostFile.names(in: paths.volumes) {
            let project = try? ProjectName(folder)
            guard project != nil || folder == NativeEngine.shared else { continue }
            for name in HostFile.names(in: "\(paths.volumes)/\(folder)") {
                // What is being filled, or removed, is no volume.
                guard !HiddenVolume.isOne(name) else { continue }
                let path = "\(paths.volumes)/\(folder)/\(name)"
                guard let identity = FileIdentity(path: path), HostFile.isDirectory(path) else { continue }
                let tree = DiskUse.tree(path, identity.device, most: 500_000, until: deadline)
                found.append(
                    StoredVolume(
                        id: project == nil ? name : "\(folder)/\(name)", project: project, isAnonymous: name.hasPrefix("~"),
                        bytes: tree.isWhole ? tree.amount.bytes : nil))
            }
        }
        return found.sorted { $0.id < $1.id }
    }

    /// The ids of the volumes of a service or job; those of a service's image among them, as far as it is there.
    public func volumes(of workload: Workload) -> Set<String> {
        var mounts = workload.container.mounts
        if workload.jobPolicy == nil, let image = workload.container.image {
            for target in (try? images.image(image).configuration.volumes) ?? [] {
                mounts.append(VolumeMount(source: .anonymous, target: target, readOnly: false))
            }
        }
        return Set(
            mounts.compactMap { mount in
                switch mount.source {
                case .volume(let name): id(of: paths.volume(name, of: workload.id.project))
                case .shared(let name, _): id(of: sharedVolume(name))
                case .anonymous: id(of: paths.anonymousVolume(InstanceID(workload.id), at: mount.target))
                case .bind: nil
                }
            })
    }

    func id(of path: String) -> String {
        let relative = String(path.dropFirst(paths.volumes.count + 1))
        return relative.hasPrefix("\(NativeEngine.shared)/") ? String(relative.dropFirst(NativeEngine.shared.count + 1)) : relative
    }

    /// Removes a volume: it is out of the way at once, and its files go after that.
    ///
    /// - Throws: ``EngineError/sandbox(_:)``
    public func removeVolume(_ id: String) async throws(EngineError) {
        let (folder, name) = try volumePath(id)
        try beginWork(onVolume: id)
        defer { endWork(onVolume: id) }
        let gone = "\(folder)/\(HiddenVolume.gone)\(name)-\(WallClock.now().milliseconds)"
        try volumeUses.withLock { uses throws(EngineError) in
            try NativeEngine.checkIsFree(id, uses)
            guard rename("\(folder)/\(name)", gone) == 0 else { throw .sandbox("the volume \(id) cannot be removed: \(String(cString: strerror(errno)))") }
        }
        log.notice("a volume was removed", metadata: ["volume": "\(id)"])
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            cleanups.addOperation { [self] in
                removeTree(gone)
                // The project's own folder, when this was its last.
                if folder != "\(paths.volumes)/\(NativeEngine.shared)" { rmdir(folder) }
                continuation.resume()
            }
        }
    }

    /// Removes what an earlier daemon had begun to remove.
    func removeGoneVolumes() {
        for folder in HostFile.names(in: paths.volumes) {
            for name in HostFile.names(in: "\(paths.volumes)/\(folder)") where name.hasPrefix(HiddenVolume.gone) {
                cleanups.addOperation { [self] in removeTree("\(paths.volumes)/\(folder)/\(name)") }
            }
        }
    }
}
