internal import Schedules
internal import WorkloadModel

/// Where the native engine keeps things.
public struct EnginePaths: Sendable {
    /// What outlives a boot of the host: logs, volumes, images, the writable layers of runs.
    public let state: String
    /// What does not outlive a boot: the directories of runs, files that containers share.
    public let runtime: String
    /// The `berth-shim` program.
    public let shim: String

    /// - Parameters: all absolute
    public init(state: String, runtime: String, shim: String) {
        self.state = state
        self.runtime = runtime
        self.shim = shim
    }

    var runs: String { "\(runtime)/runs" }
    var etc: String { "\(runtime)/etc" }
    var logs: String { "\(state)/logs" }
    var scratch: String { "\(state)/scratch" }
    var volumes: String { "\(state)/volumes" }
    var images: String { "\(state)/images" }
    /// On the same file system as the runs, so that moving there cannot fail half way.
    var runQuarantine: String { "\(runtime)/quarantine" }

    func run(_ run: RunID) -> String { "\(runs)/\(run)" }
    func logs(_ workload: WorkloadID) -> String { "\(logs)/\(workload.project)/\(workload.name)" }
    func log(_ run: RunID, _ workload: WorkloadID) -> String { "\(logs(workload))/\(run)" }
    func volume(_ name: String, of project: ProjectName) -> String { "\(volumes)/\(project)/\(name)" }
    /// A volume that has a name of its own; no project's begins with `~`.
    func sharedVolume(_ name: String) -> String { "\(volumes)/~shared/\(name)" }
    /// A volume without a name is its container's at that place; no named one begins with `~`.
    func anonymousVolume(_ instance: InstanceID, at target: String) -> String {
        let name = instance.slot == 0 ? "\(instance.workload.name)" : "\(instance.workload.name).\(instance.slot)"
        return "\(volumes)/\(instance.workload.project)/~\(name)~\(String(StableHash(target).value, radix: 36))"
    }
}
