import RecipeFile
import TestKit
import Testing
import WorkloadModel

/// Forms of Compose's keys that are taken for what they mean there, each by itself.
@Suite struct ComposeFormsTests {
    private static func read(_ line: String, _ section: String = "services") -> RecipeReader.Result {
        RecipeReaderTests.read("name: t\n\(section):\n  other: { rootfs: host, command: [a] }\n  x:\n    rootfs: host\n    command: [a]\n    \(line)\n")
    }

    @Test(
        arguments: [
            ("security_opt: [apparmor=unconfined, 'apparmor:unconfined', label=disable, 'label:disable']", nil),
            ("oom_kill_disable: false", nil), ("isolation: default", nil), ("memswap_limit: -1", nil),
            ("annotations: { a: b }", "'annotations' are for OCI runtimes"), ("annotations: [a=b]", "'annotations' are for OCI runtimes"),
            ("mem_swappiness: 60", "'mem_swappiness' has no effect"), ("logging: { driver: none }", "the log driver 'none' has no effect"),
            ("logging: { driver: journald }", nil),
            ("volumes: ['/:/rootfs:ro,rslave']", "'rslave' is taken as private"),
            ("volumes: [{ type: bind, source: /, target: /h, read_only: true, bind: { propagation: slave } }]", "'slave' is taken as private"),
        ] as [(String, String?)]) func isTaken(_ line: String, _ warning: String?)
    {
        let result = Self.read(line)
        #expect(result.recipe != nil, "\(result.diagnostics)")
        let said = result.diagnostics.filter { !$0.message.contains("without 'restart'") }.map(\.message)
        #expect(said.count == (warning == nil ? 0 : 1) && said.allSatisfy { $0.hasPrefix(warning ?? "") }, "\(said)")
    }

    @Test(arguments: [
        ("oom_kill_disable: true", "'oom_kill_disable: true' is not supported"), ("isolation: hyperv", "'isolation: hyperv' is not supported"),
        ("mem_swappiness: 101", "'mem_swappiness'"), ("memswap_limit: 2g", "goes with a limit of memory"),
        ("volumes: ['/a:/a:rshared']", "the mount option 'rshared' is not supported"), ("runtime: kata", "the runtime 'kata' is not supported yet"),
        ("volumes: ['/a:/dev/pts/x']", "belongs to the sandbox"), ("volumes: ['/a:/dev']", "belongs to the sandbox"),
        ("volumes: ['/a:/proc/x']", "belongs to the sandbox"),
        ("volumes: ['/a:/sys/fs/cgroup:ro']", "belongs to the sandbox of a container that is not privileged"),
        ("tmpfs: /sys/x", "belongs to the sandbox"),
    ]) func isRefused(_ line: String, _ words: String) {
        let result = Self.read(line)
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics)")
    }

    @Test(arguments: ["/sys", "/sys/fs/cgroup", "/dev/disk", "/dev/serial/by-id", "/dev/shm", "/dev/bus/usb/001"]) func placesAreMountedOnByName(
        _ target: String
    ) throws {
        let recipe = try #require(Self.read("privileged: true\n    volumes: ['/a:\(target):ro']").recipe)
        #expect(recipe.workloads.last?.container.mounts.map(\.target) == [target])
    }

    @Test(
        arguments: [
            ("{ condition: none }", .no), ("{ condition: any }", .always), ("{}", .always),
            ("{ condition: on-failure, max_attempts: 3, delay: 5s }", .onFailure(limit: 3)),
            ("{ condition: on-failure, max_attempts: 0 }", .onFailure(limit: nil)),
        ] as [(String, RestartPolicy)]) func restartsAsItIsDeployed(_ policy: String, _ expected: RestartPolicy) throws
    {
        let result = Self.read("deploy: { restart_policy: \(policy) }")
        guard case .service(let found)? = result.recipe?.workloads.last?.kind else {
            Issue.record("\(result.diagnostics)")
            return
        }
        #expect(found.restart == expected)
        #expect(result.diagnostics.contains { $0.message.hasPrefix("'delay' has no effect") } == policy.contains("delay"))
        // What is said at the service counts.
        guard case .service(let said)? = Self.read("restart: unless-stopped\n    deploy: { restart_policy: \(policy) }").recipe?.workloads.last?.kind else {
            return
        }
        #expect(said.restart == .unlessStopped)
        #expect(
            Self.read("deploy: { restart_policy: \(policy) }", "jobs").diagnostics.contains {
                $0.message == "'restart_policy' is for services: a job has 'retries'"
            })
    }

    @Test func labelsComeFromFilesUnderThoseOfTheRecipe() throws {
        let text = "name: t\nservices:\n  x: { rootfs: host, command: [a], label_file: [./one, two], labels: { own: '1' } }\n"
        let files = ["/srv/shop/one": "a=b\n# c\nempty=\nq=\"x y\"\n", "/srv/shop/two": "a=c\nown=2\n"]
        let recipe = try #require(RecipeReaderTests.read(text, files: files).recipe)
        #expect(recipe.workloads[0].container.labels == ["a": "c", "empty": "", "q": "x y", "own": "1"])
        let missing = RecipeReaderTests.read(text, files: ["/srv/shop/one": "a=b\n"])
        #expect(missing.recipe == nil && missing.diagnostics.contains { $0.message.hasPrefix("the label_file cannot be read") })
        let wrong = RecipeReaderTests.read(text, files: ["/srv/shop/one": "a b c\n", "/srv/shop/two": ""])
        #expect(wrong.recipe == nil && wrong.diagnostics.contains { $0.message.hasPrefix("line 1 of /srv/shop/one") })
    }

    @Test func disksAreLimited() throws {
        let result = Self.read(
            "blkio_config: { weight: 300, weight_device: [{ path: /dev/sda, weight: 400 }], device_read_bps: [{ path: /dev/sda, rate: '12mb' }], device_write_iops: [{ path: /dev/sdb, rate: 30 }] }"
        )
        let found = try #require(result.recipe?.workloads.last?.container.tuning?.value.blockIO, "\(result.diagnostics)")
        #expect(found.weight == 300 && found.weights == [BlockIO.Amount(path: "/dev/sda", amount: 400)])
        #expect(found[.readBytes] == [BlockIO.Amount(path: "/dev/sda", amount: 12 << 20)] && found[.readOperations].isEmpty && found[.writeBytes].isEmpty)
        #expect(found[.writeOperations] == [BlockIO.Amount(path: "/dev/sdb", amount: 30)])
        for (wrong, words) in [
            ("weight: 5", "'weight' is a share from 10 to 1000, not 5"), ("weight: 1001", "'weight'"), ("device_read_bps: x", "must be a list"),
            ("device_read_bps: [{ path: sda, rate: 1 }]", "needs the 'path' of its node"), ("device_read_iops: [{ path: /dev/sda, rate: 0 }]", "'rate'"),
            ("device_read_bps: [{ path: /dev/sda, rate: 0 }]", "'rate'"), ("device_raed_bps: []", "did you mean 'device_read_bps'?"),
        ] {
            let result = Self.read("blkio_config: { \(wrong) }")
            #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(wrong): \(result.diagnostics)")
        }
    }

    @Test func theRuntimeForGraphicsIsAsIfItAskedForThem() throws {
        let recipe = try #require(Self.read("runtime: nvidia").recipe)
        #expect(recipe.workloads.last?.container.tuning?.value.capabilitiesOfDevices == ["gpu"])
    }
}
