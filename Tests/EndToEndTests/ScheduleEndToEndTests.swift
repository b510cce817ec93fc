import Foundation
import TestKit
import Testing

/// Chains, pools, runs by hand with changes, imports and time zones, under the real programs.
@Suite(.enabled(if: Requirement.root && Requirement.program("sqlite3"), "needs root and sqlite3"), .serialized)
struct ScheduleEndToEndTests {
    @Test func aChainPassesOnWhyItRuns() throws {
        try EndToEndTests.with { it in
            try it.apply(
                """
                name: t
                jobs:
                  dump: { rootfs: host, command: [sh, -c, "exit $$CODE"], environment: { CODE: 0 } }
                  send: { rootfs: host, command: [sh, -c, "echo $$BERTH_TRIGGER $$BERTH_AFTER $$BERTH_CAUSED_BY $$BERTH_DUE_AT"], after: { dump: success } }
                  alarm: { rootfs: host, command: [sh, -c, "echo alarm $$BERTH_AFTER"], after: { dump: failure } }
                """)
            #expect(it.berth("run", "dump", "--wait").code == 0)
            try it.wait("select count(*) from runs where name = 'send' and outcome = 'succeeded'", is: "1")
            let cause = it.sql("select run_id from runs where name = 'dump'")
            #expect(it.sql("select trigger || ' ' || caused_by from runs where name = 'send'") == "after \(cause)")
            #expect(it.berth("logs", "send").output == "after dump=succeeded \(cause)\n")
            #expect(it.berth("run", "dump", "--wait", "--env", "CODE=3").code == 3)
            try it.wait("select count(*) from runs where name = 'alarm' and outcome = 'succeeded'", is: "1")
            #expect(it.sql("select count(*) from runs where name = 'send'") == "1")
            #expect(it.berth("logs", "alarm").output == "alarm dump=failed\n")
            #expect(it.berth("runs").output.contains("after run \(cause)"))
        }
    }

    @Test func aRunByHandTakesVariablesACommandAndAPastDueTime() throws {
        try EndToEndTests.with { it in
            try it.apply(
                """
                name: t
                jobs:
                  tick: { rootfs: host, command: [sh, -c, "echo $$BERTH_DUE_AT"], schedule: every 2s, keep: { runs: 100 } }
                  j: { rootfs: host, entrypoint: [sh, -c], command: ["echo $$A $$B"], environment: { A: one, B: two }, schedule: "0 0 1 1 *" }
                """)
            #expect(it.berth("run", "j", "--wait").output == "one two\n")
            #expect(it.berth("run", "j", "--wait", "--env", "B=hidden").output == "one hidden\n")
            #expect(it.berth("run", "j", "--wait", "--", "echo $A other").output == "one other\n")
            let changes = it.sql("select group_concat(coalesce(changes, '-'), ' | ') from (select changes from runs where name = 'j' order by run_id)")
            #expect(changes == "- | env B | command echo $A other")
            #expect(!it.sql("select group_concat(text) from events").contains("hidden"))
            // A due time that was, one that was not, one to come.
            #expect(it.berth("run", "j", "--wait", "--for", "2025-01-01T00:00:00Z").code == 0)
            #expect(it.sql("select due_at from runs where name = 'j' order by run_id desc limit 1") == "2025-01-01T00:00:00.000Z")
            let never = it.berth("run", "j", "--for", "2025-01-02T00:00:00Z")
            #expect(never.code == 1 && never.errors.contains("the nearest due times are 2025-01-01T00:00:00.000Z and 2026-01-01T00:00:00.000Z"), "\(never)")
            #expect(it.berth("run", "j", "--for", "2199-01-01T00:00:00Z").errors.contains("has not come yet"))
            #expect(it.berth("run", "j", "--for", "tomorrow").errors.contains("is not a due time"))
            #expect(it.berth("run", "j", "--env", "NOT_SET_HERE").errors.contains("--env takes NAME=VALUE"))
            try it.wait("select count(*) > 1 from due_times where name = 'tick' and result = 'ran'", is: "1")
            let due = it.sql("select due_at from due_times where name = 'tick' and result = 'ran' order by due_at limit 1")
            #expect(it.berth("run", "tick", "--wait", "--for", due).output == due + "\n")
            // It uses up no due time.
            #expect(it.sql("select count(*) from due_times where name = 'tick' and due_at = '\(due)'") == "1")
        }
    }

    @Test func aPoolHoldsWhatItMay() throws {
        try EndToEndTests.with { it in
            let jobs = (1...6).map {
                "  j\($0): { rootfs: host, command: [sleep, '0.3'], schedule: 'every 3s', overlap: \($0 > 4 ? "skip" : "queue"), pool: p }"
            }
            try it.apply("name: t\npools: { p: 2 }\njobs:\n" + jobs.joined(separator: "\n"))
            try it.wait("select count(*) > 3 from due_times where reason = 'pool full'", is: "1")
            #expect(it.sql("select count(distinct name) from runs where outcome = 'succeeded'") == "4")
            #expect(it.sql("select count(distinct name) from due_times where reason = 'pool full'") == "2")
            let overlapping = """
                select max(n) from (select (select count(*) from runs b where b.started_at <= a.started_at and b.finished_at > a.started_at) as n
                from runs a where a.outcome is not null)
                """
            #expect(Int(it.sql(overlapping)) ?? 99 <= 2)
        }
    }

