internal import Schedules
internal import WorkloadModel

/// What few containers ask for: what they have of the host, and finer limits.
extension RecipeReader {
    enum DeviceKey: String, CaseIterable { case source, target, permissions }
    enum ReservationKey: String, CaseIterable { case memory, cpus, devices, genericResources = "generic_resources" }
    enum ReservedDeviceKey: String, CaseIterable { case capabilities, driver, count, deviceIDs = "device_ids", options }

    private static let tuningKeys: Set<String> = Set(
        [
            ContainerKey.groupAdd, .sysctls, .oomScoreAdj, .cpuset, .cpuShares, .cpuQuota, .cpuPeriod, .memReservation, .memswapLimit, .deploy, .pid, .ipc,
            .uts,
            .cgroup, .usernsMode, .stdinOpen, .tty, .devices, .deviceCgroupRules, .gpus, .attach, .develop, .scale, .runtime, .annotations,
            .memSwappiness, .oomKillDisable, .isolation, .blkioConfig,
        ].map(\.rawValue))

    mutating func readTuning(_ keys: [String: YAMLNode.Entry], into spec: inout ContainerSpec) {
        // Few have any of it, and a recipe may have a hundred thousand containers.
        guard keys.contains(where: { RecipeReader.tuningKeys.contains($0.key) }) else { return }
        func node(_ key: ContainerKey) -> YAMLNode? { keys[key.rawValue].map(\.value).flatMap { $0.isNull ? nil : $0 } }
        var tuning = ContainerTuning()
        if let node = node(.groupAdd) { tuning.groups = groups(node) }
        let ipcOf = node(.ipc).flatMap { text($0) }
        if let node = node(.sysctls) { tuning.sysctls = sysctls(node, spec, ipcOf: ipcOf) }
        if let node = node(.oomScoreAdj) { tuning.oomScore = integer(node, -1000...1000, "'oom_score_adj'").map { Int32($0) } }
        if let node = node(.cpuset), let text = text(node), !text.isEmpty {
            if isProcessorList(text) { tuning.processors = text } else { error("'\(text)' is not a list of processors: write it as 0-2,4", node.place) }
        }
        if let node = node(.cpuShares), let shares = integer(node, 0...262_144, "'cpu_shares'"), shares > 0 { tuning.processorShares = shares }
        readQuota(node(.cpuQuota), node(.cpuPeriod), keys, into: &spec.limits)
        if let node = node(.memReservation), let size = bytes(node, "'mem_reservation'"), size > 0 { tuning.memoryReservation = size }
        if let node = node(.memswapLimit) { tuning.memoryAndSwap = memoryAndSwap(node, spec.limits) }
        readReservations(node(.deploy), into: &tuning)
        if let node = node(.pid) {
            tuning.processesOf = shared(node, "pid")
            if tuning.processesOf == nil { tuning.hostProcesses = isHosts(node, "pid", own: ["private"]) }
        }
        if let node = node(.ipc) {
            tuning.memoryOf = shared(node, "ipc")
            if tuning.memoryOf == nil { tuning.hostIPC = isHosts(node, "ipc", own: ["private", "shareable", "none"]) }
        }
        if let node = node(.uts) {
            tuning.hostName = isHosts(node, "uts", own: ["private"])
            if tuning.hostName, spec.hostname != nil || spec.domainName != nil {
                error("'uts: host' is the host's own name: leave out 'hostname' and 'domainname'", node.place)
            }
        }
        if let node = node(.cgroup), isHosts(node, "cgroup", own: ["private"]) {
            error("'cgroup: host' is not supported: a container sees its own control group only", node.place)
        }
        // Berth's containers have no user namespace of their own.
        if let node = node(.usernsMode) { _ = isHosts(node, "userns_mode", own: []) }
        if let node = node(.stdinOpen) { tuning.opensInput = bool(node) ?? false }
        if let node = node(.tty), bool(node) == true {
            tuning.hasTerminal = true
            // Nothing comes from a terminal that nobody sits at, and it does not end.
            tuning.opensInput = true
        }
        if let node = node(.devices) { tuning.devices = devices(node) }
        if let node = node(.deviceCgroupRules) {
            for text in texts(node) {
                if let rule = DeviceRule(text) {
                    tuning.deviceRules.append(rule)
                } else {
                    error("'\(text)' is not a rule for devices: write it as c 189:* rwm", node.place)
                }
            }
        }
        if let node = node(.gpus) { readGPUs(node, into: &tuning) }
        if let node = node(.blkioConfig) { tuning.blockIO = blockIO(node) }
        readMeaningless(keys)
        if let node = node(.runtime) { readRuntime(node, into: &tuning) }
        if tuning != ContainerTuning() { spec.tuning = Shared(tuning) }
    }

