internal import Ledger
internal import ControlAPI
internal import EngineAPI
internal import FoundationEssentials
internal import Glibc
internal import HistoryStore
internal import Hummingbird
internal import NIOCore
internal import Supervision
internal import WorkloadModel

extension ControlServer {
    func addLogs(_ routes: inout Routes) {
        routes.add(.runLog) { request, context in
            let found = try await run(context)
            guard let id = RunID(found.run_id) else { throw HTTPError(.internalServerError) }
            let workload = WorkloadID(project: try ProjectName(found.project), name: try WorkloadName(found.name))
            let follow = request.uri.queryParameters["follow"] == "1"
            let place = follow ? try longAnswers.place() : nil
            return Response(
                status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
                body: .init { writer in
                    defer { withExtendedLifetime(place) {} }
                    var reader = LogReader()
                    var log = RunLog(files: [], droppedBytes: 0, droppedLines: 0)
                    var listed = ContinuousClock.now
                    var isSilent = false
                    while true {
                        let running = await supervisor.isRunning(id)
                        // A log that grows gets another file; for one that is silent, to look for it costs more than to read on.
                        if !running || !isSilent || log.files.isEmpty || .now - listed > .seconds(1) {
                            log = await engine.log(of: id, workload: workload)
                            listed = .now
                        }
                        isSilent = true
                        while let chunk = reader.next(log) {
                            isSilent = false
                            try await writer.write(ByteBuffer(bytes: chunk))
                        }
                        // Of a run that says nothing, a client that has left is noticed only here.
                        if !follow || !running || !context.channel.isActive { break }
                        // Whoever waits for the end of a run is not to wait for the next look.
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            group.addTask { try await Task.sleep(for: .milliseconds(100)) }
                            group.addTask { await supervisor.waitForEnd(of: id) }
                            try await group.next()
                            group.cancelAll()
                        }
                    }
                    try await writer.finish(nil)
                })
        }
    }
}

/// Reads a run's log through its files, as they grow and are replaced.
struct LogReader {
    private var finished: Set<String> = []
    private var current: String?
    private var offset: off_t = 0
    private var toldDropped: Int64 = 0

    /// The next bytes; `nil` when there are none for now.
    mutating func next(_ log: RunLog) -> [UInt8]? {
        let files = log.files.filter { !finished.contains($0) }
        if current == nil {
            guard let first = files.first else { return nil }
            current = first
            offset = 0
            // After the head comes what was let go, then the rest.
            if first != log.files.first || finished.count > 0, log.droppedBytes > toldDropped {
                let lines = log.droppedLines
                let bytes = log.droppedBytes
                toldDropped = bytes
                return Array("1970-01-01T00:00:00.000000000Z berth F \(bytes) bytes (\(lines) lines) are not kept here: the log's size is capped\n".utf8)
            }
        }
        guard let path = current else { return nil }
        let fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else {
            finished.insert(path)
            current = nil
            return files.count > 1 ? next(log) : nil
        }
        defer { close(fd) }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let got = buffer.withUnsafeMutableBytes { pread(fd, $0.baseAddress, $0.count, offset) }
        if got > 0 {
            offset += off_t(got)
            return Array(buffer[..<got])
        }
        // At its end. If a later file is there, this one grows no more.
        guard let index = log.files.firstIndex(of: path), index + 1 < log.files.count else { return nil }
        finished.insert(path)
        current = nil
        return next(log)
    }
}