    @Test func anImportedCrontabRuns() throws {
        try EndToEndTests.with { it in
            let out = "\(it.scratch.path)/out"
            it.scratch.write(
                "crontab",
                """
                # who
                GREETING="hello there"
                @daily cd \(it.scratch.path) && echo "$GREETING $LOGNAME $HOME" > out
                @daily cat >> \(out)%from 100\\% of%the input
                0 9 * * 1-5 /usr/bin/sync
                nonsense
                """)
            let result = it.berth("import", "crontab", "\(it.scratch.path)/crontab", "-o", "\(it.scratch.path)/imported.yaml", "--name", "t")
            #expect(result.code == 1 && result.errors.contains("- \(it.scratch.path)/crontab:6: nonsense"), "\(result)")
            #expect(it.berth("import", "crontab", "\(it.scratch.path)/crontab", "-o", "\(it.scratch.path)/imported.yaml").errors.contains("cannot be written"))
            let up = it.berth("up", "-f", "\(it.scratch.path)/imported.yaml")
            #expect(up.code == 0, "\(up)")
            #expect(it.berth("run", "echo", "--wait").code == 0 && it.berth("run", "cat", "--wait").code == 0)
            #expect(it.scratch.text("out") == "hello there root /root\nfrom 100% of\nthe input\n")
            // The host's directories are there to write to, but for the daemon's own.
            let look = it.berth(
                "run", "echo", "--wait", "--", "/bin/sh", "-c", "ls \(it.scratch.path)/state \(it.scratch.path)/run | wc -l; ls \(it.scratch.path)/out")
            #expect(look.output.hasSuffix("/out\n") && look.output.split(separator: "\n").first == "3", "\(look)")
            let next = it.berth("next", "sync", "-n", "1", "--from", "2026-11-28", "-f", "\(it.scratch.path)/imported.yaml", "--json")
            #expect(next.output.contains("2026-11-30T09:00:00.000Z"))
        }
    }

    @Test func aZoneThatVanishesAndComesBackStopsOnlyItsJobs() throws {
        let it = Instance()
        defer { it.finish() }
        let zones = "\(it.scratch.path)/zones"
        let copy = "mkdir -p \(zones)/Europe && cp /usr/share/zoneinfo/Europe/Lisbon \(zones)/Europe/ && cp /usr/share/zoneinfo/Europe/London \(zones)/Europe/"
        #expect(Instance.run("/bin/sh", ["-c", copy], environment: ["PATH": "/usr/bin:/bin"]).code == 0)
        try it.start(["--zoneinfo-dir", zones])
        try it.apply(
            """
            name: t
            jobs:
              lisbon: { rootfs: host, command: [/bin/true], schedule: { every: 1s, timezone: Europe/Lisbon } }
              london: { rootfs: host, command: [/bin/true], schedule: { every: 1s, timezone: Europe/London } }
            """)
        try it.wait("select count(*) > 1 from due_times where name = 'lisbon'", is: "1")
        try FileManager.default.moveItem(atPath: "\(zones)/Europe/Lisbon", toPath: "\(zones)/gone")
        it.hangUp()
        try it.wait("select count(*) from events where kind = 'zone-missing' and name = 'lisbon'", is: "1")
        let before = it.sql("select count(*) from due_times where name = 'lisbon'")
        let other = it.sql("select count(*) from due_times where name = 'london'")
        try it.wait("select count(*) > \(other) + 2 from due_times where name = 'london'", is: "1")
        #expect(it.sql("select count(*) from due_times where name = 'lisbon'") == before)
        #expect(it.berth("ps").output.contains("no zone"))
        // Over a restart as well: the recipe stays in force.
        _ = it.terminate()
        try it.start(["--zoneinfo-dir", zones])
        #expect(it.berth("ps").output.contains("no zone"))
        try FileManager.default.moveItem(atPath: "\(zones)/gone", toPath: "\(zones)/Europe/Lisbon")
        it.hangUp()
        try it.wait("select count(*) > \(before) + 1 from due_times where name = 'lisbon'", is: "1")
        #expect(it.sql("select count(*) > 0 from due_times where name = 'lisbon' and result = 'missed' and reason = 'zone missing'") == "1")
        // Each due time has its place in one row.
        let gaps = """
            select count(*) from (select first_due_at, lag(due_at) over (order by due_at) as before from due_times where name = 'lisbon')
            where before is not null and strftime('%s', first_due_at) - strftime('%s', before) <> 1
            """
        #expect(it.sql(gaps) == "0")
    }
}
