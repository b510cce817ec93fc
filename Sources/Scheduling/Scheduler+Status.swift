public import Ledger
public import Schedules
public import WorkloadModel

/// How one workload stands, for people.
public struct WorkloadStatus: Hashable, Sendable {
    /// The service or job.
    public let id: WorkloadID
    /// Which of a service's copies.
    public let slot: Int
    /// Which of the two it is.
    public let kind: WorkloadKind
    /// `running`, `backoff`, `paused`, `waiting`, ...
    public let state: String
    /// Of a service that is asked whether it works: `starting`, `healthy` or `unhealthy`.
    public let health: ServiceHealth.State?
    /// What is waited for, in words; `nil` when nothing is that a person could change.
    public let waitsFor: String?
    /// When a service came into its state, or the first run of a running job was released; `nil` for a job that does not run or is still starting.
    public let since: Timestamp?
    /// How often the restart policy started the service again; 0 for a job.
    public let restarts: Int
    /// A service's start after its pause, or a job's next start: of what is pending the earliest, else the next due time. `nil` when none is to come.
    public let nextAt: Timestamp?
    /// The runs that have not ended.
    public let runs: [RunID]
    /// How the last run ended; `nil` when none has, and for a service that runs.
    public let lastOutcome: Outcome?
    /// Of a job, how many runs in a row succeeded, or did not, up to the last. Of a service, its failures in a row.
    public let streak: Int
    /// What `schedule:` or `restart:` says.
    public let policy: String
}

extension Scheduler {
    /// The projects that have a recipe, ascending.
    public var projects: [ProjectName] { catalogue.recipes.keys.sorted() }

    /// The recipe in force of a project; `nil` when there is none or it cannot be read.
    public func recipe(of project: ProjectName) -> Recipe? { catalogue[project] }

    /// Of all recipes in force and all runs; `nil` when a recipe cannot be read, so that what it needs is not known.
    public var containers: [ContainerSpec]? {
        guard catalogue.unreadable.isEmpty else { return nil }
        return catalogue.recipes.values.flatMap { $0.workloads.map(\.container) } + services.values.map(\.workload.container)
            + jobs.values.map(\.workload.container) + runs.values.map(\.container)
    }

    /// All workloads, ascending by name.
    public var statuses: [WorkloadStatus] {
        let all = services.values.map(status) + jobs.values.map(status)
        return all.sorted { ($0.id, $0.slot) < ($1.id, $1.slot) }
    }

    /// How one service or job stands; `nil` when there is none of this name.
    public func status(of id: WorkloadID) -> WorkloadStatus? { services[InstanceID(id)].map(status) ?? jobs[id].map(status) }

    /// The services and jobs, ascending by name.
    public var workloads: [(id: WorkloadID, kind: WorkloadKind)] {
        (services.keys.filter { $0.slot == 0 }.map { ($0.workload, .service) } + jobs.keys.map { ($0, .job) }).sorted { $0.0 < $1.0 }
    }

    /// The runs of a service or job that have not ended.
    public func activeRuns(of id: WorkloadID) -> [RunID] { instances(of: id).compactMap { services[$0]?.active } + (jobs[id]?.active ?? []) }

    /// Runs that have not ended, ascending.
    public var activeRuns: [RunID] { runs.keys.sorted() }

    /// Whether a run is decided and has not ended.
    public func isActive(_ run: RunID) -> Bool { runs[run] != nil }

    /// The service or job of this name.
    public func workload(_ id: WorkloadID) -> Workload? { services[InstanceID(id)]?.workload ?? jobs[id]?.workload }

    /// Of the jobs that say themselves how much of their past is kept.
    public var keepPolicies: [WorkloadID: KeepPolicy] {
        var kept: [WorkloadID: KeepPolicy] = [:]
        for job in jobs.values {
            let keep = job.policy.keep
            if keep.runs != nil || keep.days != nil { kept[job.record.id] = keep }
        }
        return kept
    }

    private func status(_ service: Service) -> WorkloadStatus {
        let record = service.record
        return WorkloadStatus(
            id: record.id.workload, slot: record.id.slot, kind: .service, state: record.phase.name,
            health: service.active == nil ? nil : record.health?.state, waitsFor: waitingReason(service), since: record.since, restarts: record.restarts,
            nextAt: record.phase.nextStartAt, runs: service.active.map { [$0] } ?? [], lastOutcome: record.lastOutcome, streak: record.failures,
            policy: service.policy.restart.description)
    }

    private func status(_ job: Job) -> WorkloadStatus {
        let next = job.record.pending.map(\.notBefore).min() ?? (job.record.paused ? nil : job.policy.schedule?.next(after: job.record.cursor)?.at)
        let state =
            !job.active.isEmpty
            ? "running"
            : job.policy.schedule?.unavailableZone != nil
                ? "no zone"
                : job.record.paused
                    ? "paused" : job.record.pending.contains { $0.trigger == .retry } ? "retrying" : next == nil ? "idle" : "waiting"
        var policies = job.policy.schedule?.entries.map(\.text) ?? []
        if !job.policy.after.isEmpty { policies.append("after " + job.policy.after.keys.sorted().map(\.description).joined(separator: ", ")) }
        let policy = policies.isEmpty ? "-" : policies.joined(separator: " | ")
        return WorkloadStatus(
            id: job.record.id, slot: 0, kind: .job, state: state, health: nil,
            waitsFor: job.record.pending.contains { $0.needsSince != nil } ? needs(of: job.workload, toBeUp: true).sentence : nil,
            since: job.active.first.flatMap { runs[$0]?.startedAt }, restarts: 0, nextAt: next,
            runs: job.active, lastOutcome: job.record.lastOutcome, streak: job.record.streak, policy: policy)
    }
}
