internal import CLinux
public import ControlAPI
public import EngineAPI
internal import FoundationEssentials
public import HistoryStore
public import Scheduling
public import RecipeFile
internal import Schedules
public import Supervision
internal import Synchronization
public import HostOS
public import WorkloadModel

/// Reads recipes, makes what they need ready, and hands them to the supervisor whole or not at all.
public struct RecipeService: Sendable {
    let supervisor: Supervisor
    let engine: any ContainerEngine
    let zones: SystemZones
    let limits: RecipeLimits
    private let reading: ReadingGuard
    /// What `${VAR}` may name in files that the daemon reads by itself, beside the `.env` there.
    private let variables: [String: String]
    private let work = WorkQueue(most: 64)
    /// Two recipes of one project take effect in the order in which they came, however long the images of the first take.
    private let turns = Turns<ProjectName>()
    private let progress = Progress()

    /// A service that has read nothing yet.
    ///
    /// - Parameters:
    ///   - zones: the tz database that schedules are read with
    ///   - limits: how large and how deep a recipe may be
    ///   - reading: keeps a recipe that ended the daemon from being read again
    ///   - variables: what `${VAR}` may name in files that the daemon reads by itself; they go before the `.env` there
    public init(
        supervisor: Supervisor, engine: any ContainerEngine, zones: SystemZones, limits: RecipeLimits = RecipeLimits(), reading: ReadingGuard,
        variables: [String: String] = [:]
    ) {
        self.supervisor = supervisor
        self.engine = engine
        self.zones = zones
        self.limits = limits
        self.reading = reading
        self.variables = variables
    }

    /// Reads a recipe that carries all it needs, away from the supervisor's loop.
    ///
    /// - Throws: ``ControlAPI/ErrorInfo`` with every diagnostic
    func read(_ source: RecipeSource) async throws -> Recipe {
        try await work.run { [self] in
            try reading.read("a recipe that was sent (\(StableHash(source.text).value))", stamp: "") {
                try read(source, inForce: false) { [zones] in try zones.zone($0) }
            }
        }
    }

    private func read(_ source: RecipeSource, inForce: Bool, zone: @escaping (String) throws -> Zone) throws(ErrorInfo) -> Recipe {
        var inputs = RecipeInputs(of: source, zone: zone, hostZone: zones.local(), limits: limits)
        inputs.acceptsUnavailableZones = inForce
        let result = RecipeReader.read(source, inputs)
        guard let recipe = result.recipe else { throw RecipeService.failure(result, source) }
        return recipe
    }

    /// Reads a recipe from a file of this host, with the `.env` beside it. All of these must be root's (``HostOS/TrustedFile``).
    ///
    /// - Throws: ``ControlAPI/ErrorInfo``
    public func load(path: String) async throws -> (RecipeSource, Recipe) {
        try await work.run { [self] in
            let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
            return try reading.read(absolute, stamp: HostFile.stamp(absolute) ?? "") { try load(absolute) }
        }
    }

    private func load(_ path: String) throws -> (RecipeSource, Recipe) {
        func text(_ path: String, _ limit: Int) throws(TrustedFile.Refusal) -> String {
            String(decoding: try TrustedFile.read(path, limit: limit), as: UTF8.self)
        }
        let base = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let source: RecipeSource
        var found = EnvironmentFile.Content()
        do throws(TrustedFile.Refusal) {
            source = RecipeSource(file: path, baseDirectory: base, text: try text(path, limits.bytes))
            do throws(TrustedFile.Refusal) { found = EnvironmentFile.parse(try text(base + "/.env", 1 << 20), environment: variables) } catch {
                guard error.isMissing else { throw error }
            }
        } catch { throw ErrorInfo(error: "\(error)") }
        if let problem = found.problems.first { throw ErrorInfo(error: "line \(problem.line) of \(base)/.env: \(problem.message)") }
        var known = found.values
        known.merge(variables) { _, own in own }
        let inputs = RecipeInputs(
            variables: known, readFile: { try text($0, RecipeInputs.mostFileBytes) }, zone: { [zones] in try zones.zone($0) }, hostZone: zones.local(),
            limits: limits)
        let result = RecipeReader.read(source, inputs)
        guard let recipe = result.recipe else { throw RecipeService.failure(result, source) }
        return (result.captured, recipe)
    }

