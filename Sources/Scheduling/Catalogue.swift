internal import Ledger
internal import WorkloadModel

/// The recipes in force, and what is known of those that could not be read.
struct Catalogue: Sendable {
    private(set) var recipes: [ProjectName: Recipe] = [:]
    /// Projects whose recipe could not be read at the start, and was not applied since.
    var unreadable: Set<ProjectName> = []
    /// Records of those: they rest until a recipe of theirs is applied.
    var restedServices: [InstanceID: ServiceRecord] = [:]
    var restedJobs: [WorkloadID: JobRecord] = [:]
    /// The jobs that come after a job, ascending.
    private(set) var followers: [WorkloadID: [WorkloadID]] = [:]
    /// The services and jobs that depend on a service, ascending.
    private(set) var dependents: [WorkloadID: [WorkloadID]] = [:]
    /// Of the containers that were launched since their recipe was applied; to work one out takes its time.
    private var fingerprints: [WorkloadID: String] = [:]

    subscript(project: ProjectName) -> Recipe? { recipes[project] }

    /// Puts a recipe in force, or takes it out.
    mutating func set(_ project: ProjectName, _ recipe: Recipe?) {
        recipes[project] = recipe
        for id in fingerprints.keys where id.project == project { fingerprints[id] = nil }
        for id in followers.keys where id.project == project { followers[id] = nil }
        for id in dependents.keys where id.project == project { dependents[id] = nil }
        for workload in recipe?.workloads ?? [] {
            for name in (workload.jobPolicy?.after ?? [:]).keys { followers[WorkloadID(project: project, name: name), default: []].append(workload.id) }
            for name in workload.dependsOn.keys { dependents[WorkloadID(project: project, name: name), default: []].append(workload.id) }
        }
    }

    /// How many runs of its jobs a pool holds; `nil` is any number.
    func places(in pool: Pools.Key) -> Int? { recipes[pool.project]?.pools[pool.name] }

    /// Keeps the end of a run of a job that rests.
    ///
    /// - Returns: the job's record as it is to be stored; `nil` when it does not rest
    mutating func hear(_ end: RunEnd, of id: WorkloadID) -> JobRecord? {
        restedJobs[id]?.unheard.append(end)
        return restedJobs[id]
    }

    /// Keeps the end of a run of a service that rests. A run that was withdrawn before it started is not kept: its service is started later.
    ///
    /// - Returns: the service's record as it is to be stored; `nil` when it does not rest
    mutating func hear(_ end: ServiceEnd, of id: InstanceID) -> ServiceRecord? {
        guard !end.stopped || end.startedAt != nil else { return nil }
        restedServices[id]?.unheard = end
        return restedServices[id]
    }

    mutating func fingerprint(of workload: Workload) -> String {
        if let known = fingerprints[workload.id] { return known }
        let fingerprint = workload.container.fingerprint
        fingerprints[workload.id] = fingerprint
        return fingerprint
    }
}
