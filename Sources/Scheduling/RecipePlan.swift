public import Schedules
public import WorkloadModel

/// What a recipe would change, if it were applied.
public struct RecipePlan: Hashable, Sendable {
    public enum Action: String, Sendable, Codable, CaseIterable {
        case start, stop, restart, add, remove, change, keep
    }

    public struct Step: Hashable, Sendable {
        public let id: WorkloadID
        public let kind: WorkloadKind
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

    public var changesNothing: Bool { steps.allSatisfy { $0.action == .keep } }

    /// For people: what a step means that its words do not say.
    public let notes: [String]

    /// Compares two recipes of one project.
    ///
    /// - Parameters:
    ///   - current: `nil` when the project is new
    ///   - resting: the services that do not run and that nothing but a person starts, each with why: `up` starts them
    public static func compare(_ current: Recipe?, _ desired: Recipe, resting: [WorkloadID: String] = [:], at now: Timestamp) -> RecipePlan {
        let old = Dictionary(uniqueKeysWithValues: (current?.workloads ?? []).map { ($0.id, $0) })
        let new = Dictionary(uniqueKeysWithValues: desired.workloads.map { ($0.id, $0) })
        let ids = Set(old.keys).union(new.keys).sorted()
        let steps = ids.map { id in
            let step = step(id, old[id], new[id], now)
            guard let why = resting[id], step.action != .stop else { return step }
            return Step(id: id, kind: step.kind, action: .start, reasons: [why] + step.reasons, nextBefore: nil, nextAfter: nil)
        }
        // Once, when it begins to matter.
        let once = steps.filter { step in
            guard [.start, .restart, .change].contains(step.action), case .service(let policy)? = new[step.id]?.kind else { return false }
            return policy.restart == .no
        }
        return RecipePlan(steps: steps, notes: once.isEmpty ? [] : [note(once.map(\.id.name.description))])
    }

    private static func note(_ names: [String]) -> String {
        let (have, them, start) = names.count == 1 ? ("has", "it", "it ends") : ("have", "them", "they end")
        return "\(names.joined(separator: ", ")) \(have) no 'restart': nothing starts \(them) again when \(start), or after a reboot"
    }

    private static func step(_ id: WorkloadID, _ old: Workload?, _ new: Workload?, _ now: Timestamp) -> Step {
        let before = old?.jobPolicy?.schedule?.next(after: now)?.at
        let after = new?.jobPolicy?.schedule?.next(after: now)?.at
        let isJob = (new ?? old)?.jobPolicy != nil
        let reasons = old.flatMap { old in new.map { differences(old, $0) } } ?? []
        let action: Action
        switch (old, new) {
        case (nil, _): action = isJob ? .add : .start
        case (_, nil): action = isJob ? .remove : .stop
        case (let old?, let new?):
            if reasons.isEmpty { action = .keep } else { action = !isJob && old.container != new.container ? .restart : .change }
        }
        return Step(id: id, kind: isJob ? .job : .service, action: action, reasons: reasons, nextBefore: before, nextAfter: after)
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
        compare("privileged", a.privileged, b.privileged)
        if found.isEmpty, a != b { found.append("container") }
        switch (old.kind, new.kind) {
        case (.service(let left), .service(let right)): compare("restart", left.restart, right.restart)
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
            compare("keep", left.keep, right.keep)
            if found.isEmpty, left != right { found.append("policy") }
        case (.service, .job), (.job, .service): found.append("kind")
        }
        return found
    }
}