    /// What means something elsewhere only.
    private mutating func readMeaningless(_ keys: [String: YAMLNode.Entry]) {
        func node(_ key: ContainerKey) -> YAMLNode? { keys[key.rawValue].map(\.value).flatMap { $0.isNull ? nil : $0 } }
        if let node = node(.attach) { _ = bool(node) }
        if let entry = keys[ContainerKey.develop.rawValue], !entry.value.isNull {
            warning("'develop' is for 'docker compose watch': Berth watches no sources", entry.keyPlace)
        }
        if let node = node(.scale), let count = integer(node, 0...1_000_000, "'scale'"), count != 1 {
            error("'scale: \(count)' is not supported yet: a service is one container", node.place)
        }
        if let entry = keys[ContainerKey.annotations.rawValue], !entry.value.isNull {
            _ = pairs(entry.value, "'annotations'")
            warning("'annotations' are for OCI runtimes, and Berth starts containers itself: 'labels' are kept", entry.keyPlace)
        }
        if let entry = keys[ContainerKey.memSwappiness.rawValue], !entry.value.isNull, integer(entry.value, 0...100, "'mem_swappiness'") != nil {
            warning("'mem_swappiness' has no effect: control groups of version 2 have no such setting", entry.keyPlace)
        }
        if let node = node(.oomKillDisable), bool(node) == true {
            error("'oom_kill_disable: true' is not supported: a container that may not be killed for memory takes the host with it", node.place)
        }
        if let node = node(.isolation), let text = text(node), !["", "default"].contains(text) {
            error("'isolation: \(text)' is not supported: it is a setting of Windows", node.place)
        }
    }

    private mutating func readRuntime(_ node: YAMLNode, into tuning: inout ContainerTuning) {
        guard let text = text(node), !["", "runc", "io.containerd.runc.v2"].contains(text) else { return }
        // It is asked for because of the processors.
        if text == "nvidia" {
            tuning.capabilitiesOfDevices.append("gpu")
        } else {
            error("the runtime '\(text)' is not supported yet: Berth's own starts containers", node.place)
        }
    }

    /// The service that a namespace is shared with; `nil` where the value names none.
    private mutating func shared(_ node: YAMLNode, _ key: String) -> WorkloadName? {
        guard let text = text(node), let end = text.firstIndex(of: ":") else { return nil }
        let name = String(text[text.index(after: end)...])
        let service: WorkloadName? =
            switch text[..<end] {
            case "service": try? WorkloadName(name)
            case "container": serviceOfContainer[name] ?? (serviceNames.contains(name) ? try? WorkloadName(name) : nil)
            default: nil
            }
        if let service { namespacePlaces.append((key, service, node.place)) }
        return service
    }

    /// Whether a namespace is the host's.
    private mutating func isHosts(_ node: YAMLNode, _ key: String, own: [String]) -> Bool {
        guard let text = text(node) else { return false }
        if text == "host" { return true }
        if text.isEmpty || own.contains(text) { return false }
        let isOthers = text.hasPrefix("service:") || text.hasPrefix("container:")
        error(
            isOthers
                ? "'\(key): \(text)' names no service of this recipe, and is not shared with containers of others"
                : "'\(text)' is not a value of '\(key)'; use \((own + ["host"]).joined(separator: ", "))", node.place)
        return false
    }

