internal import Ledger
public import Schedules
public import WorkloadModel

/// What a recipe changes, or would change: read off the decision itself.
public struct RecipePlan: Hashable, Sendable {
    /// What becomes of a service or job.
    public enum Action: String, Sendable, Codable, CaseIterable {
        /// `start`, `stop` and `restart` are for services, `add` and `remove` for jobs, `change` and `keep` for both. A service that changes
        /// without a new container has `change`.
        case start, stop, restart, add, remove, change, keep
    }

    /// What becomes of one service or job.
    public struct Step: Hashable, Sendable {
        /// The service or job.
        public let id: WorkloadID
        /// Which of the two it is; where the recipe changes that, the new one.
        public let kind: WorkloadKind
        /// `keep` when nothing changes.
        public let action: Action
        /// What makes the difference, for people; empty when nothing does.
        public let reasons: [String]
        /// A job's next due time as things are.
        public let nextBefore: Timestamp?
        /// A job's next due time with the recipe.
        public let nextAfter: Timestamp?
    }

    /// Ascending by name.
    public let steps: [Step]

    /// Whether every service and job stays as it is.
    public var changesNothing: Bool { steps.allSatisfy { $0.action == .keep } }

    /// For people: what a step means that its words do not say.
    public let notes: [String]

    /// Reads a plan off a decision.
    ///
    /// - Parameters:
    ///   - before: the scheduler before it took the recipe in
    ///   - after: the same after it
    ///   - decision: what it decided
    init(_ project: ProjectName, _ before: Scheduler, _ after: Scheduler, _ decision: Decision, at now: Timestamp) {
        var started: Set<WorkloadID> = []
        for case .openRun(let run) in decision.writes where run.kind == .service { started.insert(run.workload) }
        // While the history takes no writes a start is only noted.
        for case .service(let record) in decision.writes
        where [.starting, .waiting].contains(record.phase) && before.services[record.id]?.record.phase != record.phase {
            started.insert(record.id.workload)
        }
        let ids = [before, after].flatMap { scheduler in
            scheduler.services.keys.map(\.workload).filter { $0.project == project } + scheduler.jobs.keys.filter { $0.project == project }
        }
        steps = Set(ids).sorted().compactMap { id in RecipePlan.step(id, before, after, isStarted: started.contains(id), now) }
        // Once, when it begins to matter.
        let once = steps.filter { step in
            guard [.start, .restart, .change].contains(step.action), let service = after.services[InstanceID(step.id)] else { return false }
            return service.policy.restart == .no
        }
        notes = once.isEmpty ? [] : [RecipePlan.note(once.map(\.id.name.description))]
    }

    private static func note(_ names: [String]) -> String {
        let (have, them, start) = names.count == 1 ? ("has", "it", "it ends") : ("have", "them", "they end")
        return "\(names.joined(separator: ", ")) \(have) no 'restart': nothing starts \(them) again when \(start), or after a reboot"
    }

    /// What becomes of one service or job; `nil` of one that is gone but for its last run.
    private static func step(_ id: WorkloadID, _ before: Scheduler, _ after: Scheduler, isStarted: Bool, _ now: Timestamp) -> Step? {
        let old = before.wanted(id)
        let new = after.wanted(id)
        guard old != nil || new != nil else { return nil }
        let isJob = (new ?? old)?.jobPolicy != nil
        let differences = old.flatMap { old in new.map { RecipePlan.differences(old, $0) } } ?? []
        let instance = InstanceID(id)
        let record = before.services[instance]?.record
        let isRaised = record?.generation != after.services[instance]?.record.generation
        // Why it does not run, or is not to.
        let rests = !isJob && (isStarted || isRaised) ? record.flatMap(RecipePlan.rest) : nil
        let action: Action =
            switch (old, new) {
            case (nil, _): isJob ? .add : .start
            case (_, nil): isJob ? .remove : .stop
            default:
                if isJob {
                    differences.isEmpty ? .keep : .change
                } else if isStarted || old?.jobPolicy != nil {
                    rests != nil || old?.jobPolicy != nil || differences.isEmpty ? .start : .restart
                } else if isRaised {
                    // What runs ends, and another one takes its place; one that was being stopped is started again.
                    record?.wanted == false && differences.isEmpty ? .start : .restart
                } else {
                    differences.isEmpty ? .keep : .change
                }
            }
        let waits = !isJob && [.start, .restart].contains(action) ? (new?.dependsOn ?? [:]).sorted { $0.key < $1.key }.map { $0.value.words(for: $0.key) } : []
        return Step(
            id: id, kind: isJob ? .job : .service, action: action, reasons: (rests.map { [$0] } ?? []) + differences + waits,
            nextBefore: old?.jobPolicy?.schedule?.next(after: now)?.at, nextAfter: new?.jobPolicy?.schedule?.next(after: now)?.at)
    }

    /// Why a service rests; `nil` when it does not.
    private static func rest(_ record: ServiceRecord) -> String? {
        if !record.wanted { return "stopped by hand" }
        return switch record.phase {
        case .stopped: "stopped by hand"
        case .exited: "ended"
        case .failed: "failed"
        case .starting, .running, .stopping, .waiting, .backoff: nil
        }
    }

