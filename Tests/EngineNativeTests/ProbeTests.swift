import EngineAPI
import Foundation
import Glibc
import HostOS
import Schedules
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// Probes run in the sandbox of the run that they ask, and leave nothing there.
@Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
struct ProbeTests {
    static func check(_ script: String, timeout: Duration = .seconds(20)) -> HealthCheck {
        HealthCheck(command: ["/bin/sh", "-c", script], timeout: timeout)
    }

    /// Launches a container that does nothing, and ends it after the body.
    private static func with(
        _ script: String = "echo $$ > /inside; sleep 1000", _ change: (inout ContainerSpec) -> Void = { _ in },
        _ body: (EngineFixture, RunRequest) async throws -> Void
    ) async throws {
        try await EngineFixture.with { fixture in
            let request = await fixture.request(EngineFixture.shell(script, change))
            _ = try await fixture.engine.launch(request)
            try await body(fixture, request)
            fixture.engine.cgroups.kill(run: request.id)
            _ = try await fixture.end(of: request.id)
            await fixture.engine.settle(request.id)
        }
    }

    private static let facts =
        "readlink /proc/self/ns/* | grep -v ^user; grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status; cat /proc/self/cgroup; ulimit -n; pwd; hostname; env | grep -v '^\\(_\\|PWD\\|OLDPWD\\|SHLVL\\)=' | sort; umask"

