public import Schedules
public import HostOS
public import WorkloadModel

/// Short ways to make what tests need.
public enum Make {
    /// The tz database of the host.
    public static let zones = SystemZones()

    /// The zone of this name in the host's tz database; ends the test process when there is none.
    public static func zone(_ name: String) -> Zone {
        do { return try zones.zone(name) } catch { fatalError("tests need the tz database: \(error)") }
    }

    /// The instant of an RFC 3339 text; ends the test process when it is none.
    public static func time(_ text: String) -> Timestamp {
        guard let time = Timestamp(rfc3339: text) else { fatalError("'\(text)' is not a time") }
        return time
    }

    /// The service or job of this name; ends the test process when a name is invalid.
    public static func id(_ name: String, project: String = "shop") -> WorkloadID {
        do { return WorkloadID(project: try ProjectName(project), name: try WorkloadName(name)) } catch { fatalError("\(error)") }
    }

    /// The only copy of the service or job of this name in the project `shop`.
    public static func instance(_ name: String) -> InstanceID { InstanceID(id(name)) }

    /// A request to run `true`, or what is given.
    public static func request(
        _ name: String, _ number: UInt32, at time: Timestamp, kind: WorkloadKind = .job, trigger: Trigger = .manual, container: ContainerSpec? = nil,
        timeout: Duration? = nil, describe: (inout Run) -> Void = { _ in }
    ) -> RunRequest {
        var run = Run(id: RunID(now: time, random: number), instance: instance(name), kind: kind, trigger: trigger, decidedAt: time)
        run.bootID = "boot"
        run.recipeDigest = "d"
        let container = container ?? Make.container("true")
        run.fingerprint = container.fingerprint
        describe(&run)
        return RunRequest(run: run, container: container, timeout: timeout)
    }

    /// A schedule of one entry, with the seed `shop/job`; ends the test process when the text is no schedule.
    public static func schedule(_ text: String, zone: Zone = .utc, _ clockChanges: ClockChangeRule = .cron, except: [ClosedRange<CivilDate>] = []) -> Schedule {
        do {
            let rule = try ScheduleRule(text, seed: "shop/job")
            return Schedule([ScheduleEntry(text: text, rule: rule, zone: zone, seed: "shop/job", clockChanges: clockChanges, except: except)])
        } catch { fatalError("'\(text)': \(error)") }
    }

    /// A job of the project `shop` that runs `true` on the host's root.
    public static func job(_ name: String, _ policy: JobPolicy) -> Workload {
        Workload(id: id(name), container: container("true"), kind: .job(policy))
    }

    /// A service of the project `shop` that runs a command on the host's root.
    ///
    /// - Parameter change: changes the container and the policy
    public static func service(
        _ name: String, _ restart: RestartPolicy, command: String = "serve", change: (inout ContainerSpec, inout ServicePolicy) -> Void = { _, _ in }
    ) -> Workload {
        var container = container(command)
        var policy = ServicePolicy(restart: restart)
        change(&container, &policy)
        return Workload(id: id(name), container: container, kind: .service(policy))
    }

    /// A container that runs a command, a single word, on the host's root.
    public static func container(_ command: String) -> ContainerSpec {
        var container = ContainerSpec(root: .host)
        container.command = [command]
        return container
    }

    /// A recipe of the project `shop` without volumes.
    ///
    /// - Parameter pools: how many jobs of each pool may run at once
    public static func recipe(_ workloads: Workload..., pools: [String: Int] = [:], digest: String = "d") -> Recipe {
        Recipe(
            project: id("x").project, workloads: workloads.sorted { $0.id < $1.id }, volumes: [],
            pools: Dictionary(uniqueKeysWithValues: pools.map { (id($0.key).name, $0.value) }), digest: digest)
    }
}
