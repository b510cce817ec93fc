internal import Glibc
internal import HostOS
internal import WorkloadModel

/// What control groups are told about disks (cgroups(7): `io` of version 2, `blkio` of version 1).
enum BlockControl {
    /// What is written to a file of a group.
    struct Line: Equatable {
        let file: String
        let text: String
    }

    /// - Parameter group: has the files that the host knows
    static func lines(_ blockIO: BlockIO, isV2: Bool, in group: String) throws(HostFile.Failure) -> [Line] {
        var found: [Line] = []
        if blockIO.weight != nil || !blockIO.weights.isEmpty {
            // Without a scheduler that knows shares the files are not there.
            let names = isV2 ? ["io.bfq.weight", "io.weight"] : ["blkio.bfq.weight", "blkio.weight"]
            guard let file = names.first(where: { HostFile.exists("\(group)/\($0)") }) else {
                throw HostFile.Failure(path: "\(group)/\(names[1])", action: "give a share of the disks by", code: ENOENT)
            }
            func share(_ weight: Int64) -> Int64 { file == "io.weight" ? weightOfV2(weight) : weight }
            if let weight = blockIO.weight { found.append(Line(file: file, text: isV2 ? "default \(share(weight))" : "\(weight)")) }
            let device = isV2 ? file : file == "blkio.weight" ? "blkio.weight_device" : "blkio.bfq.weight_device"
            for item in blockIO.weights { found.append(Line(file: device, text: "\(try number(of: item.path)) \(share(item.amount))")) }
        }
        for limit in BlockIO.Limit.allCases {
            let (v2, v1) =
                switch limit {
                case .readBytes: ("rbps", "blkio.throttle.read_bps_device")
                case .readOperations: ("riops", "blkio.throttle.read_iops_device")
                case .writeBytes: ("wbps", "blkio.throttle.write_bps_device")
                case .writeOperations: ("wiops", "blkio.throttle.write_iops_device")
                }
            let file = isV2 ? "io.max" : v1
            guard blockIO[limit].isEmpty || HostFile.exists("\(group)/\(file)") else {
                throw HostFile.Failure(path: "\(group)/\(file)", action: "limit disks by", code: ENOENT)
            }
            for item in blockIO[limit] {
                let disk = try number(of: item.path)
                found.append(isV2 ? Line(file: "io.max", text: "\(disk) \(v2)=\(item.amount)") : Line(file: v1, text: "\(disk) \(item.amount)"))
            }
        }
        return found
    }

    /// 10 to 1000 become 1 to 10000, as OCI runtimes have it.
    private static func weightOfV2(_ weight: Int64) -> Int64 { 1 + (min(max(weight, 10), 1000) - 10) * 9999 / 990 }

    /// A disk's number, as `8:0`. Limits are for whole disks: of a partition it is the disk's.
    private static func number(of path: String) throws(HostFile.Failure) -> String {
        var info = stat()
        guard stat(path, &info) == 0 else { throw HostFile.Failure(path: path, action: "find the disk", code: errno) }
        guard info.st_mode & S_IFMT == S_IFBLK else { throw HostFile.Failure(path: path, action: "take for a disk", code: ENOTBLK) }
        let (major, minor) = NativeEngine.numbers(of: info.st_rdev)
        let text = "\(major):\(minor)"
        guard HostFile.exists("/sys/dev/block/\(text)/partition") else { return text }
        guard let disk = try? HostFile.text("/sys/dev/block/\(text)/../dev") else {
            throw HostFile.Failure(path: path, action: "find the disk of the partition", code: ENODEV)
        }
        return disk.filter { !$0.isNewline }
    }
}
