internal import Schedules
internal import WorkloadModel

/// What containers depend on, and how they are asked whether they work (Compose Specification, `depends_on` and `healthcheck`).
extension RecipeReader {
    enum HealthKey: String, CaseIterable {
        case test, interval, timeout, retries, startPeriod = "start_period", startInterval = "start_interval", disable, onUnhealthy = "on_unhealthy"
    }
    enum DependencyKey: String, CaseIterable { case condition, required, restart }

    mutating func healthCheck(_ node: YAMLNode) -> HealthCheckSpec? {
        guard !node.isNull else { return nil }
        let keys = mapping(node, "'healthcheck'", keys: HealthKey.self)
        var check = HealthCheckSpec()
        if let node = keys[.test] { check.test = healthTest(node) }
        if let node = keys[.disable], bool(node) == true { check.test = .disabled }
        // As in Docker, a time of 0 says nothing.
        check.interval = keys[.interval].flatMap { pause($0) }
        check.timeout = keys[.timeout].flatMap { pause($0) }
        check.startPeriod = keys[.startPeriod].flatMap { pause($0) }
        check.startInterval = keys[.startInterval].flatMap { pause($0) }
        if let node = keys[.retries], !node.isNull, let count = integer(node, 0...1_000_000, "'retries'"), count > 0 { check.retries = Int(count) }
        return check == HealthCheckSpec() ? nil : check
    }

    private mutating func pause(_ node: YAMLNode) -> Duration? {
        guard !node.isNull, let duration = duration(node) else { return nil }
        if duration < .zero { error("a time from now on is expected here, not one before", node.place) }
        return duration > .zero ? duration : nil
    }

    private mutating func healthTest(_ node: YAMLNode) -> HealthCheckSpec.Test? {
        if case .scalar = node.content {
            guard !node.isNull, let text = text(node), !text.isEmpty else { return nil }
            return .shell(text)
        }
        let words = texts(node)
        guard let first = words.first else { return nil }
        switch first {
        case "NONE": return .disabled
        case "CMD" where words.count > 1: return .command(Array(words.dropFirst()))
        // As Docker: the shell gets one text, and no other is looked at.
        case "CMD-SHELL" where words.count > 1: return .shell(words[1])
        case "CMD", "CMD-SHELL": error("'\(first)' needs a command after it", node.place)
        default:
            error("'test' begins with CMD, CMD-SHELL or NONE, not with '\(first)': write [\"CMD\", \"\(first)\", ...], or one text for a shell", node.place)
        }
        return nil
    }

    mutating func unhealthyPolicy(_ keys: [String: YAMLNode.Entry]) -> UnhealthyPolicy {
        guard let node = keys[ContainerKey.healthcheck.rawValue]?.value, case .mapping(let entries) = node.content,
            let entry = entries.first(where: { $0.key == HealthKey.onUnhealthy.rawValue })
        else { return .nothing }
        return choice(entry.value, "'on_unhealthy'", UnhealthyPolicy.self) ?? .nothing
    }

    mutating func dependencies(_ node: YAMLNode?, of name: WorkloadName) -> [WorkloadName: Dependency] {
        guard let node, !node.isNull else { return [:] }
        var found: [WorkloadName: Dependency] = [:]
        func add(_ text: String, _ place: Place, _ dependency: Dependency) {
            do {
                let other = try WorkloadName(text)
                found[other] = dependency
                dependencyPlaces[name, default: [:]][other] = place
            } catch { self.error(error.description, place) }
        }
        switch node.content {
        case .sequence(let items): for item in items { if let text = text(item) { add(text, item.place, Dependency()) } }
        case .mapping(let entries):
            for entry in entries {
                var dependency = Dependency()
                if !entry.value.isNull {
                    let keys = mapping(entry.value, "a dependency", keys: DependencyKey.self)
                    if let node = keys[.condition], let condition = choice(node, "'condition'", Dependency.Condition.self) { dependency.condition = condition }
                    if let node = keys[.required] { dependency.required = bool(node) ?? true }
                    if let node = keys[.restart] { dependency.restart = bool(node) ?? false }
                }
                add(entry.key, entry.keyPlace, dependency)
            }
        case .scalar: error("'depends_on' must be a list of services, or a mapping of them to conditions; this is \(node.kindName)", node.place)
        }
        return found
    }