    private static func failure(_ result: RecipeReader.Result, _ source: RecipeSource) -> ErrorInfo {
        let errors = result.diagnostics.filter { $0.severity == .error }.count
        let text = result.rendered(file: source.file)
        return ErrorInfo(
            error: "\(errors) error\(errors == 1 ? "" : "s") in \(PlainText.shown(source.file)); nothing was changed", diagnostics: text,
            problems: result.diagnostics.map {
                ProblemInfo(file: result.file(of: $0), line: $0.place.line, column: $0.place.column, severity: $0.severity.rawValue, message: $0.message)
            })
    }

    /// What the recipe would change, with its images as they are now.
    ///
    /// - Throws: ``ControlAPI/ErrorInfo``
    ///
    /// - Parameter pull: when images of registries are brought in, in place of what the recipe says; `nil` is as it says
    public func plan(_ recipe: Recipe, pull: PullPolicy? = nil) async throws(ErrorInfo) -> RecipePlan {
        var digests: [String: String] = [:]
        for workload in recipe.workloads {
            guard let image = workload.container.image, digests[image.description] == nil else { continue }
            do {
                digests[image.description] = try await engine.imageDigest(
                    of: workload.container, pull: pull ?? recipe.pullPolicies[image.description] ?? .missing)
            } catch {
                throw ErrorInfo(error: "\(workload.id): \(error)")
            }
        }
        do { try await engine.networks?.check(recipe) } catch { throw ErrorInfo(error: "\(error)") }
        return await supervisor.plan(recipe.with(images: digests))
    }

    /// Makes a recipe true, after those of the same project that came earlier. Images come first: a recipe whose image cannot be had
    /// changes nothing, and neither does one that is called off before it was decided, or whose project was taken down meanwhile.
    ///
    /// - Returns: what it changed
    @discardableResult
    public func apply(
        _ source: RecipeSource, _ recipe: Recipe, explicit: Bool, actor: String, pull: PullPolicy? = nil, progress: @escaping @Sendable (String) -> Void
    ) async throws(ErrorInfo) -> RecipePlan {
        let project = recipe.project
        let removals = self.progress.removals(of: project)
        try await checkHistory()
        do {
            return try await turns.run(project, waits: { progress("waiting: another recipe of the project '\(project)' is being applied") }) { [self] in
                var images: [String] = []
                defer { engine.release(images) }
                var digests: [String: String] = [:]
                let prepared = await prepare(recipe.workloads, of: recipe, pull: pull, progress: progress)
                for (workload, result) in prepared {
                    // Those that came are let go of again, too, when another one cannot be had.
                    if case .success(let digest?) = result {
                        images.append(digest)
                        if let image = workload.container.image { digests[image.description] = digest }
                    }
                }
                for (workload, result) in prepared {
                    if case .failure(let error) = result { throw ErrorInfo(error: "\(workload.id): \(error); nothing was changed") }
                }
                // Which images they are belongs to what is wanted: a changed image is a changed recipe, and the next daemon knows it.
                var source = source
                source.images = digests
                let recipe = recipe.with(images: digests)
                try checkHealth(of: recipe)
                let stored = String(decoding: try JSONEncoder().encode(source), as: UTF8.self)
                let now = SystemClock.now()
                FailPoint.recipeRead.pass()
                try Task.checkCancellation()
                try await checkHistory()
                do { try await engine.networks?.prepare(recipe) } catch { throw ErrorInfo(error: "\(error); nothing was changed") }
                let change = HistoryStore.RecipeChange.put(project, source: stored, digest: recipe.digest, at: now)
                let result = await supervisor.apply(
                    recipe, explicit: explicit, actor: actor, source: change,
                    unless: { [self] in
                        self.progress.removals(of: project) == removals
                            ? nil : "the project '\(project)' was taken down while its recipe was being applied; nothing was changed"
                    })
                let plan: RecipePlan
                switch result {
                case .success(let found): plan = found
                case .failure(let refusal):
                    if let present = await supervisor.recipe(of: project) {
                        try? await engine.networks?.prepare(present)
                    } else {
                        await engine.networks?.release(project)
                    }
                    throw ErrorInfo(error: refusal.sentence)
                }
                // To read a recipe takes many times what is kept of it.
                clinux_give_memory_back()
                Task { await removeImages(.outdated) }
                return plan
            }
        } catch let error as ErrorInfo { throw error } catch is CancellationError {
            throw ErrorInfo(error: "it was called off; nothing was changed")
        } catch { throw ErrorInfo(error: "\(error)") }
    }

