public import Schedules

/// One named entry of a recipe.
public struct Workload: Hashable, Sendable {
    /// Whether it is a service or a job, with the policy of that kind.
    public enum Kind: Hashable, Sendable {
        /// It is kept on.
        case service(ServicePolicy)
        /// It runs at its times, or by hand.
        case job(JobPolicy)
    }

    /// What all copies share: a recipe may have a hundred thousand, and each is in the recipe and in what is made of it.
    private final class Body: Sendable {
        let container: ContainerSpec
        let kind: Kind

        init(_ container: ContainerSpec, _ kind: Kind) {
            self.container = container
            self.kind = kind
        }
    }

    /// Its project and name.
    public let id: WorkloadID
    private let body: Body

    /// The container and the policy are stored once and shared by all copies of the value.
    public init(id: WorkloadID, container: ContainerSpec, kind: Kind) {
        self.id = id
        body = Body(container, kind)
    }

    /// The container that each of its runs starts from.
    public var container: ContainerSpec { body.container }

    /// Service or job, with its policy.
    public var kind: Kind { body.kind }

    /// Equal id, container and policy.
    public static func == (left: Workload, right: Workload) -> Bool {
        left.id == right.id && (left.body === right.body || left.container == right.container && left.kind == right.kind)
    }

    /// Hashes the id and the container; the policy is left out.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(id)
        hasher.combine(container)
    }

    /// `nil` for a service.
    public var jobPolicy: JobPolicy? {
        if case .job(let policy) = body.kind { policy } else { nil }
    }
}

extension Workload {
    /// What must be true of services before it is started.
    public var dependsOn: [WorkloadName: Dependency] {
        switch kind {
        case .service(let policy): policy.dependsOn
        case .job(let policy): policy.dependsOn
        }
    }
}

/// How a service is kept on.
public struct ServicePolicy: Hashable, Sendable {
    /// When it is started again after its container ended.
    public var restart: RestartPolicy
    /// What must be true of other services before it is started.
    public var dependsOn: [WorkloadName: Dependency]
    /// What becomes of it when its health check says that it does not work.
    public var onUnhealthy: UnhealthyPolicy

    /// The defaults are Compose's.
    public init(restart: RestartPolicy = .no, dependsOn: [WorkloadName: Dependency] = [:], onUnhealthy: UnhealthyPolicy = .nothing) {
        self.restart = restart
        self.dependsOn = dependsOn
        self.onUnhealthy = onUnhealthy
    }
}

/// When and how a job runs.
public struct JobPolicy: Hashable, Sendable {
    /// `nil` is by hand only.
    public var schedule: Schedule?
    /// What happens at a due time while a run is going.
    public var overlap: OverlapPolicy
    /// Which missed due times are run later.
    public var missed: MissedPolicy
    /// How often a failed run is tried again.
    public var retries: RetryPolicy
    /// How long one run may take.
    public var timeout: Duration?
    /// How late a run may still start.
    public var deadline: Duration?
    /// Exit codes that count as success.
    public var successCodes: Set<Int32>
    /// What becomes of a run whose end nobody saw.
    public var onLost: LostPolicy
    /// The pool of the recipe in which it takes a place while it runs.
    public var pool: WorkloadName?
    /// The jobs that it comes after, and how they must have ended.
    ///
    /// Without a schedule, it starts once all of them have ended so. With one, the schedule says when: at a due time it
    /// waits for those that are still going, and is skipped when the last run of one of them ended otherwise.
    public var after: [WorkloadName: AfterCondition]
    /// What must be true of services before it is started. Those that are not up are started, and waited for.
    public var dependsOn: [WorkloadName: Dependency]
    /// How much of its past is kept.
    public var keep: KeepPolicy

    /// The defaults are those of a recipe that says nothing.
    public init(
        schedule: Schedule? = nil, overlap: OverlapPolicy = .skip, missed: MissedPolicy = MissedPolicy(), retries: RetryPolicy = RetryPolicy(),
        timeout: Duration? = nil, deadline: Duration? = nil, successCodes: Set<Int32> = [0], onLost: LostPolicy = .record,
        pool: WorkloadName? = nil, after: [WorkloadName: AfterCondition] = [:], dependsOn: [WorkloadName: Dependency] = [:],
        keep: KeepPolicy = KeepPolicy()
    ) {
        self.schedule = schedule
        self.overlap = overlap
        self.missed = missed
        self.retries = retries
        self.timeout = timeout
        self.deadline = deadline
        self.successCodes = successCodes
        self.onLost = onLost
        self.pool = pool
        self.after = after
        self.dependsOn = dependsOn
        self.keep = keep
    }
}

/// The file, read: which containers run, and when.
public struct Recipe: Hashable, Sendable {
    /// The name that its workloads' ids begin with.
    public let project: ProjectName
    /// Ascending by name.
    public let workloads: [Workload]
    /// The names of its volumes, ascending.
    public let volumes: [String]
    /// How many jobs of each pool may run at once.
    public let pools: [WorkloadName: Int]
    /// The networks that its workloads are on, ascending by key.
    public let networks: [NetworkSpec]
    /// When images of registries are brought in, by the image's description; `missing` for those that are not named.
    public let pullPolicies: [String: PullPolicy]
    /// SHA-256, in hexadecimal, of the text, the values of the variables it uses, and the files that it names.
    public let digest: String

    /// `workloads`, `volumes` and `networks` must be ascending by name; this is not checked.
    public init(
        project: ProjectName, workloads: [Workload], volumes: [String], pools: [WorkloadName: Int] = [:], networks: [NetworkSpec] = [],
        pullPolicies: [String: PullPolicy] = [:], digest: String
    ) {
        self.project = project
        self.workloads = workloads
        self.volumes = volumes
        self.pools = pools
        self.networks = networks
        self.pullPolicies = pullPolicies
        self.digest = digest
    }

    /// The service or job of an id; `nil` when the recipe has none.
    public subscript(id: WorkloadID) -> Workload? {
        var range = workloads.indices
        while let middle = range.isEmpty ? nil : range.lowerBound + range.count / 2 {
            if workloads[middle].id == id { return workloads[middle] }
            range = workloads[middle].id < id ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return nil
    }
}

extension Recipe {
    /// The recipe with the digests of its images; those that are not named keep what they have.
    ///
    /// - Parameter digests: by the image's description
    public func with(images digests: [String: String]) -> Recipe {
        let workloads = workloads.map { workload in
            guard var image = workload.container.image, let digest = digests[image.description] else { return workload }
            image.digest = digest
            var container = workload.container
            container.root = .image(image)
            return Workload(id: workload.id, container: container, kind: workload.kind)
        }
        return Recipe(project: project, workloads: workloads, volumes: volumes, pools: pools, networks: networks, pullPolicies: pullPolicies, digest: digest)
    }
}
