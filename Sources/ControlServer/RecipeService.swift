internal import CLinux
public import ControlAPI
public import EngineAPI
internal import Foundation
internal import HistoryStore
public import Planning
public import RecipeFile
public import Schedules
public import Supervision
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
        var known: [String: String] = [:]
        do throws(TrustedFile.Refusal) {
            source = RecipeSource(file: path, baseDirectory: base, text: try text(path, limits.bytes))
            do throws(TrustedFile.Refusal) { known = EnvironmentFile.parse(try text(base + "/.env", 1 << 20)).values } catch {
                guard error.isMissing else { throw error }
            }
        } catch { throw ErrorInfo(error: "\(error)") }
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
        let text = Diagnostic.rendered(result.diagnostics, file: source.file, text: source.text)
        return ErrorInfo(error: "\(errors) error\(errors == 1 ? "" : "s") in \(PlainText.shown(source.file)); nothing was changed", diagnostics: text)
    }

    /// What the recipe would change.
    public func plan(_ recipe: Recipe, at now: Timestamp) async -> RecipePlan {
        RecipePlan.compare(await supervisor.recipe(of: recipe.project), recipe, at: now)
    }

    /// Makes a recipe true. Images come first: a recipe whose image cannot be had changes nothing.
    public func apply(
        _ source: RecipeSource, _ recipe: Recipe, explicit: Bool, actor: String, at now: Timestamp, progress: @Sendable (String) -> Void
    ) async throws(ErrorInfo) {
        for workload in recipe.workloads {
            do { try await engine.prepare(workload.container, progress: progress) } catch {
                throw ErrorInfo(error: "\(workload.id): \(error); nothing was changed")
            }
        }
        let stored: String
        do { stored = String(decoding: try JSONEncoder().encode(source), as: UTF8.self) } catch { throw ErrorInfo(error: "\(error)") }
        await supervisor.take(
            .apply(recipe, explicit: explicit, actor: actor),
            recipes: [.put(recipe.project, source: stored, digest: recipe.digest, at: now)])
        // To read a recipe takes many times what is kept of it.
        clinux_give_memory_back()
    }

    /// Reads a stored recipe again. It was accepted once, so a zone that has gone since stops the jobs that use it, not the recipe.
    public func restore(_ stored: String) throws -> Recipe {
        let source: RecipeSource
        do { source = try JSONDecoder().decode(RecipeSource.self, from: Data(stored.utf8)) } catch {
            throw ErrorInfo(error: "the stored recipe cannot be read: \(error)")
        }
        // It was read once already: two deaths, not one, tell that it is not by chance.
        return try reading.read("the stored recipe of \(source.file)", stamp: String(StableHash(source.text).value), deaths: 2) {
            try read(source, inForce: true) { [zones] name in (try? zones.zone(name)) ?? .unavailable(name: name) }
        }
    }
}