    private static func compareTuning(_ a: ContainerTuning, _ b: ContainerTuning, _ found: inout [String]) {
        func compare<Value: Equatable>(_ name: String, _ left: Value, _ right: Value) { if left != right { found.append(name) } }
        compare("group_add", a.groups, b.groups)
        compare("sysctls", a.sysctls, b.sysctls)
        compare("oom_score_adj", a.oomScore, b.oomScore)
        compare("cpuset", a.processors, b.processors)
        compare("cpu_shares", a.processorShares, b.processorShares)
        compare("mem_reservation", a.memoryReservation, b.memoryReservation)
        compare("memswap_limit", a.memoryAndSwap, b.memoryAndSwap)
        compare("pid", a.processesOf?.description ?? "\(a.hostProcesses)", b.processesOf?.description ?? "\(b.hostProcesses)")
        compare("ipc", a.memoryOf?.description ?? "\(a.hostIPC)", b.memoryOf?.description ?? "\(b.hostIPC)")
        compare("tty", a.hasTerminal ?? false, b.hasTerminal ?? false)
        compare("uts", a.hostName, b.hostName)
        compare("stdin_open", a.opensInput, b.opensInput)
        compare("devices", a.devices, b.devices)
        compare("device_cgroup_rules", a.deviceRules, b.deviceRules)
        compare("blkio_config", a.blockIO, b.blockIO)
        compare("gpus", a.capabilitiesOfDevices, b.capabilitiesOfDevices)
    }

    /// What differs, by the recipe's own words.
    private static func differences(_ old: Workload, _ new: Workload) -> [String] {
        var found: [String] = []
        func compare<Value: Equatable>(_ name: String, _ left: Value, _ right: Value) {
            if left != right { found.append(name) }
        }
        let (a, b) = (old.container, new.container)
        compare("image", a.root, b.root)
        compare("entrypoint", a.entrypoint, b.entrypoint)
        compare("command", a.command, b.command)
        compare("environment", a.environment, b.environment)
        compare("working_dir", a.workingDirectory, b.workingDirectory)
        compare("user", a.user, b.user)
        compare("hostname", a.hostname, b.hostname)
        compare("volumes", a.mounts, b.mounts)
        compare("tmpfs", a.temporaryFileSystems, b.temporaryFileSystems)
        compare("limits", a.limits, b.limits)
        compare("ulimits", a.resourceLimits, b.resourceLimits)
        compare("network_mode", a.network, b.network)
        compare("logging", a.logsToJournal ?? false, b.logsToJournal ?? false)
        compare("container_name", a.containerName, b.containerName)
        compare("labels", a.labels, b.labels)
        compare("networks", a.attachments, b.attachments)
        compare("ports", a.ports, b.ports)
        compare("extra_hosts", a.extraHosts, b.extraHosts)
        compare("links", a.links, b.links)
        compare("dns", a.resolver, b.resolver)
        compare("domainname", a.domainName, b.domainName)
        compare("secrets and configs", a.files, b.files)
        compare("healthcheck", a.healthCheck, b.healthCheck)
        compareTuning(a.tuning?.value ?? ContainerTuning(), b.tuning?.value ?? ContainerTuning(), &found)
        compare("privileged", a.privileged, b.privileged)
        if found.isEmpty, a != b { found.append("container") }
        switch (old.kind, new.kind) {
        case (.service(let left), .service(let right)):
            compare("restart", left.restart, right.restart)
            compare("depends_on", left.dependsOn, right.dependsOn)
            compare("on_unhealthy", left.onUnhealthy, right.onUnhealthy)
        case (.job(let left), .job(let right)):
            compare("schedule", left.schedule, right.schedule)
            compare("overlap", left.overlap, right.overlap)
            compare("missed", left.missed, right.missed)
            compare("retries", left.retries, right.retries)
            compare("timeout", left.timeout, right.timeout)
            compare("deadline", left.deadline, right.deadline)
            compare("success_codes", left.successCodes, right.successCodes)
            compare("on_lost", left.onLost, right.onLost)
            compare("pool", left.pool, right.pool)
            compare("after", left.after, right.after)
            compare("depends_on", left.dependsOn, right.dependsOn)
            compare("keep", left.keep, right.keep)
            if found.isEmpty, left != right { found.append("policy") }
        case (.service, .job), (.job, .service): found.append("kind")
        }
        return found
    }
}

extension Scheduler {
    /// What a recipe would change if somebody applied it now: the decision of a copy.
    public func plan(_ recipe: Recipe, at moment: Moment) -> RecipePlan {
        var copy = self
        // A write that takes long changes nothing of what the recipe does.
        copy.holds.remove(.historyFails)
        let decision = copy.apply(.apply(recipe, explicit: true, actor: ""), at: moment)
        return RecipePlan(recipe.project, self, copy, decision, at: moment.wall)
    }

    /// Takes a recipe in, and says what that changes.
    public mutating func take(_ recipe: Recipe, explicit: Bool, actor: String, at moment: Moment) -> (Decision, RecipePlan) {
        let before = self
        let decision = apply(.apply(recipe, explicit: explicit, actor: actor), at: moment)
        return (decision, RecipePlan(recipe.project, before, self, decision, at: moment.wall))
    }

    /// A service or job that a recipe has.
    fileprivate func wanted(_ id: WorkloadID) -> Workload? {
        if let service = services[InstanceID(id)], !service.removing { return service.workload }
        if let job = jobs[id], !job.removing { return job.workload }
        return nil
    }
}
