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

    public init(supervisor: Supervisor, engine: any ContainerEngine, zones: SystemZones, limits: RecipeLimits = RecipeLimits()) {
        self.supervisor = supervisor
        self.engine = engine
        self.zones = zones
        self.limits = limits
    }

    /// Reads a recipe that carries all it needs.
    ///
    /// - Throws: ``ControlAPI/ErrorInfo`` with every diagnostic
    public func read(_ source: RecipeSource) throws(ErrorInfo) -> Recipe { try read(source, inForce: false) { [zones] in try zones.zone($0) } }

    private func read(_ source: RecipeSource, inForce: Bool, zone: @escaping (String) throws -> Zone) throws(ErrorInfo) -> Recipe {
        var inputs = RecipeInputs(of: source, zone: zone, hostZone: zones.local(), limits: limits)
        inputs.acceptsUnavailableZones = inForce
        let result = RecipeReader.read(source, inputs)
        guard let recipe = result.recipe else { throw RecipeService.failure(result, source) }
        return recipe
    }

    /// Reads a recipe from a file of this host, with the `.env` beside it.
    public static func load(path: String, zones: SystemZones, limits: RecipeLimits) throws(ErrorInfo) -> (RecipeSource, Recipe) {
        guard let data = FileManager.default.contents(atPath: path) else { throw ErrorInfo(error: "the recipe \(path) cannot be read") }
        let absolute = URL(fileURLWithPath: path).standardizedFileURL
        let base = absolute.deletingLastPathComponent().path
        let source = RecipeSource(file: absolute.path, baseDirectory: base, text: String(decoding: data, as: UTF8.self))
        var variables = FileManager.default.contents(atPath: base + "/.env").map { EnvironmentFile.parse(String(decoding: $0, as: UTF8.self)).values } ?? [:]
        variables.merge(ProcessInfo.processInfo.environment) { _, own in own }
        let inputs = RecipeInputs(
            variables: variables,
            readFile: { path in try String(contentsOfFile: path, encoding: .utf8) },
            zone: { try zones.zone($0) }, hostZone: zones.local(), limits: limits)
        let result = RecipeReader.read(source, inputs)
        guard let recipe = result.recipe else { throw failure(result, source) }
        return (result.captured, recipe)
    }

    private static func failure(_ result: RecipeReader.Result, _ source: RecipeSource) -> ErrorInfo {
        let errors = result.diagnostics.filter { $0.severity == .error }.count
        let text = result.diagnostics.map { $0.rendered(file: source.file, text: source.text) }.joined(separator: "\n")
        return ErrorInfo(error: "\(errors) error\(errors == 1 ? "" : "s") in \(source.file); nothing was changed", diagnostics: text)
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
    public func restore(_ stored: String) throws(ErrorInfo) -> Recipe {
        let source: RecipeSource
        do { source = try JSONDecoder().decode(RecipeSource.self, from: Data(stored.utf8)) } catch {
            throw ErrorInfo(error: "the stored recipe is damaged: \(error)")
        }
        return try read(source, inForce: true) { [zones] name in (try? zones.zone(name)) ?? .unavailable(name: name) }
    }
}