    /// Those whose network or whose name a container uses are started before it, as in Compose.
    mutating func addImplied(_ keys: [String: YAMLNode.Entry], _ container: ContainerSpec, of own: WorkloadName, to found: inout [WorkloadName: Dependency]) {
        var names: [(WorkloadName, Place)] = []
        if let entry = keys[ContainerKey.links.rawValue] {
            for text in texts(entry.value) {
                guard let name = try? WorkloadName(String(text.prefix { $0 != ":" })) else { continue }
                names.append((name, entry.keyPlace))
            }
        }
        if case .service(let name) = container.network { names.append((name, keys[ContainerKey.networkMode.rawValue]?.keyPlace ?? Place(line: 1, column: 1))) }
        var together: Set<WorkloadName> = []
        for (key, name) in [(ContainerKey.pid, container.tuning?.value.processesOf), (.ipc, container.tuning?.value.memoryOf)] {
            guard let name else { continue }
            names.append((name, keys[key.rawValue]?.keyPlace ?? Place(line: 1, column: 1)))
            together.insert(name)
        }
        for (name, place) in names where found[name] == nil {
            // What a new container of the one has, the old one of the other does not share.
            found[name] = Dependency(restart: together.contains(name))
            impliedPlaces[own, default: [:]][name] = place
        }
    }

    /// Whether what is depended on is there, and can come to be as it must be.
    mutating func checkDependencies(_ workloads: [Workload], known: some Collection<WorkloadName>) {
        guard !dependencyPlaces.isEmpty || !impliedPlaces.isEmpty else { return }
        let byName = Dictionary(workloads.map { ($0.id.name, $0) }) { first, _ in first }
        let known = Set(known)
        var before: [WorkloadName: [WorkloadName]] = [:]
        for workload in workloads where !workload.dependsOn.isEmpty {
            before[workload.id.name] = workload.dependsOn.keys.sorted()
            for (name, dependency) in workload.dependsOn {
                guard let place = dependencyPlaces[workload.id.name]?[name] else { continue }
                if let other = byName[name] {
                    check(dependency, of: workload, on: other, place)
                } else if leftOut.contains(name) {
                    if dependency.required {
                        error("'\(name)' is left out, because none of its profiles was asked for: ask for one by --profile, or write 'required: false'", place)
                    }
                } else if !known.contains(name), dependency.required || Suggestion.nearest(to: name.description, among: known.map(\.description)) != nil {
                    let hint = Suggestion.nearest(to: name.description, among: known.map(\.description)).map { "; did you mean '\($0)'?" } ?? ""
                    error("there is no service '\(name)'\(hint)", place)
                }
            }
        }
        let places = dependencyPlaces.merging(impliedPlaces) { $0.merging($1) { first, _ in first } }
        reportCycles(before, places) { "this depends on itself: \($0.joined(separator: " on "))" }
    }

    private mutating func check(_ dependency: Dependency, of workload: Workload, on other: Workload, _ place: Place) {
        let name = other.id.name
        if other.jobPolicy != nil {
            error(
                workload.jobPolicy == nil
                    ? "'\(name)' is a job, which runs at its time: a service depends on services"
                    : "'\(name)' is a job: write 'after: { \(name): success }' to run after it", place)
            return
        }
        let hasNone = other.container.healthCheck?.value.test == .disabled || other.container.image == nil && other.container.healthCheck?.value.test == nil
        if dependency.condition == .healthy, hasNone { error("'\(name)' has no 'healthcheck', so it is never healthy", place) }
    }
}
