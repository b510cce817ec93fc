internal import Glibc
internal import HostOS
internal import WorkloadModel

/// This host's control groups, and Berth's own place among them.
///
/// On a v2 host it is one group below the root, beside systemd's slices. Below the daemon's own unit it could not be: a unit
/// whose group has controllers for inner groups takes no new process, so systemd could not start the daemon again while
/// containers live (seen with systemd 252). systemd leaves groups that it did not make alone, and cannot take a controller
/// from the root while ours uses it.
///
/// On hosts with v1 controllers it is one group in each hierarchy that is used; where v2 is mounted beside them, it gives
/// the kill switch and the processor time. Nothing outside these groups is touched.
struct CgroupHost: Sendable {
    enum Layout: String, Sendable {
        case v2, hybrid, v1
    }

    let layout: Layout
    /// Our group of the v2 hierarchy; the runs' groups are below it.
    let v2: String?
    /// Our groups of the v1 hierarchies, by controller.
    let v1: [String: String]
    /// Controllers that limits need and that are not there.
    let missing: [String]
    /// The daemon's own group in one of the v1 hierarchies.
    let ownV1: String?

    /// The program that keeps a group from opening the host's devices, `nil` where the kernel takes none; on hosts with the
    /// v1 controller that one does it.
    private let deviceFilter: DeviceFilter?
    /// Whether a container can be kept from opening the host's devices.
    var filtersDevices: Bool { deviceFilter != nil || v1["devices"] != nil }

    /// One run's groups.
    struct Group: Sendable {
        let v2: String?
        /// `controller:/path`, as the shim wants them.
        let v1: [String]
    }

    /// Finds the host's groups and makes ours.
    ///
    /// - Parameters:
    ///   - name: what ours is called
    ///   - filter: keeps groups of version 2 from the host's devices; `nil` leaves it to the controller of version 1
    static func prepare(name: String, filter: DeviceFilter? = DeviceFilter()) throws(HostFile.Failure) -> CgroupHost {
        let mounts = MountTable.read().filter { $0.type == "cgroup" || $0.type == "cgroup2" }
        var controllers: [String: String] = [:]
        for mount in mounts where mount.type == "cgroup" {
            for option in mount.superOptions where CgroupHost.used.contains(option) { controllers[option] = mount.target }
        }
        let unified = mounts.first { $0.type == "cgroup2" }?.target
        if controllers.isEmpty, let unified { return try prepareV2(unified, name: name, filter: filter) }
        guard !controllers.isEmpty else { throw HostFile.Failure(path: "/sys/fs/cgroup", action: "find control groups at", code: ENOENT) }
        if let unified { try HostFile.makeDirectory("\(unified)/\(name)", mode: 0o755) }
        let filter = unified.flatMap { filter?.ifAttachable(below: "\($0)/\(name)") }
        var v1: [String: String] = [:]
        for (controller, mount) in controllers {
            // The v2 group of a hybrid host kills and counts processor time.
            if unified != nil, controller == "freezer" || controller == "cpuacct" { continue }
            if controller == "devices", unified != nil, filter != nil { continue }
            v1[controller] = "\(mount)/\(name)"
            try HostFile.makeDirectory("\(mount)/\(name)", mode: 0o755)
        }
        let missing = ["memory", "cpu", "pids"].filter { controllers[$0] == nil }
        let own = controllers["pids"].flatMap { mount in ownGroup(of: "pids").map { mount + $0 } }
        return CgroupHost(
            layout: unified == nil ? .v1 : .hybrid, v2: unified.map { "\($0)/\(name)" }, v1: v1, missing: missing, ownV1: own,
            deviceFilter: filter)
    }

    private static let used: Set<String> = ["memory", "cpu", "cpuacct", "pids", "blkio", "freezer", "devices", "cpuset"]

    private static func prepareV2(_ root: String, name: String, filter: DeviceFilter?) throws(HostFile.Failure) -> CgroupHost {
        let group = "\(root)/\(name)"
        try HostFile.makeDirectory(group, mode: 0o755)
        for directory in [root, group] {
            for controller in ["memory", "cpu", "pids", "io"] { try? HostFile.put("+\(controller)", to: "\(directory)/cgroup.subtree_control") }
        }
        let enabled = (try? HostFile.text("\(group)/cgroup.subtree_control"))?.split(whereSeparator: \.isWhitespace).map(String.init) ?? []
        return CgroupHost(
            layout: .v2, v2: group, v1: [:], missing: ["memory", "cpu", "pids"].filter { !enabled.contains($0) },
            ownV1: nil, deviceFilter: filter?.ifAttachable(below: group))
    }