    private mutating func groups(_ node: YAMLNode) -> [String] {
        texts(node).filter { text in
            let isName = !text.isEmpty && text.utf8.count <= 100 && !text.contains { $0.isWhitespace || $0 == ":" || $0 == "," }
            if !isName { error("'\(text)' is not a group: write its name or its number", node.place) }
            return isName
        }
    }

    /// Docker's list: settings of the namespaces that a container has of its own (docker run, `--sysctl`).
    private mutating func sysctls(_ node: YAMLNode, _ spec: ContainerSpec, ipcOf: String?) -> [String: String] {
        let ipc: Set<String> = [
            "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
        ]
        return pairs(node, "'sysctls'").filter { name, value in
            let isPlain = name.utf8.allSatisfy {
                $0 == 46 || $0 == 45 || $0 == 95 || $0 == 47 || (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
            }
            let isText = value.utf8.allSatisfy { $0 == 9 || (32...126).contains($0) }
            if !isPlain || name.isEmpty || name.contains("..") {
                error("'\(name)' is not a name of a setting: write it as net.core.somaxconn", node.place)
            } else if !isText {
                error("the value of '\(name)' is not plain text", node.place)
            } else if name.hasPrefix("net.") {
                if spec.network != .host { return true }
                error("'\(name)' would be the host's: a container with 'network_mode: host' has no network of its own", node.place)
            } else if ipc.contains(name) || name.hasPrefix("fs.mqueue.") {
                guard let ipcOf, ipcOf == "host" || ipcOf.contains(":") else { return true }
                error("'\(name)' would be \(ipcOf == "host" ? "the host's" : "another container's"): leave out 'ipc: \(ipcOf)'", node.place)
            } else {
                error(
                    "'\(name)' is the whole host's: only net.*, fs.mqueue.* and the kernel.msg*, kernel.sem and kernel.shm* are a container's own", node.place)
            }
            return false
        }
    }

    private func isProcessorList(_ text: String) -> Bool {
        text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { part in
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(ends.count), ends.allSatisfy({ $0.map { (0...65535).contains($0) } ?? false }) else { return false }
            return ends.count == 1 || ends[0]! <= ends[1]!
        }
    }

    /// So many microseconds in each period.
    private mutating func readQuota(_ quota: YAMLNode?, _ period: YAMLNode?, _ keys: [String: YAMLNode.Entry], into limits: inout ResourceLimits) {
        var length: Int64 = 100_000
        // Docker takes a time as well.
        if let period, let text = text(period) {
            if let number = Int64(text) ?? (try? DurationText.parse(text)).map({ $0.wholeMilliseconds * 1000 }), (1000...1_000_000).contains(number) {
                length = number
            } else if text != "0" {
                error("'cpu_period' is from 1000 to 1000000 microseconds, not '\(text)'", period.place)
            }
        }
        guard let quota, let text = text(quota), let number = Int64(text) ?? (try? DurationText.parse(text)).map({ $0.wholeMilliseconds * 1000 }) else {
            return
        }
        if number <= 0 { return }
        if keys[ContainerKey.cpus.rawValue] != nil {
            error("'cpu_quota' says the same as 'cpus': give one of them", quota.place)
        } else if number > RecipeReader.longestQuota {
            error("'cpu_quota' is more than \(RecipeReader.longestQuota) microseconds: '\(text)'", quota.place)
        } else {
            limits.cpuMillis = max(1, number * 1000 / length)
        }
    }

    /// Microseconds: a million processors, which is the most that `cpus` takes, over the longest period.
    private static let longestQuota: Int64 = 1_000_000 * 1_000_000

    private mutating func memoryAndSwap(_ node: YAMLNode, _ limits: ResourceLimits) -> Int64? {
        guard let text = text(node) else { return nil }
        if text == "0" { return nil }
        guard let memory = limits.memoryBytes else {
            // As much as one likes, of both.
            if text == "-1" { return nil }
            error("'memswap_limit' goes with a limit of memory: give 'mem_limit' as well", node.place)
            return nil
        }
        if text == "-1" { return .max }
        guard let size = bytes(node, "'memswap_limit'") else { return nil }
        if size < memory { error("'memswap_limit' is memory and swap together: it is less than the memory limit", node.place) }
        return size
    }

    private mutating func readReservations(_ deploy: YAMLNode?, into tuning: inout ContainerTuning) {
        guard case .mapping(let entries)? = deploy?.content, case .mapping(let resources)? = entries.first(where: { $0.key == "resources" })?.value.content,
            let node = resources.first(where: { $0.key == "reservations" })?.value, !node.isNull
        else { return }
        let keys = mapping(node, "'reservations'", keys: ReservationKey.self)
        if let node = keys[.memory], !node.isNull, let size = bytes(node, "'memory'"), size > 0 { tuning.memoryReservation = size }
        // As a share: what is short is given out in this proportion.
        if let node = keys[.cpus], !node.isNull, let count = number(node, "'cpus'", above: 0) {
            tuning.processorShares = tuning.processorShares ?? Int64(min(262_144, max(2, count * 1024)))
        }
        if let node = keys[.genericResources], !node.isNull { warning("'generic_resources' means nothing on one host", node.place) }
        guard let devices = keys[.devices], !devices.isNull else { return }
        guard case .sequence(let items) = devices.content else {
            error("'devices' must be a list; this is \(devices.kindName)", devices.place)
            return
        }
        for item in items {
            let keys = mapping(item, "a device", keys: ReservedDeviceKey.self)
            var wanted: [String] = []
            if let node = keys[.capabilities] {
                // Each of them may be a list of those that go together.
                if case .sequence(let items) = node.content { for item in items { wanted += texts(item) } } else { wanted = texts(node) }
            }
            if wanted.isEmpty { error("a device needs 'capabilities', such as [gpu]", item.place) }
            tuning.capabilitiesOfDevices += wanted.contains("gpu") ? ["gpu"] : Array(wanted.prefix(1))
        }
    }

    private mutating func readGPUs(_ node: YAMLNode, into tuning: inout ContainerTuning) {
        if case .scalar = node.content, let text = text(node), text != "all" { error("'\(text)' is not a value of 'gpus': write all, or a list", node.place) }
        tuning.capabilitiesOfDevices.append("gpu")
    }

    private mutating func devices(_ node: YAMLNode) -> [DeviceMount] {
        guard case .sequence(let items) = node.content else {
            error("'devices' must be a list; this is \(node.kindName)", node.place)
            return []
        }
        return items.compactMap { device($0) }
    }

    private mutating func device(_ node: YAMLNode) -> DeviceMount? {
        var parts: [String]
        if case .mapping = node.content {
            let keys = mapping(node, "a device", keys: DeviceKey.self)
            guard let source = keys[.source].flatMap({ text($0) }) else {
                error("a device needs a 'source'", node.place)
                return nil
            }
            parts = [source, keys[.target].flatMap { text($0) } ?? source] + (keys[.permissions].flatMap { text($0) }.map { [$0] } ?? [])
        } else {
            guard let text = text(node) else { return nil }
            parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            if !text.hasPrefix("/"), text.contains("="), text.contains("/") {
                error("'\(text)' is a device of the Container Device Interface, which is not supported yet: name its node, as /dev/dri", node.place)
                return nil
            }
            // As Docker: what is behind the source alone may be its permissions.
            if parts.count == 2, DeviceRule.Access(parts[1]) != nil { parts.insert(parts[0], at: 1) }
        }
        guard (1...3).contains(parts.count), parts[0].hasPrefix("/"), parts.count < 2 || parts[1].hasPrefix("/") else {
            error("'\(parts.joined(separator: ":"))' is not a device: write /dev/x, /dev/x:/dev/y, or /dev/x:/dev/y:rwm", node.place)
            return nil
        }
        guard let access = parts.count == 3 ? DeviceRule.Access(parts[2]) : [.read, .write, .make] else {
            error("'\(parts[2])' are no permissions: use r, w and m", node.place)
            return nil
        }
        let target = parts.count > 1 ? parts[1] : parts[0]
        guard target.hasPrefix("/dev/"), let place = containerPath(target, "a device's target", node.place) else {
            error("a device's place in the container is below /dev, not '\(target)'", node.place)
            return nil
        }
        return DeviceMount(source: parts[0], target: place, access: access)
    }
}
