internal import CLinux
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Schedules
internal import Synchronization
internal import WorkloadModel

/// What the shim is told of a run.
extension NativeEngine {
    func makeSpec(_ run: RunRequest, _ image: Image?, _ sandbox: Sandbox) throws(EngineError) -> (LaunchSpec, RunNote) {
        let container = run.container
        var spec = LaunchSpec()
        try spec.add(.runID, run.id.description)
        try spec.add(.runDirectory, paths.run(run.id))
        try spec.add(.logBase, paths.log(run.id, run.workload))
        if let cap = container.logBytes { spec.add(.logCap, UInt64(cap)) }
        try spec.add(.bootID, bootID)
        if container.logsToJournal == true { try spec.add(.journal, NativeEngine.journalFields(run)) }
        try spec.add(.scratch, "\(paths.scratch)/\(run.id)")
        for word in try command(container, image) { try spec.add(.argument, word) }
        try addProcess(run, image, sandbox, &spec)
        try spec.add(.hostname, NativeEngine.hostName(run))
        spec.add(.readOnly, container.readOnlyRoot)
        spec.add(.hostNetwork, sandbox.network == .host)
        spec.add(.initProcess, container.initProcess)
        spec.add(.sharedMemoryBytes, UInt64(max(0, container.sharedMemoryBytes)))
        let stop = RunNote.Stop(
            signal: container.stopSignal ?? image?.configuration.stopSignal ?? SIGTERM,
            graceMilliseconds: max(0, container.stopGracePeriod.wholeMilliseconds),
            timeoutMilliseconds: run.timeout.map { max(1, $0.wholeMilliseconds) })
        spec.add(.stopSignal, UInt64(stop.signal))
        spec.add(.graceMilliseconds, UInt64(stop.graceMilliseconds))
        if let timeout = stop.timeoutMilliseconds { spec.add(.timeoutMilliseconds, UInt64(timeout)) }
        if let cpu = container.limits.cpuMillis { spec.add(.processorMillis, UInt64(max(1, cpu))) }
        if let tuning = container.tuning?.value {
            for (name, value) in tuning.sysctls.sorted(by: { $0.key < $1.key }) {
                try spec.add(.sysctl, "\(name.replacing(".", with: "/"))=\(value)")
            }
            spec.add(.hostNamespaces, (tuning.hostProcesses ? 1 : 0) | (tuning.hostIPC ? 2 : 0) | (tuning.hostName ? 4 : 0))
            spec.add(.openInput, tuning.opensInput)
            if tuning.hasTerminal == true { spec.add(.terminal, true) }
            if let service = tuning.processesOf { try spec.addNamespace(.processesDescriptor, of: firstProcess(of: service, for: run, "processes")) }
            if let service = tuning.memoryOf { try spec.addNamespace(.memoryDescriptor, of: firstProcess(of: service, for: run, "shared memory")) }
        }
        var note = try addFiles(run, image, sandbox.network, &spec)
        note.stop = stop
        note.health = healthCheck(of: run, image)
        note.log = RunNote.Log(
            base: paths.log(run.id, run.workload), cap: container.logBytes.map { Int64($0) } ?? RunNote.usualLogBytes,
            cpuMillis: container.limits.cpuMillis.map { Int64(max(1, $0)) })
        return (spec, note)
    }

    /// The first process of a service's container, whose namespaces another one shares.
    ///
    /// - Parameter what: what is shared, for people
    private func firstProcess(of service: WorkloadName, for run: RunRequest, _ what: String) throws(EngineError) -> HostPlace {
        let workload = WorkloadID(project: run.workload.project, name: service).description
        // While one stops, the next may run already.
        for id in volumeUses.withLock({ uses in uses.filter { $0.value.workload == workload }.keys.sorted(by: >) }) {
            guard let facts = RunDirectory(path: paths.run(id)).facts, let process = try? NativeEngine.firstProcess(facts) else { continue }
            return process
        }
        throw .sandbox("the service '\(service)', whose \(what) it shares, is not running")
    }

    /// Its pidfd, once it is known to be of this process.
    static func firstProcess(_ facts: RunDirectory.Facts) throws(EngineError) -> HostPlace {
        let target = clinux_pidfd_open(facts.container)
        guard target >= 0 else { throw .sandbox("the container has ended") }
        let process = try HostPlace(descriptor: target, path: "the container's first process")
        // The number may have become another process's.
        guard HostProcess.isAlive(facts.container, start: facts.containerStart) else { throw .sandbox("the container has ended") }
        return process
    }