    /// This process's group in the hierarchy of a v1 controller, as a path below its mount.
    private static func ownGroup(of controller: String) -> String? {
        guard let text = try? HostFile.text("/proc/self/cgroup") else { return nil }
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            if fields.count == 3, fields[1].split(separator: ",").contains(controller[...]) { return String(fields[2]) }
        }
        return nil
    }

    /// The group that a group is in.
    private static func parent(of path: String) -> String { String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) }

    // MARK: Runs

    /// Why limits cannot be kept on this host; `nil` when they can.
    func problem(with limits: ResourceLimits, _ tuning: ContainerTuning? = nil) -> String? {
        if tuning?.processors != nil, layout == .v2 ? !hasCpuset : v1["cpuset"] == nil {
            return "'cpuset' cannot be kept: this host's control groups have no controller 'cpuset' ('berth doctor' says more)"
        }
        if let blockIO = tuning?.blockIO, let problem = problem(with: blockIO) { return problem }
        return CgroupHost.problem(with: limits, missing: missing)
    }

    private func problem(with blockIO: BlockIO) -> String? {
        guard let path = layout == .v2 ? v2 : v1["blkio"] else { return "'blkio_config' cannot be kept: this host's control groups have no controller 'blkio'" }
        do { _ = try BlockControl.lines(blockIO, isV2: layout == .v2, in: path) } catch { return "'blkio_config' cannot be kept: \(error)" }
        return nil
    }

    private var hasCpuset: Bool {
        guard let v2, let text = try? HostFile.text("\(CgroupHost.parent(of: v2))/cgroup.controllers") else { return false }
        return text.split(whereSeparator: \.isWhitespace).contains("cpuset")
    }

    static func problem(with limits: ResourceLimits, missing: [String]) -> String? {
        let asked = [("mem_limit", "memory", limits.memoryBytes != nil), ("cpus", "cpu", limits.cpuMillis != nil)]
        guard let (key, controller, _) = asked.first(where: { $0.2 && missing.contains($0.1) }) else { return nil }
        return "'\(key)' cannot be kept: this host's control groups have no controller '\(controller)' ('berth doctor' says more)"
    }

    /// Makes a run's groups with their limits, before any process joins.
    ///
    /// - Parameter allDevices: whether its processes may open every device of the host
    ///   - devices: those that they may open beside the usual ones
    func make(
        _ run: RunID, limits: ResourceLimits, tuning: ContainerTuning? = nil, allDevices: Bool, devices: [DeviceRule] = []
    ) throws(HostFile.Failure) -> Group {
        if let parent = v2 {
            let path = "\(parent)/\(run)"
            try HostFile.makeDirectory(path, mode: 0o755)
            if layout == .v2 { try setV2(path, limits, tuning) }
            if !allDevices, let deviceFilter {
                var own: DeviceFilter? = deviceFilter
                if !devices.isEmpty { own = DeviceFilter(devices) }
                guard let own else { throw HostFile.Failure(path: path, action: "filter the devices of", code: errno) }
                try own.attach(to: path)
            }
        }
        var paths: [String] = []
        for (controller, parent) in v1.sorted(by: { $0.key < $1.key }) {
            if controller == "cpu", limits.cpuMillis == nil, tuning?.processorShares == nil { continue }
            if controller == "cpuset", tuning?.processors == nil { continue }
            if controller == "devices", allDevices { continue }
            let path = "\(parent)/\(run)"
            try HostFile.makeDirectory(path, mode: 0o755)
            try setV1(controller, path, limits, tuning, devices)
            paths.append("\(controller):\(path)")
        }
        return Group(v2: v2.map { "\($0)/\(run)" }, v1: paths)
    }

    /// A run's groups, for processes that join it.
    func group(of run: RunID) -> Group {
        Group(
            v2: v2.map { "\($0)/\(run)" },
            v1: v1.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)/\(run)") }.filter { HostFile.exists($0.1) }.map { "\($0.0):\($0.1)" })
    }

    private func setV2(_ path: String, _ limits: ResourceLimits, _ tuning: ContainerTuning?) throws(HostFile.Failure) {
        try HostFile.put("\(limits.pids)", to: "\(path)/pids.max")
        if let memory = limits.memoryBytes {
            try HostFile.put("\(memory)", to: "\(path)/memory.max")
            // Swap counts as memory, so there is none beside it. A host without swap accounting has no such file.
            if HostFile.exists("\(path)/memory.swap.max") {
                let swap = tuning?.memoryAndSwap.map { $0 == .max ? "max" : "\(max(0, $0 - memory))" } ?? "0"
                try HostFile.put(swap, to: "\(path)/memory.swap.max")
            }
        }
        if let cpu = limits.cpuMillis { try HostFile.put("\(max(1000, cpu * 100)) 100000", to: "\(path)/cpu.max") }
        guard let tuning else { return }
        if let reservation = tuning.memoryReservation { try HostFile.put("\(reservation)", to: "\(path)/memory.low") }
        // As the kernel's own rule of thumb has it (OCI runtimes do the same): 2 to 262144 become 1 to 10000.
        if let shares = tuning.processorShares { try HostFile.put("\(1 + (min(max(shares, 2), 262_144) - 2) * 9999 / 262_142)", to: "\(path)/cpu.weight") }
        if let processors = tuning.processors {
            // Few ask for it, and each group costs more with it.
            if !HostFile.exists("\(path)/cpuset.cpus"), let v2 {
                for directory in [CgroupHost.parent(of: v2), v2] { try HostFile.put("+cpuset", to: "\(directory)/cgroup.subtree_control") }
            }
            try HostFile.put(processors, to: "\(path)/cpuset.cpus")
        }
        if let blockIO = tuning.blockIO {
            for line in try BlockControl.lines(blockIO, isV2: true, in: path) { try HostFile.put(line.text, to: "\(path)/\(line.file)") }
        }
    }

    private func setV1(
        _ controller: String, _ path: String, _ limits: ResourceLimits, _ tuning: ContainerTuning?, _ devices: [DeviceRule]
    ) throws(HostFile.Failure) {
        switch controller {
        case "pids": try HostFile.put("\(limits.pids)", to: "\(path)/pids.max")
        case "memory":
            if let reservation = tuning?.memoryReservation { try HostFile.put("\(reservation)", to: "\(path)/memory.soft_limit_in_bytes") }
            guard let memory = limits.memoryBytes else { return }
            try HostFile.put("\(memory)", to: "\(path)/memory.limit_in_bytes")
            if HostFile.exists("\(path)/memory.memsw.limit_in_bytes") {
                let both = tuning?.memoryAndSwap.map { $0 == .max ? "-1" : "\(max(memory, $0))" } ?? "\(memory)"
                try HostFile.put(both, to: "\(path)/memory.memsw.limit_in_bytes")
            }
        case "cpuset":
            guard let processors = tuning?.processors else { return }
            // A new group has no memory node, and takes no process before it has one.
            let parent = CgroupHost.parent(of: path)
            for (directory, above) in [(parent, CgroupHost.parent(of: parent)), (path, parent)] {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let present = (try? HostFile.text("\(directory)/\(file)"))?.split(separator: "\n").first ?? ""
                    guard present.isEmpty, let all = (try? HostFile.text("\(above)/\(file)"))?.split(separator: "\n").first else { continue }
                    try HostFile.put(String(all), to: "\(directory)/\(file)")
                }
            }
            try HostFile.put(processors, to: "\(path)/cpuset.cpus")
        case "cpu":
            if let shares = tuning?.processorShares { try HostFile.put("\(min(max(shares, 2), 262_144))", to: "\(path)/cpu.shares") }
            guard let cpu = limits.cpuMillis else { return }
            try HostFile.put("100000", to: "\(path)/cpu.cfs_period_us")
            try HostFile.put("\(max(1000, cpu * 100))", to: "\(path)/cpu.cfs_quota_us")
        case "blkio":
            guard let blockIO = tuning?.blockIO else { return }
            for line in try BlockControl.lines(blockIO, isV2: false, in: path) { try HostFile.put(line.text, to: "\(path)/\(line.file)") }
        case "devices":
            try HostFile.put("a", to: "\(path)/devices.deny")
            for rule in DeviceFilter.rules + devices.map(\.description) { try HostFile.put(rule, to: "\(path)/devices.allow") }
        default: break
        }
    }

    /// Where processes have to move into v1 groups, the first move after a pause waits for every processor to notice, some ten
    /// milliseconds, and those right after it do not. So the daemon moves itself to where it is, a few times.
    func warmUp() {
        guard layout != .v2, let path = ownV1 else { return }
        for _ in 0..<10 {
            try? HostFile.put("0", to: "\(path)/cgroup.procs")
            usleep(2000)
        }
    }

    private func paths(of run: String) -> [String] { (v2.map { [$0] } ?? []).map { "\($0)/\(run)" } + v1.values.map { "\($0)/\(run)" } }

    /// Kills whatever is in a run's groups and removes them.
    ///
    /// - Returns: whether they are gone
    func remove(_ run: String) -> Bool {
        let paths = paths(of: run).filter { HostFile.exists($0) }
        thawV1(run)
        for attempt in 0..<500 {
            var left = false
            for path in paths where HostFile.exists(path) && rmdir(path) != 0 {
                left = true
                kill(path)
            }
            if !left { return true }
            usleep(attempt < 20 ? 1000 : 10_000)
        }
        return false
    }

    /// A process that the freezer of version 1 holds does not even take a kill.
    private func thawV1(_ run: String) { if let freezer = v1["freezer"] { try? HostFile.put("THAWED", to: "\(freezer)/\(run)/freezer.state") } }

    private func kill(_ path: String) {
        if (try? HostFile.put("1", to: "\(path)/cgroup.kill")) != nil { return }
        guard let text = try? HostFile.text("\(path)/cgroup.procs") else { return }
        for line in text.split(separator: "\n") {
            if let pid = pid_t(line), pid > 1 { Glibc.kill(pid, SIGKILL) }
        }
    }

    /// Freezes a run's processes, or lets them go on.
    func freeze(_ run: RunID, _ on: Bool) {
        if let v2, (try? HostFile.put(on ? "1" : "0", to: "\(v2)/\(run)/cgroup.freeze")) != nil { return }
        if let freezer = v1["freezer"] { try? HostFile.put(on ? "FROZEN" : "THAWED", to: "\(freezer)/\(run)/freezer.state") }
    }

    func isFrozen(_ run: RunID) -> Bool {
        if let v2, let text = try? HostFile.text("\(v2)/\(run)/cgroup.freeze") { return text.hasPrefix("1") }
        guard let freezer = v1["freezer"], let text = try? HostFile.text("\(freezer)/\(run)/freezer.state") else { return false }
        return !text.hasPrefix("THAWED")
    }

    /// Whether all processes of a run that is being frozen have come to a halt.
    func hasHalted(_ run: RunID) -> Bool {
        if let v2, let text = try? HostFile.text("\(v2)/\(run)/cgroup.events") { return text.contains("frozen 1") }
        guard let freezer = v1["freezer"], let text = try? HostFile.text("\(freezer)/\(run)/freezer.state") else { return false }
        return text.hasPrefix("FROZEN")
    }

    /// The processes of a run.
    func processes(of run: RunID) -> [pid_t] {
        guard let path = paths(of: run.description).first, let text = try? HostFile.text("\(path)/cgroup.procs", limit: 4 << 20) else { return [] }
        return text.split(separator: "\n").compactMap { pid_t($0) }
    }

    /// Kills all of one run.
    func kill(run: RunID) {
        thawV1(run.description)
        for path in paths(of: run.description) where HostFile.exists(path) { kill(path) }
    }

    /// The names of runs that have groups.
    func leftovers() -> Set<String> {
        var names: Set<String> = []
        for parent in (v2.map { [$0] } ?? []) + v1.values {
            for name in HostFile.names(in: parent) where HostFile.isDirectory("\(parent)/\(name)") { names.insert(name) }
        }
        return names
    }

    /// Whether no process of a run is left.
    func isEmpty(_ run: RunID) -> Bool {
        paths(of: run.description).allSatisfy { path in
            for (file, none) in [("cgroup.events", "populated 0"), ("cgroup.procs", "")] {
                do throws(HostFile.Failure) {
                    let text = try HostFile.text("\(path)/\(file)", limit: 4 << 20)
                    return none.isEmpty ? text.isEmpty : text.contains(none)
                } catch {
                    // Version 1 has no events, and a group that is gone has nothing. What cannot be told is not empty.
                    guard error.isMissing || error.code == ENODEV else { return false }
                }
            }
            return true
        }
    }

    /// Removes our own groups, when they are empty.
    func removeOwn() {
        for path in (v2.map { [$0] } ?? []) + v1.values { rmdir(path) }
    }
}
