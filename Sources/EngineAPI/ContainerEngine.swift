public import Schedules
public import WorkloadModel

/// Where runs happen. The supervisor owns schedules and restarts: an engine starts what it is told, reports how it ended,
/// and never restarts anything by itself.
public protocol ContainerEngine: Sendable {
    /// What this engine is called in the history: `native`.
    var name: String { get }

    /// Makes everything ready that a container needs from outside, such as its image. Called before a recipe is applied.
    ///
    /// - Parameters:
    ///   - pull: when an image of a registry is brought in; it counts for no other
    ///   - progress: is told in words how far it is
    /// - Returns: the digest of its image, which stays until it is released; `nil` when it has none
    /// - Throws: ``EngineError``
    @discardableResult
    func prepare(_ container: ContainerSpec, pull: PullPolicy, progress: @escaping @Sendable (String) -> Void) async throws(EngineError) -> String?

    /// Lets go of images that were made ready: they stay for as long as a recipe in force names them, or a run needs them.
    func release(_ images: [String])

    /// The digest that a container's image would have if it were made ready now; `nil` when it has none.
    ///
    /// - Parameter pull: as of ``prepare(_:pull:progress:)``
    /// - Throws: ``EngineError``
    func imageDigest(of container: ContainerSpec, pull: PullPolicy) async throws(EngineError) -> String?

    /// Signs in at a registry, for all images that are brought in from it; an empty name signs out.
    ///
    /// - Throws: ``EngineError`` when the registry does not take it
    func signIn(_ registry: String, user: String, password: String) async throws(EngineError)

    /// The images that are there, ascending by name.
    ///
    /// - Throws: ``EngineError``
    func imageList() async throws(EngineError) -> [StoredImageStatus]

    /// The digest of the image that was made ready for a container at last; `nil` when there is none.
    func readyImage(of container: ContainerSpec) -> String?

    /// The health check that a container's runs would have now, its image's included; `nil` when they would have none, or its image is not ready.
    func healthCheck(of container: ContainerSpec) -> HealthCheck?

    /// Runs a health check's command inside a run's container: in its namespaces and its cgroup, as its user, under its filter. Nothing of the
    /// command is left when it takes too long.
    func probe(_ run: RunRequest, _ check: HealthCheck) async -> Probe

    /// Removes images that none of these containers and no run needs.
    ///
    /// - Parameters:
    ///   - which: those of them that are to go
    ///   - containers: asked before each removal; `nil` when it is not known now what is needed
    /// - Returns: what was removed, ascending by name
    @discardableResult
    func removeImages(_ which: ImageRemoval, except containers: @escaping @Sendable () async -> [ContainerSpec]?) async -> [StoredImageStatus]

    /// The volumes that are there, ascending by id.
    func volumes() async -> [StoredVolume]

    /// The ids of the volumes that a service or job has, whether they are there or not.
    func volumes(of workload: Workload) -> Set<String>

    /// Writes what a volume holds as a tar archive.
    ///
    /// - Parameter take: gets it piece by piece
    /// - Throws: ``EngineError``, and what `take` throws
    func readVolume(_ id: String, _ take: ([UInt8]) async throws -> Void) async throws

    /// Writes a folder of the host's and what volumes hold as one tar archive: the folder's files by their own names, a volume's below `volumes/ID`.
    ///
    /// - Parameters:
    ///   - ids: of the volumes
    ///   - take: gets it piece by piece
    /// - Throws: ``EngineError``, and what `take` throws
    func readVolumes(_ ids: [String], with folder: String, _ take: ([UInt8]) async throws -> Void) async throws

    /// Replaces what a volume holds by the content of a tar archive, whole or not at all; a volume that is not there is made.
    ///
    /// - Parameter pieces: gives the archive to its argument, piece by piece
    /// - Throws: ``EngineError``, also while a run has the volume, and what the body throws
    func writeVolume(_ id: String, _ pieces: (([UInt8]) async throws -> Void) async throws -> Void) async throws

    /// Removes a volume with all that is in it.
    ///
    /// - Throws: ``EngineError`` when it is not there or cannot be removed
    func removeVolume(_ id: String) async throws(EngineError)

    /// The networks of its containers; `nil` when it has none of its own.
    var networks: (any PlaceProvider)? { get }

    /// Takes note of containers whose recipe is in force or comes into force: what they can write to of the host, other
    /// containers' mounts must not follow links in. Called before their first launch.
    func share(_ containers: [ContainerSpec]) async

    /// Starts a run, and returns when its command is released. A run of this id that was started before is not started
    /// again.
    ///
    /// - Throws: ``EngineError``; then nothing of the command ran, and nothing is left behind
    func launch(_ run: RunRequest) async throws(EngineError) -> Launched

    /// Launches are likely within some tens of milliseconds: what can be made ready for them, without starting anything, may
    /// be made ready now. May do nothing.
    func expectLaunches() async

    /// Begins the stop sequence: stop signal, grace, kill. Its end is reported as an exit. Unknown runs are passed over.
    func stop(_ run: RunID) async

    /// Lets go of what is held of a run whose end is booked. Unknown runs are passed over.
    func settle(_ run: RunID) async

    /// What is there of earlier runs. Those that live are watched from now on, and their end is reported.
    func observe() async throws(EngineError) -> [RunID: ObservedRun]

    /// A run as it was requested, as it is written down beside what is left of it; `nil` when that is not there. What was changed for it by hand is not
    /// in it.
    func origin(of run: RunID) async -> Run?

    /// Ends of runs as they happen, those too that came before anybody listened. For one reader.
    var exits: AsyncStream<EngineExit> { get }

