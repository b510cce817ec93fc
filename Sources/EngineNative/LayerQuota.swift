internal import CLinux
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Schedules
internal import WorkloadModel

/// How much of the state disk one writable layer may take, by the file system's project quotas: beyond it the container is told
/// that there is no space.
struct LayerQuota: Sendable {
    /// What a layer may take when the recipe says nothing; `nil` where the disk has no project quotas.
    let usual: Int64?
    private let directory: String

    /// - Parameter directory: where the layers' directories are made
    init(directory: String) {
        self.directory = directory
        let probe = "\(directory)/.quota"
        try? HostFile.makeDirectory(probe)
        defer { rmdir(probe) }
        let total = DiskSpace(of: directory)?.total.bytes ?? 0
        usual = clinux_project_limit(probe, LayerQuota.project("probe"), 1 << 20) == 0 ? max(1 << 20, total / 4) : nil
        if usual != nil { release("probe") }
    }

    /// - Throws: when the recipe asks for a limit that cannot be kept here
    func check(_ container: ContainerSpec) throws(EngineError) {
        guard container.writableLayerBytes != nil, usual == nil else { return }
        throw .host(
            "storage_opt 'size' needs project quotas on the state disk: ext4 made with 'mkfs.ext4 -O project,quota' and mounted with prjquota, or xfs mounted with pquota"
        )
    }

    /// Makes a run's directory with its limit. Does nothing where there are no quotas.
    func prepare(_ layer: String, _ container: ContainerSpec) throws(EngineError) {
        guard let usual else { return }
        do { try HostFile.makeDirectory(layer) } catch { throw .sandbox("\(error)") }
        guard clinux_project_limit(layer, LayerQuota.project(layer), UInt64(container.writableLayerBytes ?? usual)) == 0 else {
            throw .sandbox("the size of the writable layer \(layer) cannot be limited: \(String(cString: strerror(errno)))")
        }
    }

    /// Takes the limit of a run's directory back, whether it is still there or not: otherwise each run would leave an entry in the
    /// file system's quotas.
    func release(_ layer: String) {
        if usual != nil { _ = clinux_project_limit(directory, LayerQuota.project(layer), 0) }
    }

    /// A number of its own for each run, out of the range that people give by hand.
    private static func project(_ name: String) -> UInt32 { 0x4000_0000 | UInt32(truncatingIfNeeded: StableHash(name).value & 0x3FFF_FFFF) }
}