    /// Refuses to wait for what can never be: an image without a health check is never healthy.
    private func checkHealth(of recipe: Recipe) throws(ErrorInfo) {
        for workload in recipe.workloads {
            for (name, dependency) in workload.dependsOn where dependency.condition == .healthy && dependency.required {
                guard let other = recipe[WorkloadID(project: recipe.project, name: name)], engine.healthCheck(of: other.container) == nil else { continue }
                throw ErrorInfo(
                    error:
                        "\(workload.id) waits for \(name) to be healthy, and neither the recipe nor its image says how that is asked: give \(name) a 'healthcheck', or write 'condition: service_started'; nothing was changed"
                )
            }
        }
    }

    /// How many images are brought in at once: more would only share the line.
    private static let mostPulls = 3

    /// Makes containers of a recipe ready, each image once.
    func prepare(
        _ workloads: [Workload], of recipe: Recipe, pull: PullPolicy?, progress: @escaping @Sendable (String) -> Void
    ) async -> [(Workload, Result<String?, EngineError>)] {
        @Sendable func prepare(_ workload: Workload) async -> (Workload, Result<String?, EngineError>) {
            let policy = pull ?? workload.container.image.flatMap { recipe.pullPolicies[$0.description] } ?? .missing
            do throws(EngineError) { return (workload, .success(try await engine.prepare(workload.container, pull: policy, progress: progress))) } catch {
                return (workload, .failure(error))
            }
        }
        var results: [(Workload, Result<String?, EngineError>)] = []
        // Those without an image have nothing to wait for.
        for workload in workloads where workload.container.image == nil { results.append(await prepare(workload)) }
        var left = workloads.filter { $0.container.image != nil }[...]
        await withTaskGroup(of: (Workload, Result<String?, EngineError>).self) { group in
            for workload in left.prefix(RecipeService.mostPulls) { group.addTask { await prepare(workload) } }
            left = left.dropFirst(RecipeService.mostPulls)
            for await result in group {
                results.append(result)
                if let next = left.popFirst() { group.addTask { await prepare(next) } }
            }
        }
        return results.sorted { $0.0.id < $1.0.id }
    }

    /// Refuses what would wait for the history, and nobody be told.
    private func checkHistory() async throws(ErrorInfo) {
        if let degraded = await supervisor.degraded { throw ErrorInfo(error: "the history cannot be written, and nothing was changed: \(degraded)") }
    }

    /// Takes a project down: what was being applied to it is not.
    func takeDown(_ project: ProjectName, actor: String) async throws(ErrorInfo) -> Reply {
        try await checkHistory()
        let isBeingApplied = turns.isBusy(project)
        progress.noteRemoval(of: project)
        let reply = await supervisor.take(.down(project, actor: actor), recipes: [.remove(project)])
        if case .refused = reply {} else { await engine.networks?.release(project) }
        // Of a project that was never there before, all that is to be taken down is on its way.
        if case .refused = reply, isBeingApplied, await supervisor.recipe(of: project) == nil { return .done }
        return reply
    }

    /// The volumes that are there, with the services and jobs that have them.
    func volumes() async -> [(volume: StoredVolume, users: [WorkloadID])] {
        let users = await volumeUsers()
        return await engine.volumes().map { ($0, users[$0.id] ?? []) }
    }

    private func volumeUsers() async -> [String: [WorkloadID]] {
        var users: [String: [WorkloadID]] = [:]
        // Those too that are being stopped.
        for (id, _) in await supervisor.workloads {
            guard let workload = await supervisor.workload(id) else { continue }
            for volume in engine.volumes(of: workload) { users[volume, default: []].append(id) }
        }
        return users
    }

