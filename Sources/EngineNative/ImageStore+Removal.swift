internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Schedules
internal import Synchronization
internal import WorkloadModel

/// How long nothing has needed each image, while a daemon was there to see it: no setting of the clock makes it longer.
struct UnneededImages: Sendable {
    /// By the image's digest.
    private(set) var times: [String: Duration] = [:]
    private var written: [String: Duration] = [:]
    private var lastLook: ContinuousClock.Instant?

    /// Begins a look.
    ///
    /// - Returns: how long ago the last one was
    mutating func look(at now: ContinuousClock.Instant) -> Duration {
        defer { lastLook = now }
        return lastLook.map { now - $0 } ?? .zero
    }

    /// - Parameters:
    ///   - stored: what an earlier daemon wrote down
    ///   - passed: since the last look
    /// - Returns: what is to be written down now, if anything
    mutating func note(_ image: String, stored: @autoclosure () -> Duration?, passed: Duration) -> Duration? {
        guard let known = times[image] else {
            let before = stored()
            times[image] = before ?? .zero
            written[image] = before
            return before == nil ? .zero : nil
        }
        let time = known + passed
        times[image] = time
        // Rarely: a daemon that ends forgets an hour.
        guard time - (written[image] ?? .zero) >= .seconds(3600) else { return nil }
        written[image] = time
        return time
    }

    /// Something needs it.
    ///
    /// - Returns: whether that is new
    mutating func forget(_ image: String) -> Bool {
        written[image] = nil
        return times.removeValue(forKey: image) != nil
    }
}

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
        // Read once something goes: this is looked at each minute.
        var all: [StoredImageStatus]?
        let passed = unneeded.withLock { $0.look(at: .now) }
        for image in (try? storedImages()) ?? [] {
            // What is not known is no need, and no end of one.
            guard let isWanted = await isWanted(image, wanted) else { continue }
            if isWanted || holds.withLock({ $0.isHeld(image.id) }) {
                if unneeded.withLock({ $0.forget(image.id) }) || isWanted { unlink(timePath(image.id)) }
                continue
            }
            guard isToGo(image.id, which, passed), holds.withLock({ $0.beginRemoval(of: image.id) }) else { continue }
            if all == nil { all = try? list() }
            // From here on it is neither brought in nor launched from: it may have been wanted meanwhile.
            if await self.isWanted(image, wanted) == false, await remove(image) { removed += (all ?? []).filter { $0.digest == image.id } }
            holds.withLock { $0.endRemoval(of: image.id) }
        }
        return removed
    }

    /// `nil` when it is not known.
    private func isWanted(_ image: StoredImage, _ wanted: @Sendable () async -> Set<ImageSource>?) async -> Bool? {
        guard let wanted = await wanted() else { return nil }
        let names = wanted.filter { $0.digest == nil }.map(ImageStore.name)
        return wanted.contains { $0.digest == image.id } || !Set(names).isDisjoint(with: image.names ?? [])
    }

    /// For how long nothing has needed an image, in seconds.
    private func timePath(_ id: String) -> String { "\(directory)/unneeded/\(id)" }

    /// Of an image that nothing needs.
    ///
    /// - Parameter passed: since the last look
    private func isToGo(_ id: String, _ which: ImageRemoval, _ passed: Duration) -> Bool {
        let (write, time) = unneeded.withLock { unneeded in
            let write = unneeded.note(id, stored: (try? HostFile.text(timePath(id))).flatMap { Int64($0) }.map { .seconds($0) }, passed: passed)
            return (write, unneeded.times[id] ?? .zero)
        }
        if let write {
            try? HostFile.makeDirectories("\(directory)/unneeded")
            try? HostFile.replace(timePath(id), with: String(write.components.seconds))
        }
        return switch which {
        case .unneeded: true
        case .digest(let digest): digest == id
        case .outdated: time >= keep || disk.isShort
        }
    }

    private func remove(_ image: StoredImage) async -> Bool {
        known.withLock { known in known = known.filter { $0.value.id != image.id } }
        do {
            _ = try await skopeo(["delete", "\(storage)\(image.id)"], "the image \(image.id.prefix(12)) cannot be removed")
            HostFile.removeFlat("\(directory)/berth-layers/\(image.id)")
            _ = unneeded.withLock { $0.forget(image.id) }
            unlink(timePath(image.id))
            log.info("an image that nothing needs was removed", metadata: ["image": "\(image.id)"])
            return true
        } catch {
            log.warning("an image that nothing needs stays", metadata: ["image": "\(image.id)", "error": "\(error)"])
            return false
        }
    }
}
