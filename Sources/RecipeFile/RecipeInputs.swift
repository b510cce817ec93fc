public import Schedules
public import WorkloadModel

/// What reading a recipe needs from outside. The reader itself opens no file and reads no environment.
public struct RecipeInputs {
    /// What `${VAR}` may name.
    public var variables: [String: String]
    /// The most bytes of a file that a recipe names (`env_file`, a calendar).
    public static let mostFileBytes = 4 << 20
    /// Reads a file by absolute path, at most ``mostFileBytes``; throws a printable error.
    public var readFile: (String) throws -> String
    /// Finds a zone by its name; throws a printable error.
    public var zone: (String) throws -> Zone
    /// The zone of schedules that name none.
    public var hostZone: Zone
    /// How large the recipe may be.
    public var limits: RecipeLimits
    /// Whether a zone that is not to be found is accepted, as in a recipe that is in force already.
    public var acceptsUnavailableZones = false

    /// - Parameters:
    ///   - variables: what `${VAR}` may name
    ///   - readFile: see ``readFile``
    ///   - zone: finds a zone by its name; throws a printable error
    ///   - hostZone: for schedules that name no zone
    public init(
        variables: [String: String], readFile: @escaping (String) throws -> String, zone: @escaping (String) throws -> Zone, hostZone: Zone,
        limits: RecipeLimits = RecipeLimits()
    ) {
        self.variables = variables
        self.readFile = readFile
        self.zone = zone
        self.hostZone = hostZone
        self.limits = limits
    }

    /// What a source carries with itself, and nothing else.
    public init(
        of source: RecipeSource, zone: @escaping (String) throws -> Zone, hostZone: Zone, limits: RecipeLimits = RecipeLimits()
    ) {
        self.init(
            variables: source.variables,
            readFile: { path in
                guard let text = source.files[path] else { throw MissingFile(path: path) }
                return text
            }, zone: zone, hostZone: hostZone, limits: limits)
    }

    private struct MissingFile: Error, CustomStringConvertible {
        let path: String
        var description: String { "\(path) did not come with the recipe" }
    }
}
