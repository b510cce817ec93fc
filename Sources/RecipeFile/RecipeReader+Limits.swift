internal import WorkloadModel

/// `deploy.resources.limits`, the short keys for the same, and `ulimits`.
extension RecipeReader {
    enum DeployKey: String, CaseIterable {
        case resources, replicas, mode, placement, labels, endpointMode = "endpoint_mode", restartPolicy = "restart_policy", updateConfig = "update_config"
        case rollbackConfig = "rollback_config"
    }
    enum RestartPolicyKey: String, CaseIterable { case condition, delay, maxAttempts = "max_attempts", window }
    enum ResourcesKey: String, CaseIterable { case limits, reservations }
    enum LimitKey: String, CaseIterable { case memory, cpus, pids }
    enum UserLimitKey: String, CaseIterable { case soft, hard }

    mutating func readLimits(_ keys: [String: YAMLNode.Entry], into limits: inout ResourceLimits) {
        if let node = keys[ContainerKey.memLimit.rawValue]?.value { limits.memoryBytes = memory(node) }
        if let node = keys[ContainerKey.cpus.rawValue]?.value { limits.cpuMillis = processors(node) }
        if let node = keys[ContainerKey.pidsLimit.rawValue]?.value { limits.pids = pids(node) ?? limits.pids }
        guard let deploy = keys[ContainerKey.deploy.rawValue]?.value else { return }
        let later = "not supported yet"
        if deploy.isNull { return }
        let deployment = mapping(deploy, "'deploy'", keys: DeployKey.self)
        readDeployment(deployment)
        guard let resources = deployment[.resources], !resources.isNull else { return }
        guard let limitsNode = mapping(resources, "'resources'", keys: ResourcesKey.self)[.limits], !limitsNode.isNull else { return }
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

    /// What `deploy` says of many hosts, or of many copies: on one host most of it means nothing, which is said.
    private mutating func readDeployment(_ keys: [DeployKey: YAMLNode]) {
        if let node = keys[.replicas], let count = integer(node, 0...1_000_000, "'replicas'"), count != 1 {
            error("'replicas: \(count)' is not supported yet: a service is one container", node.place)
        }
        if let node = keys[.mode], let text = text(node) {
            if text.hasSuffix("-job") {
                error("'mode: \(text)' is not supported: write it under 'jobs:'", node.place)
            } else if text != "replicated", text != "global" {
                error("'\(text)' is not a mode: use replicated or global", node.place)
            }
        }
        if let node = keys[.labels] { _ = pairs(node, "'labels'") }
        for key in [DeployKey.placement, .endpointMode, .updateConfig, .rollbackConfig] {
            if let node = keys[key], !node.isNull { warning("'\(key.rawValue)' of 'deploy' means nothing on one host", node.place) }
        }
    }

    private mutating func memory(_ node: YAMLNode) -> Int64? {
        guard let size = bytes(node, "the memory limit") else { return nil }
        // No limit, as in Compose.
        if size == 0 { return nil }
        if size < 4 << 20 { error("the memory limit is less than 4M: nothing would start", node.place) }
        return size
    }

    private mutating func processors(_ node: YAMLNode) -> Int64? {
        // No limit, as in Compose.
        if case .scalar = node.content, !node.isNull, text(node).flatMap({ Double($0) }) == 0 { return nil }
        guard let count = number(node, "'cpus'", above: 0) else { return nil }
        if count < 0.01 { error("'cpus' must be at least 0.01", node.place) }
        return Int64((count * 1000).rounded())
    }

    /// -1 and 0 are no limit but the kernel's own, as in Compose.
    private mutating func pids(_ node: YAMLNode) -> Int64? {
        integer(node, -1...RecipeReader.mostProcesses, "the limit of processes").map { $0 < 1 ? RecipeReader.mostProcesses : $0 }
    }

    /// PID_MAX_LIMIT of the kernel.
    private static let mostProcesses: Int64 = 4_194_304

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