    /// Removes volumes that no service or job has.
    ///
    /// - Parameter name: as ``volumes()`` has it, or as `PROJECT_NAME`; `nil` is those that nobody has
    /// - Parameter all: of those that nobody has, the ones with names as well
    /// - Returns: what was removed, ascending
    /// - Throws: ``ControlAPI/ErrorInfo``
    func removeVolumes(_ name: String?, all: Bool) async throws(ErrorInfo) -> [String] {
        guard await supervisor.containers != nil else {
            throw RecipeService.needsAreUnknown
        }
        let known = await volumes()
        var wanted = known.filter { $0.users.isEmpty && (all || $0.volume.isAnonymous) }
        if let name {
            wanted = known.filter { $0.volume.id == name }
            if wanted.isEmpty { wanted = known.filter { $0.volume.id.replacing("/", with: "_") == name } }
            guard let first = wanted.first else { throw ErrorInfo(error: "there is no volume '\(name)': 'berth volume ls' lists them") }
            guard first.users.isEmpty else {
                throw ErrorInfo(
                    error: "\(first.volume.id) is \(first.users.map(\.description).sorted().joined(separator: ", "))'s: take the project down first")
            }
        }
        var removed: [String] = []
        for (volume, _) in wanted {
            // What came meanwhile may have it.
            guard await volumeUsers()[volume.id] == nil else { continue }
            do { try await engine.removeVolume(volume.id) } catch { throw ErrorInfo(error: "\(error)") }
            removed.append(volume.id)
        }
        return removed
    }

    /// Of what is removed only where nothing needs it.
    static let needsAreUnknown = ErrorInfo(
        error: "a recipe cannot be read now, or something is being written, so that what it needs is not known: try again, or mend the recipe")

    /// Whether it is known what every recipe needs.
    var mayRemoveImages: Bool { progress.mayRemoveImages }

    /// Until then recipes may be missing that need images: those of files are read, and a damaged history is looked at.
    public func allowRemovalOfImages() { progress.allowRemovalOfImages() }

    /// Writes down which images the recipes of an earlier release were applied with: those that were brought in last.
    public func noteImages(in store: HistoryStore) async throws {
        for stored in try await store.recipeSources() {
            guard var source = try? JSONDecoder().decode(RecipeSource.self, from: Data(stored.utf8)), source.images == nil else { continue }
            guard let recipe = try? restore(stored), recipe.workloads.contains(where: { $0.container.image != nil }) else { continue }
            source.images = recipe.workloads.reduce(into: [:]) { images, workload in
                if let image = workload.container.image { images[image.description] = image.digest }
            }
            let text = String(decoding: try JSONEncoder().encode(source), as: UTF8.self)
            try await store.commit([], recipes: [.put(recipe.project, source: text, digest: recipe.digest, at: SystemClock.now())])
        }
    }

    /// What came between recipes that are being applied.
    private final class Progress: Sendable {
        /// How often each project was taken down.
        private let removals = Mutex<[ProjectName: Int]>([:])
        private let allowsRemovalOfImages = Mutex(false)

        func removals(of project: ProjectName) -> Int { removals.withLock { $0[project] ?? 0 } }
        func noteRemoval(of project: ProjectName) { removals.withLock { $0[project, default: 0] += 1 } }
        var mayRemoveImages: Bool { allowsRemovalOfImages.withLock { $0 } }
        func allowRemovalOfImages() { allowsRemovalOfImages.withLock { $0 = true } }
    }

    /// Reads a stored recipe again. It was accepted once, so a zone that has gone since stops the jobs that use it, not the recipe.
    public func restore(_ stored: String) throws -> Recipe {
        let source: RecipeSource
        do { source = try JSONDecoder().decode(RecipeSource.self, from: Data(stored.utf8)) } catch {
            throw ErrorInfo(error: "the stored recipe cannot be read: \(error)")
        }
        // It was read once already: two deaths, not one, tell that it is not by chance.
        let recipe = try reading.read("the stored recipe of \(source.file)", stamp: String(StableHash(source.text).value), deaths: 2) {
            try read(source, inForce: true) { [zones] name in (try? zones.zone(name)) ?? .unavailable(name: name) }
        }
        guard source.images == nil else { return recipe }
        // An earlier release did not write down which images it was applied with: they are those that were brought in last.
        let digests = recipe.workloads.reduce(into: [String: String]()) { digests, workload in
            guard let image = workload.container.image, digests[image.description] == nil else { return }
            digests[image.description] = engine.readyImage(of: workload.container)
        }
        return recipe.with(images: digests)
    }
}
