internal import Schedules
internal import WorkloadModel

/// What jobs have to do with one another: pools, and jobs that come after others.
extension RecipeReader {
    mutating func readPools(_ node: YAMLNode?) {
        guard let node, !node.isNull else { return }
        guard case .mapping(let entries) = node.content else {
            error("'pools' must be a mapping of names to numbers, such as heavy: 2; this is \(node.kindName)", node.place)
            return
        }
        for entry in entries {
            do {
                let name = try WorkloadName(entry.key)
                pools[name] = integer(entry.value, 1...100_000, "the number of jobs of pool '\(name)' that may run at once").map { Int($0) } ?? 1
            } catch { self.error("invalid name of a pool: \(error.description)", entry.keyPlace) }
        }
    }

    mutating func pool(_ node: YAMLNode) -> WorkloadName? {
        guard let text = text(node) else { return nil }
        if let name = try? WorkloadName(text), pools[name] != nil { return name }
        let hint = Suggestion.nearest(to: text, among: pools.keys.map(\.description)).map { "did you mean '\($0)'?" }
        error("there is no pool '\(text)'; \(hint ?? "say under 'pools:' at the top how many of its jobs may run at once")", node.place)
        return nil
    }

    mutating func after(_ node: YAMLNode, of job: WorkloadName) -> [WorkloadName: AfterCondition] {
        guard case .mapping(let entries) = node.content else {
            error("'after' must be a mapping of jobs to success, failure or always; this is \(node.kindName)", node.place)
            return [:]
        }
        if entries.isEmpty { error("'after' names no job", node.place) }
        var found: [WorkloadName: AfterCondition] = [:]
        for entry in entries {
            do {
                let name = try WorkloadName(entry.key)
                afterPlaces[job, default: [:]][name] = entry.keyPlace
                if let condition = choice(entry.value, "'after'", AfterCondition.self) { found[name] = condition }
            } catch { self.error(error.description, entry.keyPlace) }
        }
        return found
    }

    mutating func keep(_ node: YAMLNode) -> KeepPolicy {
        let keys = mapping(node, "'keep'", keys: KeepKey.self)
        var policy = KeepPolicy()
        if let node = keys[.runs] { policy.runs = integer(node, 1...1_000_000, "'runs'").map { Int($0) } }
        if let node = keys[.days] { policy.days = integer(node, 1...36500, "'days'").map { Int($0) } }
        if let node = keys[.log], let size = bytes(node, "'log'") {
            if size < 65536 { error("'log' must be at least 64k: less holds neither the beginning nor the end of a run", node.place) }
            policy.logBytes = size
        }
        return policy
    }

    /// Whether every job that is named in an `after` is there, and none comes after itself.
    mutating func checkChains(_ workloads: [Workload], known: some Sequence<WorkloadName>) {
        let known = Set(known)
        var before: [WorkloadName: [WorkloadName]] = [:]
        for workload in workloads {
            guard let after = workload.jobPolicy?.after, !after.isEmpty else { continue }
            before[workload.id.name] = after.keys.sorted()
        }
        guard !before.isEmpty else { return }
        let services = Set(workloads.filter { $0.jobPolicy == nil }.map(\.id.name))
        for (job, names) in before {
            for name in names {
                guard let place = afterPlaces[job]?[name] else { continue }
                if services.contains(name) {
                    error("'\(name)' is a service, and a service does not end: a job comes after jobs", place)
                } else if !known.contains(name) {
                    let hint = Suggestion.nearest(to: name.description, among: known.map(\.description)).map { "; did you mean '\($0)'?" } ?? ""
                    error("there is no job '\(name)'\(hint)", place)
                }
            }
        }
        reportCycles(before, afterPlaces) { "this job comes after itself: \($0.joined(separator: " after "))" }
    }

    /// Follows each name back to what comes before it; one that is met again on the way there is in a circle.
    mutating func reportCycles(
        _ before: [WorkloadName: [WorkloadName]], _ places: [WorkloadName: [WorkloadName: Place]], words: ([String]) -> String
    ) {
        var done: Set<WorkloadName> = []
        for start in before.keys.sorted() where !done.contains(start) {
            var path: [(name: WorkloadName, rest: ArraySlice<WorkloadName>)] = [(start, before[start, default: []][...])]
            while let last = path.indices.last {
                guard let next = path[last].rest.popFirst() else {
                    done.insert(path.removeLast().name)
                    continue
                }
                if let first = path.firstIndex(where: { $0.name == next }) {
                    let circle = path[first...].map(\.name.description) + [next.description]
                    error(words(circle), places[path[last].name]?[next] ?? Place(line: 1, column: 1))
                } else if !done.contains(next), before[next] != nil {
                    path.append((next, before[next, default: []][...]))
                }
            }
        }
    }
}
