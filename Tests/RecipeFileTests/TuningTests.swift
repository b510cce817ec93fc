import RecipeFile
import TestKit
import Testing
import WorkloadModel

/// What few containers ask for.
@Suite struct TuningTests {
    private static func read(_ keys: String) -> RecipeReader.Result {
        RecipeReaderTests.read("name: t\nservices:\n  x:\n    image: nginx\n    \(keys)\n")
    }

    private static func tuning(_ keys: String) throws -> ContainerTuning {
        let result = read(keys)
        return try #require(result.recipe, "\(result.diagnostics)").workloads[0].container.tuning?.value ?? ContainerTuning()
    }

    @Test func allOfItIsRead() throws {
        let x = try Self.tuning(
            """
            group_add: [audio, 27]
                sysctls: { net.core.somaxconn: 1024, kernel.msgmax: "65536" }
                oom_score_adj: -500
                cpuset: 0-1,3
                cpu_shares: 512
                mem_limit: 100m
                mem_reservation: 50m
                memswap_limit: 200m
                pid: host
                ipc: host
                stdin_open: true
                devices: ["/dev/null:/dev/mine:r", /dev/zero, "/dev/full:rw", { source: /dev/tty, target: /dev/t, permissions: rwm }]
                device_cgroup_rules: ["c 189:* rwm", "b 8:0 r"]
            """.replacing("kernel.msgmax: \"65536\" ", with: ""))
        #expect(x.groups == ["audio", "27"] && x.sysctls == ["net.core.somaxconn": "1024"] && x.oomScore == -500 && x.processors == "0-1,3")
        #expect(x.processorShares == 512 && x.memoryReservation == 50 << 20 && x.memoryAndSwap == 200 << 20)
        #expect(x.hostProcesses && x.hostIPC && !x.hostName && x.opensInput)
        #expect(
            x.devices.map(\.target) == ["/dev/mine", "/dev/zero", "/dev/full", "/dev/t"] && x.devices[0].access == .read
                && x.devices[2].access == [.read, .write])
        #expect(x.deviceRules.map(\.description) == ["c 189:* rwm", "b 8:0 r"])
    }

    @Test func whatMeansNothingAsksForNothing() throws {
        #expect(
            try Self.tuning("attach: false\n    scale: 1\n    runtime: runc\n    userns_mode: host\n    cgroup: private\n    ipc: private\n    cpu_shares: 0")
                == ContainerTuning())
        let reservations = try Self.tuning("deploy: { resources: { reservations: { memory: 64M, cpus: '0.5' } } }")
        #expect(reservations.memoryReservation == 64 << 20 && reservations.processorShares == 512)
        let gpu = try Self.tuning("deploy: { resources: { reservations: { devices: [{ driver: nvidia, count: all, capabilities: [gpu] }] } } }")
        #expect(gpu.capabilitiesOfDevices == ["gpu"])
        #expect(try Self.tuning("gpus: all").capabilitiesOfDevices == ["gpu"])
        let result = Self.read("tty: true\n    develop: { watch: [] }")
        #expect(result.recipe?.workloads[0].container.tuning?.value.hasTerminal == true)
        // A container that an earlier release launched, without a terminal, is not ended for it.
        let open = Self.read("stdin_open: true\n    develop: { watch: [] }")
        #expect(result.recipe?.workloads[0].container.fingerprint == open.recipe?.workloads[0].container.fingerprint)
        let quota = Self.read("cpu_quota: 50000\n    cpu_period: 25000")
        #expect(quota.recipe?.workloads[0].container.limits.cpuMillis == 2000, "\(quota.diagnostics)")
    }

    @Test(arguments: [
        ("sysctls: { vm.swappiness: 1 }", "is the whole host's"), ("sysctls: { net.x: 1 }\n    network_mode: host", "would be the host's"),
        ("sysctls: { kernel.sem: 1 }\n    ipc: host", "leave out 'ipc: host'"),
        ("sysctls: { kernel.sem: 1 }\n    ipc: 'service:x'", "another container's"), ("pid: 'service:y'", "there is no service 'y'"),
        ("ipc: 'container:y'", "names no service of this recipe"), ("pid: 'service:x'", "itself"), ("sysctls: { 'net.a b': 1 }", "is not a name of a setting"),
        ("oom_score_adj: 2000", "must be a whole number from -1000"), ("cpuset: 3-1", "is not a list of processors"),
        ("memswap_limit: 1g", "give 'mem_limit' as well"),
        ("mem_limit: 1g\n    memswap_limit: 1m", "it is less than the memory limit"), ("pid: 'task:y'", "is not a value of 'pid'"),
        ("pid: hosts", "is not a value of 'pid'"),
        ("uts: host\n    hostname: x", "leave out 'hostname'"), ("cgroup: host", "is not supported"), ("devices: [dev/x]", "is not a device"),
        ("devices: ['/dev/x:/dev/y:q']", "use r, w and m"), ("devices: ['/dev/x:/etc/y']", "is below /dev"),
        ("devices: ['nvidia.com/gpu=all']", "Container Device Interface"),
        ("device_cgroup_rules: [c 1]", "is not a rule for devices"), ("scale: 3", "a service is one container"), ("runtime: kata", "is not supported yet"),
        ("cpus: 1\n    cpu_quota: 1000", "says the same as 'cpus'"),
        ("cpu_quota: 9223372036854775807", "is more than"), ("cpu_quota: 50000\n    cpu_period: 9223372036854775807", "from 1000 to 1000000"),
        ("group_add: ['a b']", "is not a group"), ("cpu_count: 1", "a setting of Windows"),
    ]) func refusesWithAReason(_ keys: String, _ words: String) {
        let result = Self.read(keys)
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics.map(\.message))")
    }
}