    /// The runs that are frozen because they fill the disk: all of them, whenever that changes. For one reader.
    var frozenRuns: AsyncStream<Set<RunID>> { get }

    /// What people are to know of the engine's state, such as a container that fills the disk; empty when all is well.
    var notices: [String] { get }

    /// The files that hold the log of a run, oldest first, and how many bytes were let go of between the first and the
    /// rest.
    func log(of run: RunID, workload: WorkloadID) async -> RunLog

    /// Removes logs of runs that the history has forgotten.
    func forget(_ runs: [(RunID, WorkloadID)]) async

    /// Removes the oldest logs of runs that have ended, where all logs together take more of the disk than they may.
    func trimLogs() async

    /// What all logs take of the disk, and what they may take, in bytes.
    func logBytes() async -> (used: Int64, most: Int64)
}

/// A run whose command was released.
public struct Launched: Hashable, Sendable {
    /// When the command was released.
    public let at: Timestamp
    /// What it runs from, with its digest; `nil` when it is no image.
    public let image: String?
    /// How it is asked whether it works; `nil` when it is not.
    public let health: HealthCheck?

    /// Memberwise.
    public init(at: Timestamp, image: String?, health: HealthCheck? = nil) {
        self.at = at
        self.image = image
        self.health = health
    }
}

/// The end of a run.
public struct EngineExit: Hashable, Sendable {
    /// The run that ended.
    public let run: RunID
    /// How it ended.
    public let status: ExitStatus

    /// Memberwise.
    public init(run: RunID, status: ExitStatus) {
        self.run = run
        self.status = status
    }
}

/// Where a run's output is.
public struct RunLog: Hashable, Sendable {
    /// Absolute paths, oldest first; lines are `TIME STREAM TAG text` as the Container Runtime Interface has them.
    public let files: [String]
    /// Bytes and lines that are missing between the first file and the rest.
    public let droppedBytes: Int64
    /// Lines that are missing between the first file and the rest.
    public let droppedLines: Int64

    /// - Parameter files: absolute paths, oldest first; empty when there is no log
    public init(files: [String], droppedBytes: Int64, droppedLines: Int64) {
        self.files = files
        self.droppedBytes = droppedBytes
        self.droppedLines = droppedLines
    }
}

/// A volume that is there.
public struct StoredVolume: Hashable, Sendable {
    /// `PROJECT/NAME`, or the name alone of one that projects share.
    public let id: String
    /// The project whose it is; `nil` when projects share it.
    public let project: ProjectName?
    /// Whether no recipe gave it a name: it is a container's own.
    public let isAnonymous: Bool
    /// What it takes of the disk; `nil` when it has more files than are counted.
    public let bytes: Int64?

    /// Memberwise.
    public init(id: String, project: ProjectName?, isAnonymous: Bool, bytes: Int64?) {
        self.id = id
        self.project = project
        self.isAnonymous = isAnonymous
        self.bytes = bytes
    }
}

/// An image that is there.
public struct StoredImageStatus: Hashable, Sendable {
    /// What it was brought in as, ascending; empty when another one has its name now.
    public let names: [String]
    /// SHA-256 of its configuration, in hexadecimal.
    public let digest: String
    /// When it was brought in; `nil` when nobody wrote it down.
    public let broughtIn: Timestamp?
    /// Bytes of all of its layers, unpacked.
    public let bytes: Int64
    /// Those of layers that no other image has.
    public let ownBytes: Int64

    /// Memberwise.
    public init(names: [String], digest: String, broughtIn: Timestamp?, bytes: Int64, ownBytes: Int64) {
        self.names = names
        self.digest = digest
        self.broughtIn = broughtIn
        self.bytes = bytes
        self.ownBytes = ownBytes
    }
}

/// Which of the images that nothing needs are to be removed.
public enum ImageRemoval: Sendable {
    /// Those that nothing has needed for the time that the engine keeps them.
    case outdated
    /// All of them.
    case unneeded
    /// The one with this digest.
    case digest(String)
}

extension ContainerEngine {
    /// None.
    public var networks: (any PlaceProvider)? { nil }

    /// Fails.
    public func signIn(_ registry: String, user: String, password: String) async throws(EngineError) {
        throw .image("this engine has no registries")
    }

    /// What the container itself says.
    public func healthCheck(of container: ContainerSpec) -> HealthCheck? { HealthCheckSpec.resolve(container.healthCheck, image: nil) }

    /// None.
    public func volumes() async -> [StoredVolume] { [] }

    /// None.
    public func volumes(of workload: Workload) -> Set<String> { [] }

    /// Fails.
    public func readVolumes(_ ids: [String], with folder: String, _ take: ([UInt8]) async throws -> Void) async throws {
        throw EngineError.sandbox("this engine has no volumes")
    }

    /// Fails.
    public func readVolume(_ id: String, _ take: ([UInt8]) async throws -> Void) async throws {
        throw EngineError.sandbox("this engine has no volumes")
    }

    /// Fails.
    public func writeVolume(_ id: String, _ pieces: (([UInt8]) async throws -> Void) async throws -> Void) async throws {
        throw EngineError.sandbox("this engine has no volumes")
    }

    /// Fails.
    public func removeVolume(_ id: String) async throws(EngineError) { throw .sandbox("this engine has no volumes") }

    /// Does nothing.
    public func trimLogs() async {}

    /// None.
    public func logBytes() async -> (used: Int64, most: Int64) { (0, 0) }

    /// None.
    public func imageList() async throws(EngineError) -> [StoredImageStatus] { [] }
}
