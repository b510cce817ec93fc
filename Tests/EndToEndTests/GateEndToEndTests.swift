import Foundation
import Glibc
import TestKit
import Testing

/// Services wait for what they depend on, and are asked whether they work: by the real daemon.
@Suite(.enabled(if: Requirement.root && Requirement.program("sqlite3"), "needs root and sqlite3"), .serialized)
struct GateEndToEndTests {
    /// A database that is ready a while after its start, and a web server and a job that need it.
    private static func recipe(_ it: Instance, onUnhealthy: String = "nothing", more: String = "") -> String {
        """
        name: t
        services:
          db:
            rootfs: host
            network_mode: none
            command: [sh, -c, "sleep 0.5; touch /ready; exec sleep 1000"]
            restart: always
            stop_signal: SIGKILL
            healthcheck: { test: "test -e /ready && test ! -e \(it.scratch.path)/ill", interval: 1s, retries: 1, start_period: 5s, on_unhealthy: \(onUnhealthy) }
            volumes: ["\(it.scratch.path):\(it.scratch.path):ro"]
          web: { rootfs: host, network_mode: none, command: [sleep, "1000"], restart: always, stop_signal: SIGKILL, depends_on: { db: { condition: service_healthy } } }
        jobs:
          dump: { rootfs: host, network_mode: none, command: [echo, dumped], depends_on: { db: { condition: service_healthy } } }
        \(more)
        """
    }

    /// When the last run of each was released, in milliseconds.
    private static func starts(_ it: Instance, _ name: String) -> [Int] {
        it.sql("select cast((julianday(started_at) - 2440587.5) * 86400000 as integer) from runs where name = '\(name)' order by run_id").split(separator: "\n")
            .compactMap { Int($0) }
    }

    @Test func theOrderHoldsAtUpAtBootAndAfterAKill() throws {
        try EndToEndTests.with { it in
            try it.apply(Self.recipe(it))
            #expect(it.berth("up", "-f", "\(it.scratch.path)/berth.yaml", "--wait", "--wait-timeout", "30s").code == 0)
            let first = (Self.starts(it, "db"), Self.starts(it, "web"))
            #expect(first.0.count == 1 && first.1.count == 1 && first.1[0] - first.0[0] >= 450, "\(first)")
            #expect(it.berth("ps").output.contains("running (healthy)"))
            // The daemon is killed: what runs is asked on, and is healthy still.
            it.kill()
            try it.start(["--stop-all"])
            #expect(it.berth("ps").output.contains("running (healthy)"))
            #expect(it.sql("select health from services where name = 'db'") == "healthy")
            #expect(Self.starts(it, "db").count == 1 && Self.starts(it, "web").count == 1)
            // Stopped with its containers, as at the end of a boot, and started again.
            #expect(it.terminate() == 0)
            try it.start()
            #expect(it.berth("up", "-f", "\(it.scratch.path)/berth.yaml", "--wait", "--wait-timeout", "30s").code == 0)
            let second = (Self.starts(it, "db"), Self.starts(it, "web"))
            #expect(second.0.count == 2 && second.1.count == 2 && second.1[1] - second.0[1] >= 450, "\(second)")
        }
    }

    @Test func whatIsTakenDownEndsInReverse() throws {
        try EndToEndTests.with { it in
            try it.apply(
                """
                name: t
                services:
                  db: { rootfs: host, network_mode: none, command: [sleep, "1000"], stop_signal: SIGKILL }
                  web: { rootfs: host, network_mode: none, command: [sh, -c, "trap 'sleep 0.3; exit 0' TERM; sleep 1000 & wait"], depends_on: [db] }
                  proxy: { rootfs: host, network_mode: none, command: [sh, -c, "trap 'sleep 0.3; exit 0' TERM; sleep 1000 & wait"], depends_on: [web] }
                """)
            try it.wait("select count(*) from runs where state = 'running'", is: "3")
            #expect(it.berth("down", "t").code == 0)
            #expect(it.sql("select name from runs order by finished_at") == "proxy\nweb\ndb")
            let apart = it.sql("select cast((julianday(max(finished_at)) - julianday(min(finished_at))) * 86400000 as integer) from runs")
            #expect(Int(apart) ?? 0 >= 250, "\(apart)")
        }
    }

    @Test func theUnhealthyAreSaidAndStartedAgain() throws {
        try EndToEndTests.with { it in
            try it.apply(Self.recipe(it, onUnhealthy: "restart"))
            #expect(it.berth("up", "-f", "\(it.scratch.path)/berth.yaml", "--wait").code == 0)
            try "x".write(toFile: "\(it.scratch.path)/ill", atomically: true, encoding: .utf8)
            it.wait(upTo: 30) { it.sql("select count(*) from events where kind = 'unhealthy'") != "0" }
            try FileManager.default.removeItem(atPath: "\(it.scratch.path)/ill")
            it.wait(upTo: 30) { Self.starts(it, "db").count >= 2 && it.berth("ps").output.contains("running (healthy)") }
            #expect(it.sql("select outcome, reason from runs where name = 'db' and finished_at is not null limit 1") == "stopped|it was unhealthy: exit code 1")
            let inspected = it.berth("inspect", "t/db").output
            #expect(inspected.contains("a probe failed") || inspected.contains("its probe failed: exit code 1"), "\(inspected)")
            #expect(inspected.contains("probe ") && inspected.contains("exit code 1"))
        }
    }

    @Test func aJobStartsWhatItNeeds() throws {
        try EndToEndTests.with { it in
            try it.apply(Self.recipe(it))
            #expect(it.berth("stop", "web").code == 0 && it.berth("stop", "db").code == 0)
            let run = it.berth("run", "dump", "--wait")
            #expect(run.code == 0 && run.output.contains("dumped"), "\(run)")
            #expect(it.sql("select count(*) from events where text = 'started for dump, which depends on it'") == "1")
        }
    }

    @Test func whatCanNeverBeIsSaidAtUp() throws {
        try EndToEndTests.with { it in
            let wrong = "\(it.scratch.path)/wrong.yaml"
            try """
            name: t
            services:
              db: { rootfs: host, command: [sleep, "1"] }
              web: { rootfs: host, command: [sleep, "1"], depends_on: { db: { condition: service_healthy } } }
            """.write(toFile: wrong, atomically: true, encoding: .utf8)
            let up = it.berth("up", "-f", wrong)
            #expect(up.code == 1 && up.errors.contains("'db' has no 'healthcheck', so it is never healthy"), "\(up)")
            // One that ends is no service that is up.
            try it.apply(
                "name: t\nservices: { x: { rootfs: host, network_mode: none, command: [sh, -c, sleep 0.5; exit 3], healthcheck: { test: 'false', interval: 10s } } }\n"
            )
            let waited = it.berth("up", "-f", "\(it.scratch.path)/berth.yaml", "--wait")
            #expect(waited.code == 1 && waited.errors.contains("t/x ended as failed"), "\(waited)")
        }
    }
}
