internal import ControlAPI
public import EngineAPI
internal import Supervision
internal import WorkloadModel

/// Images as people ask for them.
extension RecipeService {
    /// The images that are there, with the services and jobs that need them.
    func images() async throws(ErrorInfo) -> [(image: StoredImageStatus, users: [WorkloadID])] {
        var users: [String: [WorkloadID]] = [:]
        for (id, _) in await supervisor.workloads {
            guard let digest = await supervisor.workload(id)?.container.image?.digest else { continue }
            users[digest, default: []].append(id)
        }
        do throws(EngineError) { return try await engine.imageList().map { ($0, users[$0.digest] ?? []) } } catch { throw ErrorInfo(error: "\(error)") }
    }

    /// Removes images that no recipe in force and no run needs, once that was allowed.
    ///
    /// - Returns: what was removed
    @discardableResult
    public func removeImages(_ which: ImageRemoval) async -> [StoredImageStatus] {
        guard mayRemoveImages else { return [] }
        return await engine.removeImages(which) { [supervisor] in await supervisor.containers }
    }

    /// Removes an image that somebody names, or all that nothing needs.
    ///
    /// - Parameter name: what it was brought in as, or the beginning of its digest; `nil` is all
    /// - Throws: ``ControlAPI/ErrorInfo`` when something needs it, or it is not there
    func removeImages(named name: String?) async throws(ErrorInfo) -> [String] {
        guard mayRemoveImages, await supervisor.containers != nil else {
            throw RecipeService.needsAreUnknown
        }
        guard let name else { return await removeImages(.unneeded).map(RecipeService.shown) }
        let wanted = try await image(named: name)
        guard wanted.users.isEmpty else {
            throw ErrorInfo(error: "\(name) is the image of \(wanted.users.map(\.description).sorted().joined(separator: ", ")): it stays")
        }
        let removed = await removeImages(.digest(wanted.image.digest)).map(RecipeService.shown)
        guard !removed.isEmpty else {
            throw ErrorInfo(error: "\(name) stays: a run needs it, or an image is being brought in, or it could not be removed, which the daemon's log says")
        }
        return removed
    }

    private func image(named name: String) async throws(ErrorInfo) -> (image: StoredImageStatus, users: [WorkloadID]) {
        let all = try await images()
        let full = (try? ImageSource.registry(name).description) ?? name
        let named = all.filter { $0.image.names.contains(name) || $0.image.names.contains(full) }
        if let only = named.first { return only }
        let digest = name.hasPrefix("sha256:") ? String(name.dropFirst(7)) : name
        let found = digest.count >= 4 ? all.filter { $0.image.digest.hasPrefix(digest) } : []
        guard let only = found.first else { throw ErrorInfo(error: "there is no image '\(name)': 'berth images' lists them") }
        guard found.count == 1 else { throw ErrorInfo(error: "'\(name)' is the beginning of \(found.count) images' digests: give more of it") }
        return only
    }

    private static func shown(_ image: StoredImageStatus) -> String {
        image.names.isEmpty ? String(image.digest.prefix(12)) : image.names.joined(separator: " ")
    }

    /// Brings the images of a recipe in, and changes nothing else.
    ///
    /// - Returns: their names
    /// - Throws: ``ControlAPI/ErrorInfo`` with all that could not be brought in
    func pull(_ recipe: Recipe, _ pull: PullPolicy?, progress: @escaping @Sendable (String) -> Void) async throws(ErrorInfo) -> [String] {
        var failures: [String] = []
        var names: Set<String> = []
        // A policy of never stays one: such an image is not in a registry.
        let wanted = recipe.workloads.filter { workload in
            workload.container.image.map { pull != nil || recipe.pullPolicies[$0.description] != .never } ?? false
        }
        let digests = await prepare(wanted, of: recipe, pull: pull ?? .always, progress: progress)
        for (workload, result) in digests {
            switch result {
            case .success(let digest):
                if let digest { engine.release([digest]) }
                if let image = workload.container.image { names.insert(image.description) }
            case .failure(let error): failures.append("\(workload.id): \(error)")
            }
        }
        guard failures.isEmpty else { throw ErrorInfo(error: Set(failures).sorted().joined(separator: "\n")) }
        return names.sorted()
    }
}
