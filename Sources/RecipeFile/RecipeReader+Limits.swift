internal import WorkloadModel

/// `deploy.resources.limits`, the short keys for the same, and `ulimits`.
extension RecipeReader {
    enum DeployKey: String, CaseIterable { case resources }
    enum ResourcesKey: String, CaseIterable { case limits }
    enum LimitKey: String, CaseIterable { case memory, cpus, pids }
    enum UserLimitKey: String, CaseIterable { case soft, hard }

    mutating func readLimits(_ keys: [String: YAMLNode.Entry], into limits: inout ResourceLimits) {
        if let node = keys[ContainerKey.memLimit.rawValue]?.value { limits.memoryBytes = memory(node) }
        if let node = keys[ContainerKey.cpus.rawValue]?.value { limits.cpuMillis = processors(node) }
        if let node = keys[ContainerKey.pidsLimit.rawValue]?.value { limits.pids = pids(node) ?? limits.pids }
        guard let deploy = keys[ContainerKey.deploy.rawValue]?.value else { return }
        let later = "not supported yet"
        let refused = Dictionary(
            uniqueKeysWithValues: ["endpoint_mode", "labels", "mode", "placement", "replicas", "restart_policy", "rollback_config", "update_config"]
                .map { ($0, later) })
        guard let resources = mapping(deploy, "'deploy'", keys: DeployKey.self, refused: refused)[.resources] else { return }
        guard let limitsNode = mapping(resources, "'resources'", keys: ResourcesKey.self, refused: ["reservations": later])[.limits] else { return }
        let values = mapping(limitsNode, "'limits'", keys: LimitKey.self, refused: ["devices": later])
        for (key, short) in [(LimitKey.memory, ContainerKey.memLimit), (.cpus, .cpus), (.pids, .pidsLimit)] {
            if let node = values[key], keys[short.rawValue] != nil {
                error("'\(key.rawValue)' is given here and as '\(short.rawValue)': give it once", node.place)
            }
        }
        if let node = values[.memory] { limits.memoryBytes = memory(node) }
        if let node = values[.cpus] { limits.cpuMillis = processors(node) }
        if let node = values[.pids] { limits.pids = pids(node) ?? limits.pids }
    }

    private mutating func memory(_ node: YAMLNode) -> Int64? {
        guard let size = bytes(node, "the memory limit") else { return nil }
        if size < 4 << 20 { error("the memory limit is less than 4M: nothing would start", node.place) }
        return size
    }

    private mutating func processors(_ node: YAMLNode) -> Int64? {
        guard let count = number(node, "'cpus'", above: 0) else { return nil }
        if count < 0.01 { error("'cpus' must be at least 0.01", node.place) }
        return Int64((count * 1000).rounded())
    }

    private mutating func pids(_ node: YAMLNode) -> Int64? { integer(node, 1...4_194_304, "the limit of processes") }

    mutating func userLimits(_ node: YAMLNode) -> [UserLimit] {
        guard case .mapping(let entries) = node.content else {
            error("'ulimits' must be a mapping; this is \(node.kindName)", node.place)
            return []
        }
        var limits: [UserLimit] = []
        for entry in entries {
            guard let resource = UserLimit.Resource(rawValue: entry.key) else {
                unknown(entry, known: UserLimit.Resource.allCases.map(\.rawValue))
                continue
            }
            if case .mapping = entry.value.content {
                let values = mapping(entry.value, "'\(entry.key)'", keys: UserLimitKey.self)
                guard let soft = values[.soft].flatMap({ userLimit($0) }), let hard = values[.hard].flatMap({ userLimit($0) }) else {
                    if values[.soft] == nil || values[.hard] == nil { error("'\(entry.key)' needs 'soft' and 'hard', or one number", entry.keyPlace) }
                    continue
                }
                if soft > hard { error("the soft limit is above the hard one", entry.keyPlace) }
                limits.append(UserLimit(resource: resource, soft: soft, hard: hard))
            } else if let value = userLimit(entry.value) {
                limits.append(UserLimit(resource: resource, soft: value, hard: value))
            }
        }
        return limits
    }

    /// A number, or -1 for no limit.
    private mutating func userLimit(_ node: YAMLNode) -> UInt64? {
        integer(node, -1...Int64.max, "a limit").map { $0 == -1 ? .max : UInt64($0) }
    }
}
