internal import Foundation
internal import Glibc
internal import HostOS
internal import Logging
internal import WorkloadModel

/// All logs together.
extension NativeEngine {
    /// Removes the oldest logs of runs that have ended, where all of them take more of the disk than they may: the rows of these runs stay.
    public func trimLogs() async {
        await withCheckedContinuation { continuation in
            cleanups.addOperation { [self] in
                trimLogs(to: mostLogBytes)
                continuation.resume()
            }
        }
    }

    /// Of one run: its text, the pieces before and after a gap, the note on what was dropped.
    private struct Log {
        var bytes: Int64 = 0
        var files: [String] = []
    }

    /// Each run's, by its id, and what all of them take.
    private func allLogs() -> (logs: [String: Log], total: Int64) {
        var logs: [String: Log] = [:]
        var total: Int64 = 0
        for project in HostFile.names(in: paths.logs) {
            for name in HostFile.names(in: "\(paths.logs)/\(project)") {
                for file in HostFile.names(in: "\(paths.logs)/\(project)/\(name)") {
                    let path = "\(paths.logs)/\(project)/\(name)/\(file)"
                    var info = stat()
                    guard lstat(path, &info) == 0 else { continue }
                    let bytes = Int64(info.st_blocks) * 512
                    total += bytes
                    logs[String(file.prefix(16)), default: Log()].bytes += bytes
                    logs[String(file.prefix(16)), default: Log()].files.append(path)
                }
            }
        }
        return (logs, total)
    }

    /// What all logs take of the disk, and what they may take, in bytes.
    public func logBytes() async -> (used: Int64, most: Int64) { (allLogs().total, mostLogBytes) }

    func trimLogs(to most: Int64) {
        let (logs, all) = allLogs()
        var total = all
        guard total > most else { return }
        // Ids begin with the time. What runs writes on.
        for (run, log) in logs.sorted(by: { $0.key < $1.key }) where total > most {
            guard let id = RunID(run), !HostFile.exists(paths.run(id)) else { continue }
            for file in log.files where unlink(file) == 0 { rmdir(String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)])) }
            total -= log.bytes
        }
        log.notice("logs took more of the disk than they may: the oldest are removed", metadata: ["bytes": "\(all - total)", "left": "\(total)"])
    }
}
