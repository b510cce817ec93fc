internal import ControlAPI
internal import EngineAPI
internal import HTTPTypes
internal import HistoryStore
internal import HostOS
public import Hummingbird
internal import Ledger
internal import NIOCore
internal import Schedules
internal import Scheduling
internal import Supervision
internal import WorkloadModel

/// Numbers for Prometheus. Labels are names of what is in the recipes in force, and words of lists that have an end: nothing that somebody could make
/// ever more of.
extension ControlServer {
    /// An application that answers with the numbers and with nothing else, to whoever asks.
    public func metricsApplication(host: String, port: Int) -> some ApplicationProtocol {
        let router = Router()
        router.get("metrics") { _, _ in try await metrics() }
        let table = ConnectionTable(most: 16)
        return Application(
            router: router, server: .http1(configuration: .init(additionalChannelHandlers: [ConnectionGuard(table: table, limits: ConnectionLimits())])),
            configuration: .init(address: .hostname(host, port: port), serverName: "berth"), logger: log)
    }

    func metrics() async throws -> Response {
        let statuses = await supervisor.statuses
        let counted = await supervisor.counted(Set(statuses.map(\.id)))
        let successes = (try? await store.lastSuccesses(of: statuses.filter { $0.kind == .job }.map(\.id))) ?? [:]
        var out = Exposition()
        out.add("berth_info", .gauge, "The daemon's release.", [([("version", version.version)], 1)])
        let isWritable = await supervisor.degraded == nil && store.misplacement == nil
        out.add("berth_history_writable", .gauge, "Whether the history can be written; nothing starts while it cannot.", [([], isWritable ? 1 : 0)])
        if let bytes = try? await store.usedBytes() {
            out.add("berth_history_bytes", .gauge, "What the rows of the history take of the disk.", [([], Double(bytes))])
        }
        out.add("berth_history_limit_bytes", .gauge, "What they may take.", [([], Double(supervisor.mostBytes))])
        out.add("berth_notices", .gauge, "Sentences that 'berth ps' warns with.", [([], Double((engine.notices + store.notices).count))])
        out.add("berth_start_delay_seconds", "From a due time to the release of user code.", [([], counted.startDelays)])
        out.addRuns(statuses.map { ($0, counted.entries[$0.id] ?? RunMetrics.Entry()) })
        out.addJobs(statuses.filter { $0.kind == .job }, successes)
        out.addServices(statuses.filter { $0.kind == .service })
        return Response(status: .ok, headers: [.contentType: Exposition.contentType], body: .init(byteBuffer: ByteBuffer(string: out.text)))
    }
}

extension WorkloadStatus {
    fileprivate func labels(_ more: (String, String)...) -> Exposition.Labels { [("project", id.project.description), ("name", id.name.description)] + more }
}

extension Exposition {
    fileprivate mutating func addRuns(_ entries: [(WorkloadStatus, RunMetrics.Entry)]) {
        var ended: [Sample] = []
        var due: [Sample] = []
        for (status, entry) in entries {
            for outcome in Outcome.allCases {
                // The usual ones are there from the beginning, so that the first failure is a rise.
                guard outcome == .succeeded || outcome == .failed || entry.outcomes[outcome] != nil else { continue }
                ended.append((status.labels(("kind", status.kind.rawValue), ("outcome", outcome.rawValue)), Double(entry.outcomes[outcome] ?? 0)))
            }
            let kinds = entry.dueTimes.map { (result: $0.key.result.rawValue, reason: $0.key.reason?.rawValue ?? "", count: Double($0.value)) }
            for kind in kinds.sorted(by: { ($0.result, $0.reason) < ($1.result, $1.reason) }) {
                due.append((status.labels(("result", kind.result), ("reason", kind.reason)), kind.count))
            }
        }
        add("berth_runs_total", .counter, "Runs that ended, by how.", ended)
        add("berth_due_times_total", .counter, "Due times, by what became of them and why.", due)
        let running: [Sample] = entries.map { ($0.0.labels(("kind", $0.0.kind.rawValue)), Double($0.0.runs.count)) }
        add("berth_runs_in_progress", .gauge, "Runs that have not ended.", running)
        let known = entries.filter { !$0.1.outcomes.isEmpty }
        add("berth_run_duration_seconds", "From the release of user code to its end.", known.map { ($0.0.labels(), $0.1.durations) })
        let cpu: [Sample] = known.map { ($0.0.labels(), Double($0.1.cpuMicroseconds) / 1e6) }
        add("berth_run_cpu_seconds_total", .counter, "Processor time of runs that ended.", cpu)
        let peaks: [Sample] = known.map { ($0.0.labels(), Double($0.1.memoryPeakBytes)) }
        add("berth_run_memory_peak_bytes", .gauge, "The highest use of the last run that ended.", peaks)
        let dropped: [Sample] = known.map { ($0.0.labels(), Double($0.1.droppedLogBytes)) }
        add("berth_run_log_dropped_bytes_total", .counter, "Bytes of logs that were let go for their size.", dropped)
    }

    fileprivate mutating func addJobs(_ jobs: [WorkloadStatus], _ successes: [WorkloadID: Timestamp]) {
        func seconds(_ time: Timestamp) -> Double { Double(time.milliseconds) / 1000 }
        let next: [Sample] = jobs.compactMap { job in job.nextAt.map { (job.labels(), seconds($0)) } }
        add("berth_job_next_start_timestamp_seconds", .gauge, "When it starts next.", next)
        let last: [Sample] = jobs.compactMap { job in successes[job.id].map { (job.labels(), seconds($0)) } }
        add("berth_job_last_success_timestamp_seconds", .gauge, "When its last run that succeeded ended, also before the daemon began.", last)
        let failures: [Sample] = jobs.map { ($0.labels(), $0.lastOutcome == nil || $0.lastOutcome == .succeeded ? 0 : Double($0.streak)) }
        add("berth_job_failures_in_a_row", .gauge, "Runs up to the last that did not succeed.", failures)
        let paused: [Sample] = jobs.map { ($0.labels(), $0.state == "paused" ? 1 : 0) }
        add("berth_job_paused", .gauge, "Whether it is paused.", paused)
    }

    fileprivate mutating func addServices(_ services: [WorkloadStatus]) {
        let up: [Sample] = services.map { ($0.labels(), $0.state == "running" ? 1 : 0) }
        add("berth_service_up", .gauge, "Whether it runs.", up)
        let healthy: [Sample] = services.compactMap { service in service.health.map { (service.labels(), $0 == .healthy ? 1 : 0) } }
        add("berth_service_healthy", .gauge, "Whether it works, of those that are asked.", healthy)
        let restarts: [Sample] = services.map { ($0.labels(), Double($0.restarts)) }
        add("berth_service_restarts", .gauge, "How often its restart policy started it again.", restarts)
    }
}