    /// What a process of the container is: its environment, directory, user, rights and limits.
    func addProcess(_ run: RunRequest, _ image: Image?, _ sandbox: Sandbox, _ spec: inout LaunchSpec) throws(EngineError) {
        let container = run.container
        for variable in environment(run, image) { try spec.add(.environment, variable) }
        try spec.add(.workingDirectory, container.workingDirectory ?? image?.configuration.workingDirectory ?? "/")
        if let user = container.user ?? image?.configuration.user, !user.isEmpty { try spec.add(.user, user) }
        spec.add(.capabilities, sandbox.capabilities)
        if !container.privileged { spec.add(.seccomp, sandbox.filter) }
        spec.add(.privileged, container.privileged)
        // The daemon's own limit of descriptors was raised; what a container did not ask for stays as it was.
        if !container.resourceLimits.contains(where: { $0.resource == .nofile }) {
            spec.addLimit(resource: UserLimit.Resource.nofile.number, soft: Descriptors.inherited.soft, hard: Descriptors.inherited.hard)
        }
        for group in container.tuning?.value.groups ?? [] { try spec.add(.group, group) }
        if let score = container.tuning?.value.oomScore { spec.add(.oomScore, UInt64(score + 1000)) }
        for limit in container.resourceLimits { spec.addLimit(resource: limit.resource.number, soft: limit.soft, hard: limit.hard) }
    }

    /// What the container gets of what this host's root has.
    ///
    /// - Throws: when the recipe names one that root does not have here; of the usual ones it goes without
    func capabilities(of container: ContainerSpec) throws(EngineError) -> UInt64 {
        let wanted = Capability.mask(container.capabilities)
        guard !container.privileged else { return wanted & hostCapabilities }
        let lacking = container.addedCapabilities.filter { hostCapabilities >> UInt64($0.number) & 1 == 0 }
        guard lacking.isEmpty else {
            throw .host("cap_add \(lacking.map(\.rawValue).sorted().joined(separator: ", ")): root does not have it on this host, so no container can")
        }
        let nodes: Set<Capability> = [.sysAdmin, .mknod]
        guard cgroups.filtersDevices || container.addedCapabilities.isDisjoint(with: nodes) else {
            throw .host(
                "cap_add \(container.addedCapabilities.intersection(nodes).map(\.rawValue).sorted().joined(separator: ", ")) would open the host's disks: this host can filter devices neither by eBPF nor by the devices controller"
            )
        }
        return wanted & hostCapabilities
    }

    /// What a container's entries in the journal can be asked by: our own names, and those of Docker's driver `journald`. No value has a
    /// line of its own: names have none.
    static func journalFields(_ run: RunRequest) -> String {
        let name = run.workload.name.description
        let container = run.container.containerName ?? "\(run.workload.project)-\(name)-1"
        return """
            SYSLOG_IDENTIFIER=\(name)
            BERTH_PROJECT=\(run.workload.project)
            BERTH_NAME=\(name)
            BERTH_\(run.kind == .job ? "JOB" : "SERVICE")=\(name)
            BERTH_RUN=\(run.id)
            CONTAINER_NAME=\(container)

            """
    }

    /// The name that the container's own UTS namespace has.
    static func hostName(_ run: RunRequest) -> String { run.container.hostname ?? run.workload.name.description }

    private func command(_ container: ContainerSpec, _ image: Image?) throws(EngineError) -> [String] {
        // As Compose: an own entrypoint drops the image's command.
        let entrypoint = container.entrypoint ?? image?.configuration.entrypoint ?? []
        let command = container.command ?? (container.entrypoint == nil ? image?.configuration.command ?? [] : [])
        let words = entrypoint + command
        guard let first = words.first, !first.isEmpty else { throw .command("the image names no command, and the recipe has none") }
        return words
    }

    private func environment(_ run: RunRequest, _ image: Image?) -> [String] {
        var values: [String: String] = [:]
        for entry in image?.configuration.environment ?? [] {
            let pair = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2 { values[String(pair[0])] = String(pair[1]) }
        }
        for (name, value) in run.container.environment { values[name] = value.revealed }
        values["HOSTNAME"] = values["HOSTNAME"] ?? NativeEngine.hostName(run)
        values["BERTH_RUN_ID"] = run.id.description
        values["BERTH_TRIGGER"] = run.trigger.rawValue
        values["BERTH_ATTEMPT"] = String(run.attempt)
        if run.kind == .job {
            values["BERTH_JOB"] = run.workload.name.description
            values["BERTH_DUE_AT"] = run.dueAt?.description
            values["BERTH_LAST_OUTCOME"] = run.lastOutcome?.rawValue
            if let last = run.arrivals.last {
                values["BERTH_CAUSED_BY"] = last.run.description
                values["BERTH_AFTER"] = run.arrivals.map { "\($0.job)=\($0.outcome.rawValue)" }.joined(separator: ",")
            }
        }
        return values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }
}
