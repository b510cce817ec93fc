internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Schedules
internal import Synchronization
internal import WorkloadModel

/// What nothing needs any more. It stays for a while: a project that is taken down and brought up again is not to wait for its registry, which may
/// not answer.
extension ImageStore {
    /// Removes images that nothing wants and no run needs, unless an image is being brought in.
    ///
    /// - Parameter wanted: asked again for each image; `nil` when it is not known now
    /// - Returns: what was removed, ascending by name
    func remove(_ which: ImageRemoval, except wanted: @escaping @Sendable () async -> Set<ImageSource>?) async -> [StoredImageStatus] {
        // Once begun it is not called off: half of an image would be left.
        let task = Task { try await removals.run(ImageStore.line) { [self] in await removeUnwanted(which, wanted) } }
        return (try? await task.value) ?? []
    }

    private func removeUnwanted(_ which: ImageRemoval, _ wanted: @Sendable () async -> Set<ImageSource>?) async -> [StoredImageStatus] {
        var removed: [StoredImageStatus] = []
        let all = (try? list()) ?? []
        for image in (try? storedImages()) ?? [] {
            guard await isUnwanted(image, wanted), !holds.withLock({ $0.isHeld(image.id) }) else {
                unlink(sincePath(image.id))
                continue
            }
            guard isToGo(image.id, which), holds.withLock({ $0.beginRemoval(of: image.id) }) else { continue }
            // From here on it is neither brought in nor launched from: it may have been wanted meanwhile.
            if await isUnwanted(image, wanted), await remove(image) { removed += all.filter { $0.digest == image.id } }
            holds.withLock { $0.endRemoval(of: image.id) }
        }
        return removed
    }

    private func isUnwanted(_ image: StoredImage, _ wanted: @Sendable () async -> Set<ImageSource>?) async -> Bool {
        guard let wanted = await wanted() else { return false }
        let names = wanted.filter { $0.digest == nil }.map(ImageStore.name)
        return !wanted.contains { $0.digest == image.id } && Set(names).isDisjoint(with: image.names ?? [])
    }

    /// Since when nothing needs an image.
    private func sincePath(_ id: String) -> String { "\(directory)/unneeded/\(id)" }

    /// Of an image that nothing needs.
    private func isToGo(_ id: String, _ which: ImageRemoval) -> Bool {
        switch which {
        case .unneeded: return true
        case .digest(let digest): return digest == id
        case .outdated: break
        }
        let now = WallClock.now()
        let since = (try? HostFile.text(sincePath(id))).flatMap { Int64($0) }.map { Timestamp(seconds: $0) }
        if keep == .zero || disk.isShort { return true }
        guard let since, since <= now else {
            // Where that cannot be written it stays.
            try? HostFile.makeDirectories("\(directory)/unneeded")
            try? HostFile.replace(sincePath(id), with: String(now.milliseconds / 1000))
            outdated.withLock { _ = $0.remove(id) }
            return false
        }
        // Two looks, not one: a clock that is ahead for a moment forgets nothing.
        return outdated.withLock { outdated in
            guard now - since >= keep else {
                outdated.remove(id)
                return false
            }
            return !outdated.insert(id).inserted
        }
    }

    private func remove(_ image: StoredImage) async -> Bool {
        known.withLock { known in known = known.filter { $0.value.id != image.id } }
        do {
            _ = try await skopeo(["delete", "\(storage)\(image.id)"], "the image \(image.id.prefix(12)) cannot be removed")
            HostFile.removeFlat("\(directory)/berth-layers/\(image.id)")
            unlink(sincePath(image.id))
            log.info("an image that nothing needs was removed", metadata: ["image": "\(image.id)"])
            return true
        } catch {
            log.warning("an image that nothing needs stays", metadata: ["image": "\(image.id)", "error": "\(error)"])
            return false
        }
    }
}