    /// What a process of the run sees of itself, a probe sees too.
    @Test(arguments: [false, true]) func aProbeIsWhereTheRunIs(_ isRoot: Bool) async throws {
        let change = { (container: inout ContainerSpec) in
            if !isRoot { container.user = "nobody" }
            container.environment = ["COLOUR": EnvironmentValue("green")]
            container.workingDirectory = "/tmp"
            container.hostname = "probed"
            container.droppedCapabilities = [.chown]
            container.resourceLimits = [UserLimit(resource: .nofile, soft: 77, hard: 99)]
            container.limits.memoryBytes = 64 << 20
            container.mounts = []
        }
        try await Self.with("{ \(Self.facts); } > /tmp/facts; touch /tmp/ready; sleep 1000", change) { fixture, run in
            var own = ""
            for _ in 0..<200 {
                let probe = await fixture.engine.probe(run, Self.check("test -e /tmp/ready && cat /tmp/facts"))
                if probe.isSuccess { own = probe.output }
                if !own.isEmpty { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            let probe = await fixture.engine.probe(run, Self.check(Self.facts))
            #expect(probe.isSuccess && probe.output == own && own.contains("COLOUR=green") && own.contains("/tmp\nprobed\n"), "\(probe.output)\n---\n\(own)")
            // On the host it is in the run's groups.
            let slow = Task { await fixture.engine.probe(run, Self.check("sleep 2")) }
            var counts: Set<Int> = []
            for _ in 0..<100 where !counts.contains(4) {
                counts.insert(fixture.engine.cgroups.processes(of: run.id).count)
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(counts.contains(4), "\(counts)")
            _ = await slow.value
        }
    }

    struct End: Sendable, CustomTestStringConvertible {
        let command: [String]
        let result: Probe.Result
        let output: String
        var testDescription: String { command.joined(separator: " ") }
    }

    @Test(arguments: [
        End(command: ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], result: .exited(3), output: "out\nerr\n"),
        End(command: ["true"], result: .exited(0), output: ""),
        End(command: ["/bin/sh", "-c", "kill -9 $$"], result: .failed("ended by signal 9"), output: ""),
        End(command: ["nothing"], result: .failed("command 'nothing' is not in the PATH of the root file system"), output: ""),
        // The shim is not to be had from inside.
        End(command: ["/proc/self/exe"], result: .failed("command '/proc/self/exe' leads through a link that is not followed: refused"), output: ""),
        End(command: ["/bin/sh", "-c", "cat"], result: .exited(0), output: ""),
        End(command: ["/bin/sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"], result: .exited(0), output: "0 1 2 3 "),
    ]) func endsAreTold(_ item: End) async throws {
        try await Self.with { fixture, run in
            let probe = await fixture.engine.probe(run, HealthCheck(command: item.command))
            #expect(probe.result == item.result && probe.output == item.output, "\(probe)")
        }
    }

    /// Nothing of it is left when it takes too long, of what it started neither.
    @Test func oneThatHangsIsEnded() async throws {
        try await Self.with { fixture, run in
            let start = ContinuousClock.now
            let probe = await fixture.engine.probe(run, Self.check("trap '' TERM; echo begun; sleep 500 & sleep 600", timeout: .milliseconds(300)))
            #expect(probe.result == .timedOut && probe.output == "begun\n" && .now - start < .seconds(8), "\(probe)")
            for _ in 0..<400 where fixture.engine.cgroups.processes(of: run.id).count > 2 { try await Task.sleep(for: .milliseconds(10)) }
            #expect(fixture.engine.cgroups.processes(of: run.id).count == 2)
        }
    }

    /// It writes more than is kept, and leaves somebody who holds its output open.
    @Test func muchOutputIsCutAndNobodyIsWaitedFor() async throws {
        try await Self.with { fixture, run in
            let much = await fixture.engine.probe(run, Self.check("yes | head -c 1000000; exit 1"))
            #expect(much.result == .exited(1) && much.output.utf8.count == 4096)
            let start = ContinuousClock.now
            let left = await fixture.engine.probe(run, Self.check("setsid sleep 30 & echo done"))
            #expect(left.result == .exited(0) && left.output == "done\n" && .now - start < .seconds(10))
            let odd = await fixture.engine.probe(run, Self.check("printf 'a\\000\\377b'"))
            #expect(odd.output == "a\u{FFFD}b")
        }
    }

    @Test func manyAtOnceAreAnswered() async throws {
        try await Self.with { fixture, run in
            let codes = await withTaskGroup(of: Probe.Result.self) { group in
                for number in 0..<40 { group.addTask { await fixture.engine.probe(run, Self.check("exit \(number % 7)")).result } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(codes.count == 40 && codes.count { $0 == .exited(0) } == 6)
        }
    }

    /// Its processes count as the run's.
    @Test func theRunsLimitsHoldForProbes() async throws {
        try await Self.with("sleep 1000 & sleep 1000 & wait", { $0.limits.pids = 4 }) { fixture, run in
            let probe = await fixture.engine.probe(run, Self.check("sleep 1 & sleep 1 & wait; echo $?"))
            #expect(!probe.isSuccess, "\(probe)")
        }
        try await Self.with("sleep 1000", { $0.limits.memoryBytes = 16 << 20 }) { fixture, run in
            let probe = await fixture.engine.probe(run, Self.check("head -c 100000000 /dev/zero | tail"))
            #expect(!probe.isSuccess || probe.output.contains("Killed"), "\(probe)")
        }
    }

    @Test func whatHasEndedIsNotAsked() async throws {
        try await EngineFixture.with { fixture in
            let (_, _, run) = try await fixture.run(EngineFixture.shell("true"))
            #expect(await fixture.engine.probe(run, Self.check("true")).result == .failed("the container is not there"))
        }
    }

    /// A container that ends takes its probes along, and they say so.
    @Test func theEndOfTheRunEndsItsProbes() async throws {
        try await EngineFixture.with { fixture in
            let run = await fixture.request(EngineFixture.shell("sleep 1000"))
            _ = try await fixture.engine.launch(run)
            let probe = Task { await fixture.engine.probe(run, Self.check("sleep 500")) }
            for _ in 0..<400 where fixture.engine.cgroups.processes(of: run.id).count < 3 { try await Task.sleep(for: .milliseconds(10)) }
            fixture.engine.cgroups.kill(run: run.id)
            #expect(await probe.value.result == .failed("ended by signal 9"))
            _ = try await fixture.end(of: run.id)
            await fixture.engine.settle(run.id)
        }
    }

    /// What is in the image counts, where the recipe says nothing.
    @Test func theImagesOwnCheckIsRead() throws {
        func read(_ json: String) throws -> ImageConfiguration { try ImageConfiguration(json: Array(json.utf8)) }
        let check = try read(
            #"{"config":{"Healthcheck":{"Test":["CMD-SHELL","curl x"],"Interval":5000000000,"Timeout":0,"Retries":2,"StartPeriod":1000000},"Shell":["/bin/ash","-ec"]}}"#
        ).healthCheck
        #expect(check?.test == .shell("curl x", shell: ["/bin/ash", "-ec"]) && check?.interval == .seconds(5) && check?.timeout == nil && check?.retries == 2)
        #expect(try read(#"{"config":{"Healthcheck":{"Test":["NONE"]}}}"#).healthCheck?.test == .disabled)
        #expect(try read(#"{"config":{"Healthcheck":{"Test":["CMD","a","b"]}}}"#).healthCheck?.test == .command(["a", "b"]))
        let odd = try read(#"{"config":{"Healthcheck":{"Test":["RUN","a"]}}}"#)
        #expect(odd.healthCheck == nil && odd.oddities.count == 1)
    }
}
