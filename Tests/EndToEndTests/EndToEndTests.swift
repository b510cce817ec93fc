import Foundation
import Glibc
import Schedules
import TestKit
import Testing

/// Whole recipes under the real programs.
@Suite(.enabled(if: Requirement.root && Requirement.program("sqlite3"), "needs root and sqlite3"), .serialized)
struct EndToEndTests {
    static func with(_ arguments: [String] = [], _ body: (Instance) throws -> Void) throws {
        let instance = Instance()
        defer { instance.finish() }
        try instance.start(arguments)
        try body(instance)
    }

    /// What an instance has mounted, but the networks of places that stay.
    static func mounts(of it: Instance) throws -> [Substring] {
        try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8).split(separator: "\n").filter {
            $0.contains(it.scratch.path) && !$0.contains(" - nsfs ")
        }
    }

    @Test func servicesStayOnAndJobsRunAtTheirTime() throws {
        try Self.with { it in
            try it.apply(
                """
                name: t
                services:
                  web: { rootfs: host, command: [sleep, "1000"], init: true, restart: always }
                jobs:
                  tick: { rootfs: host, command: [sh, -c, "echo due $$BERTH_DUE_AT"], schedule: every 1s }
                  flaky: { rootfs: host, command: [sh, -c, "test $$BERTH_ATTEMPT = 2"], schedule: every 2s, retries: { max: 1, backoff: 100ms } }
                """)
            try it.wait("select count(*) > 2 from runs where name = 'tick' and outcome = 'succeeded'", is: "1")
            try it.wait("select count(*) > 0 from runs where name = 'flaky' and trigger = 'retry' and outcome = 'succeeded'", is: "1")
            #expect(it.sql("select state from services") == "running")
            #expect(it.sql("select count(*) from due_times where result = 'ran' and run_id is null") == "0")
            // Never early.
            #expect(it.sql("select count(*) from runs where trigger = 'schedule' and started_at < due_at") == "0")
            let ps = it.berth("ps")
            #expect(ps.code == 0 && ps.output.contains("web") && ps.output.contains("running"))
            #expect(it.berth("logs", "tick").output.hasPrefix("due 20"))
            // What is piped is plain.
            #expect(!ps.output.contains("\u{1B}"))
        }
    }

    @Test func aDaemonThatIsKilledLosesNothing() throws {
        try Self.with { it in
            let services = (1...20).map { "  s\($0): { rootfs: host, command: [sleep, '1000'], init: true, restart: always }" }.joined(separator: "\n")
            try it.apply(
                """
                name: t
                services:
                \(services)
                  web: { rootfs: host, command: [sleep, "1000"], init: true, restart: always }
                jobs:
                  long: { rootfs: host, command: [sh, -c, "sleep 3; exit 42"] }
                  short: { rootfs: host, command: [sh, -c, "sleep 1; exit 7"] }
                """)
            try it.wait("select count(*) from services where state = 'running'", is: "21")
            #expect(it.berth("stop", "web").code == 0)
            #expect(it.berth("run", "long").code == 0 && it.berth("run", "short").code == 0)
            try it.wait("select count(*) from runs where kind = 'job' and state = 'running'", is: "2")
            let before = it.sql("select group_concat(run_id) from (select run_id from services where state = 'running' order by name)")
            it.kill()
            sleep(2)
            try it.start()
            try it.wait("select outcome || exit_code from runs where name = 'short'", is: "failed7")
            try it.wait("select outcome || exit_code from runs where name = 'long'", is: "failed42")
            #expect(it.sql("select group_concat(run_id) from (select run_id from services where state = 'running' order by name)") == before)
            #expect(it.sql("select count(*) from runs where kind = 'service'") == "21")
            #expect(it.sql("select state from services where name = 'web'") == "stopped")
            #expect(it.sql("select max(restarts) from services") == "0")
        }
    }

    @Test func aCleanShutdownLeavesContainersAliveAndStopAllDoesNot() throws {
        let it = Instance()
        defer { it.finish() }
        try it.start()
        try it.apply("name: t\nservices: { web: { rootfs: host, command: [sleep, '1000'], init: true, restart: always } }")
        try it.wait("select state from services", is: "running")
        let run = it.sql("select run_id from services")
        #expect(it.terminate() == 0)
        try it.start(["--stop-all"])
        #expect(it.sql("select run_id from services") == run)
        #expect(it.terminate() == 0)
        #expect(it.sql("select outcome from runs where run_id = '\(run)'") == "stopped")
        // It is wanted all the same.
        try it.start()
        try it.wait("select count(*) from runs where state = 'running'", is: "1")
    }

    @Test func threeHundredRunsInOneSecondLeaveNothingBehind() throws {
        try Self.with { it in
            let due = ISO8601DateFormatter().string(from: Date(timeIntervalSinceNow: 4))
            let jobs = (1...300).map { "  j\($0): { rootfs: host, command: ['true'], schedule: 'at \(due)' }" }.joined(separator: "\n")
            try it.apply("name: t\njobs:\n\(jobs)\n")
            try it.wait("select count(*) from runs where outcome = 'succeeded'", is: "300", seconds: 60)
            #expect(it.sql("select count(*) from runs") == "300" && it.sql("select count(*) from due_times where result = 'ran'") == "300")
            for _ in 0..<200 where !Self.names("\(it.scratch.path)/run/runs").isEmpty { usleep(50_000) }
            #expect(Self.names("\(it.scratch.path)/run/runs").isEmpty)
            #expect(Self.names("\(it.scratch.path)/state/scratch").isEmpty)
            #expect(try Self.mounts(of: it).isEmpty)
            #expect(!Self.groups(of: it).isEmpty)
            for path in Self.groups(of: it) {
                #expect(!Self.names(path).contains { $0.count == 16 && FileManager.default.fileExists(atPath: "\(path)/\($0)/cgroup.procs") }, "\(path)")
            }
            // The fork server is the only child, and has no children. What was removed last may have a process that still ends.
            let daemon = it.daemon?.processIdentifier ?? 0
            for _ in 0..<200 where Self.children(of: daemon).count != 1 { usleep(50_000) }
            let left = Self.children(of: daemon)
            #expect(left.count == 1, "\(left)")
            for process in left {
                #expect((try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8)) == "shim-forkserver\n")
                #expect(Self.children(of: process).isEmpty)
            }
        }
    }

    static func children(of process: Int32) -> [Int32] {
        let found = Instance.run("/usr/bin/env", ["pgrep", "-P", "\(process)"], environment: ["PATH": "/usr/bin:/bin"])
        return found.output.split(separator: "\n").compactMap { Int32($0) }
    }

    static func names(_ path: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }

    /// The control groups of this daemon: another Berth may run on the machine.
    static func groups(of it: Instance) -> [String] {
        let name = "berth-" + String(StableHash("\(it.scratch.path)/state").value, radix: 36)
        return ["", "/memory", "/pids", "/unified", "/blkio"].map { "/sys/fs/cgroup\($0)/\(name)" }.filter { FileManager.default.fileExists(atPath: $0) }
    }

    @Test func sixMistakesAreSixDiagnosticsAndChangeNothing() throws {
        try Self.with { it in
            try it.apply("name: t\nservices: { web: { rootfs: host, command: [sleep, '1000'], init: true } }")
            try it.wait("select state from services", is: "running")
            it.scratch.write(
                "bad.yaml",
                """
                name: t
                services:
                  web: { rootfs: host, comand: [sleep], command: [sleep, '9'], restart: alway }
                jobs:
                  a: { rootfs: host, command: [x], schedule: "61 * * * *" }
                  b: { rootfs: host, command: [x], timeout: 5, overlap: maybe }
                  c: { rootfs: host, command: [x], schedule: { cron: "* * * * *", timezone: Mars/Base } }
                """)
            let result = it.berth("up", "-f", "\(it.scratch.path)/bad.yaml")
            #expect(result.code == 1)
            #expect(result.errors.split(separator: "\n").count { $0.contains(": error: ") } == 6, "\(result.errors)")
            #expect(result.errors.contains("did you mean 'command'?") && result.errors.contains("^~~~"))
            #expect(it.sql("select count(*) from runs") == "1" && it.sql("select state from services") == "running")
        }
    }

    @Test func aChangedRecipeTouchesOnlyWhatChanged() throws {
        try Self.with { it in
            func recipe(_ seconds: Int, _ schedule: String) -> String {
                """
                name: t
                services:
                  a: { rootfs: host, command: [sleep, "1000"], init: true }
                  b: { rootfs: host, command: [sleep, "\(seconds)"], init: true }
                jobs:
                  j: { rootfs: host, command: ["true"], schedule: "\(schedule)" }
                """
            }
            try it.apply(recipe(1000, "0 4 * * *"))
            try it.wait("select count(*) from services where state = 'running'", is: "2")
            it.scratch.write("new.yaml", recipe(2000, "0 5 * * *"))
            let plan = it.berth("plan", "-f", "\(it.scratch.path)/new.yaml").output
            #expect(plan.contains("04:00:00 ->") && plan.contains("restart") && plan.contains("2 of 3 would change"), "\(plan)")
            #expect(it.sql("select count(*) from runs") == "2")
            #expect(it.berth("up", "-f", "\(it.scratch.path)/new.yaml").code == 0)
            try it.wait("select count(*) from services where state = 'running'", is: "2")
            try it.wait("select group_concat(name || outcome) from (select name, outcome from runs where outcome is not null)", is: "bstopped")
            #expect(it.sql("select count(*) from runs where name = 'a'") == "1")
        }
    }

    @Test func recipeFilesAreReadAtStartAndOnHangUp() throws {
        let it = Instance()
        defer { it.finish() }
        it.scratch.write("recipes/one.yaml", "name: t\njobs: { a: { rootfs: host, command: ['true'] } }")
        it.scratch.write("recipes/broken.yaml", "name: u\njobs: { a: { rootfs: host, comand: ['true'] } }")
        try it.start()
        it.wait(upTo: 20) { it.berth("ps").output.contains(" a ") }
        #expect(it.log_.contains("did you mean 'command'?"))
        it.scratch.write("recipes/broken.yaml", "name: u\njobs: { c: { rootfs: host, command: ['true'] } }")
        it.hangUp()
        it.wait(upTo: 20) { it.berth("ps").output.contains(" c ") }
        #expect(it.berth("ps").output.contains(" c "))
    }

    @Test func runWaitGivesTheJobsOutputAndCode() throws {
        try Self.with { it in
            try it.apply(
                """
                name: t
                jobs:
                  j: { rootfs: host, command: [sh, -c, "echo out; echo err >&2; exit 9"] }
                  e: { rootfs: host, command: [printf, "\\\\033]0;owned\\\\007"] }
                  n: { rootfs: host, command: [nonsense] }
                """)
            let result = it.berth("run", "j", "--wait")
            #expect(result.code == 9 && result.output == "out\n" && result.errors.hasPrefix("err\n"))
            #expect(it.berth("run", "n", "--wait").code == 125)
            #expect(it.sql("select reason from runs where name = 'n'") == "command 'nonsense' is not in the PATH of the root file system")
            #expect(it.berth("run", "nope").errors.contains("there is no service or job 'nope'"))
            #expect(it.berth("run", "j", "--json", "--wait").output.contains("\"exit_code\":9"))
        }
    }

    /// A damaged row changes nothing: what runs runs on, what is stopped or paused stays so, and that is said until a person decides.
    @Test func damagedRowsRestUntilSomebodyDecides() throws {
        try Self.with { it in
            try it.apply(
                """
                name: t
                services:
                  up: { rootfs: host, command: [sleep, '1000'], init: true, restart: always }
                  off: { rootfs: host, command: [sleep, '1000'], init: true, restart: always }
                jobs:
                  tick: { rootfs: host, command: ['true'], schedule: every 1s }
                """)
            try it.wait("select count(*) > 0 from runs where name = 'tick' and outcome = 'succeeded'", is: "1")
            #expect(it.berth("stop", "off").code == 0 && it.berth("pause", "tick").code == 0)
            let run = it.sql("select run_id from runs where name = 'up'")
            it.kill()
            _ = it.sql(
                "update service_rows set state = 'odd'; update job_rows set pending = 'odd', paused = 0; update run_rows set trigger = 'odd' where name = 'up'",
                writing: true)
            try it.start()
            #expect(it.sql("select group_concat(name || ' ' || state) from services") == "off stopped,up running")
            let notices = it.berth("ps").errors
            #expect(notices.contains("service t/off in the history could not be read; it is stopped until 'berth start t/off'"), "\(notices)")
            #expect(notices.contains("job t/tick in the history could not be read; it is paused until 'berth resume t/tick'") && !notices.contains("t/up"))
            #expect(it.berth("doctor").code == 1)
            let from = it.sql("select count(*) from due_times where reason = 'paused'")
            try it.wait("select count(*) > \(from) from due_times where reason = 'paused'", is: "1")
            #expect(it.sql("select count(*) from runs where name != 'tick'") == "2" && it.sql("select state from runs where run_id = '\(run)'") == "running")
            #expect(it.sql("select count(*) from damaged_rows") == "4")
            #expect(it.berth("resume", "tick").code == 0 && it.berth("start", "off").code == 0)
            it.wait(upTo: 20) { it.berth("ps").errors == "" }
            #expect(it.berth("ps").errors == "")
        }
    }

    @Test func othersWaitForRunsAndCancelThem() throws {
        try Self.with { it in
            try it.apply("name: t\njobs: { j: { rootfs: host, command: [sh, -c, 'trap \"exit 7\" TERM; echo up; while :; do sleep 0.1; done'] } }")
            #expect(it.berth("wait", "j").output == "j: nothing runs\n")
            let run = it.berth("run", "j").output.split(separator: " ").last.map { $0.trimmingCharacters(in: .newlines) } ?? ""
            it.wait(upTo: 10) { it.berth("logs", "j").output == "up\n" }
            let waiters = try ["j", "t/j", run].map { try it.begin("wait", $0) }
            usleep(200_000)
            #expect(waiters.filter(\.isRunning).count == 3)
            kill(waiters[1].processIdentifier, SIGKILL)
            #expect(it.berth("cancel", "j").code == 0)
            for waiter in [waiters[0], waiters[2]] {
                waiter.waitUntilExit()
                #expect(waiter.terminationStatus == 7)
            }
            // It has ended: there is nothing to wait for.
            let again = it.berth("wait", run)
            #expect(again.code == 7 && again.output == "j (run \(run)): stopped\n", "\(again)")
            #expect(it.berth("wait", "i").errors.contains("there is no service or job 'i'; did you mean 'j'?"))
        }
    }

    /// A job that is due often does not hide the others.
    @Test func nextShowsAFewOfEachJob() throws {
        try Self.with { it in
            let recipe = """
                name: t
                jobs:
                  often: { rootfs: host, command: ['true'], schedule: every 1m }
                  nightly: { rootfs: host, command: ['true'], schedule: '0 3 * * *' }
                  yearly: { rootfs: host, command: ['true'], schedule: '0 0 1 1 *' }
                """
            it.scratch.write("next.yaml", recipe)
            try it.apply(recipe)
            func jobs(_ arguments: String...) -> [String] {
                Instance.run("\(Requirement.programs)/berth", ["next"] + arguments, environment: ["BERTH_SOCKET": it.socket, "TZ": "UTC"]).output
                    .split(separator: "\n").dropFirst().compactMap { $0.split(separator: " ").last { $0.hasPrefix("t/") }.map(String.init) }
            }
            let few = ["t/often", "t/often", "t/often", "t/nightly", "t/nightly", "t/nightly", "t/yearly", "t/yearly", "t/yearly"]
            for found in [jobs("--from", "2026-11-28"), jobs("--from", "2026-11-28", "-f", "\(it.scratch.path)/next.yaml")] { #expect(found == few) }
            #expect(jobs("-n", "5", "--from", "2026-11-28") == Array(repeating: "t/often", count: 5))
            #expect(jobs("often").count == 20 && jobs("yearly", "-n", "2").count == 2)
            #expect(it.berth("next", "-n", "0").code == 1)
        }
    }

    @Test func pausedDueTimesAreSkippedWithTheirReason() throws {
        try Self.with { it in
            try it.apply("name: t\njobs: { j: { rootfs: host, command: ['true'], schedule: every 1s } }")
            #expect(it.berth("pause", "j").code == 0)
            try it.wait("select count(*) > 1 from due_times where result = 'skipped' and reason = 'paused'", is: "1")
            it.kill()
            try it.start()
            // A pause holds, whatever becomes of the daemon.
            let runs = it.sql("select count(*) from runs")
            try it.wait("select count(*) > 4 from due_times where reason in ('paused', 'daemon down')", is: "1")
            #expect(it.sql("select count(*) from runs") == runs)
            #expect(it.berth("resume", "j").code == 0)
            try it.wait("select count(*) > \(runs) from runs", is: "1")
        }
    }

    @Test func aDaemonThatWasDownAccountsForEveryDueTime() throws {
        try Self.with { it in
            let kinds = ["last", "skip", "all"]
            let jobs = kinds.map { "  \($0): { rootfs: host, command: ['true'], schedule: every 1s, missed: \($0) }" }.joined(separator: "\n")
            try it.apply("name: t\njobs:\n\(jobs)\n")
            try it.wait("select count(*) > 2 from runs where name = 'skip' and outcome = 'succeeded'", is: "1")
            it.kill()
            sleep(10)
            try it.start()
            try it.wait("select count(*) >= 10 from runs where name = 'all' and trigger = 'catch-up' and outcome = 'succeeded'", is: "1")
            it.kill()
            for kind in kinds {
                // From the first to the last due time without a hole: every second is counted once.
                #expect(
                    it.sql("select (max(strftime('%s', due_at)) - min(strftime('%s', first_due_at)) + 1) - sum(count) from due_times where name = '\(kind)'")
                        == "0", "\(kind)")
            }
            #expect(it.sql("select count(*) from runs where name = 'skip' and trigger = 'catch-up'") == "0")
            #expect(it.sql("select count(*) from runs where name = 'last' and trigger = 'catch-up'") == "1")
            #expect(it.sql("select count(*) from due_times where name = 'last' and result = 'missed'") == "1")
            #expect(it.sql("select count(*) from due_times where name = 'all' and result = 'missed' and run_id is null") == "0")
            #expect(
                it.sql(
                    "select count(*) from (select name, due_at from runs where due_at is not null and trigger in ('schedule', 'catch-up') group by 1, 2 having count(*) > 1)"
                ) == "0")
        }
    }

    /// 20 jobs are due together, and the daemon ends 2 to 78 ms later, by a kill and by a signal in turn: each due time runs
    /// once, as a file tells that the jobs append to. BERTH_ENDS is how often it ends; 80 by hand.
    @Test(.timeLimit(.minutes(15))) func whatIsDueWhenTheDaemonEndsIsNeitherLostNorDoubled() throws {
        let ends = ProcessInfo.processInfo.environment["BERTH_ENDS"].flatMap { Int($0) } ?? 8
        try Self.with { it in
            try FileManager.default.createDirectory(atPath: "\(it.scratch.path)/ledger", withIntermediateDirectories: true)
            let jobs = (0..<20).map {
                "  j\($0): { rootfs: host, command: [sh, -c, 'echo $$BERTH_JOB $$BERTH_DUE_AT >> /ledger/lines'], volumes: ['./ledger:/ledger'], schedule: every 2s, missed: all, overlap: allow }"
            }
            try it.apply("name: t\njobs:\n\(jobs.joined(separator: "\n"))\n")
            var hit = 0
            for number in 0..<ends {
                let before = it.sql("select max(due_at) from due_times")
                try it.wait("select max(due_at) > '\(before)' from due_times", is: "1")
                let last = Int64(it.sql("select strftime('%s', max(due_at)) * 1000 from due_times")) ?? 0
                var time = timespec()
                clock_gettime(CLOCK_REALTIME, &time)
                let left = last + 2000 + Int64(2 + number * 76 / max(1, ends - 1)) - (Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
                usleep(UInt32(max(0, left) * 1000))
                if number % 2 == 0 { it.kill() } else { #expect(it.terminate() == 0) }
                hit += Int(it.sql("select count(*) from run_rows where state = 'starting'")) ?? 0
                try it.start()
            }
            for number in 0..<20 { it.berth("pause", "j\(number)") }
            try it.wait("select count(*) from run_rows where state <> 'finished'", is: "0", seconds: 60)
            let lines = (it.scratch.text("ledger/lines") ?? "").split(separator: "\n").map(String.init)
            let rows = it.sql("select name || ' ' || substr(due_at, 1, 19) || 'Z' from due_times where result = 'ran' or run_id is not null").split(
                separator: "\n"
            ).map(String.init)
            let shown = lines.map { $0.replacingOccurrences(of: ".000Z", with: "Z") }
            print("\(ends) ends of the daemon, \(hit) runs caught while they started, \(lines.count) ran")
            #expect(Set(shown).count == shown.count, "something ran twice")
            #expect(Set(rows) == Set(shown), "\(Set(rows).symmetricDifference(shown).sorted().prefix(5))")
            #expect(it.sql("select group_concat(distinct outcome) from runs") == "succeeded")
            #expect(it.sql("select count(*) from due_times where result = 'skipped' and reason <> 'paused' or result = 'missed' and run_id is null") == "0")
            #expect(
                it.sql(
                    "select group_concat(distinct n) from (select (max(due_ms) - min(first_due_ms)) / 2000 + 1 - sum(count) as n from due_rows group by name)")
                    == "0")
        }
    }

    @Test func everyOverlapPolicyAccountsForEveryDueTime() throws {
        try Self.with { it in
            let policies = ["skip", "queue", "replace", "allow"]
            let jobs = policies.map { "  \($0): { rootfs: host, command: [sleep, '2.5'], schedule: every 1s, overlap: \($0), init: true }" }.joined(
                separator: "\n")
            try it.apply("name: t\njobs:\n\(jobs)\n")
            try it.wait("select count(*) > 7 from due_times where name = 'skip'", is: "1")
            it.berth("pause", "skip", "queue", "replace", "allow")
            it.berth("stop", "skip", "queue", "replace", "allow")
            for policy in policies {
                #expect(
                    it.sql("select (max(strftime('%s', due_at)) - min(strftime('%s', due_at)) + 1) - count(*) from due_times where name = '\(policy)'") == "0",
                    "\(policy)")
                #expect(it.sql("select count(*) from due_times where name = '\(policy)' and result = 'skipped' and reason is null") == "0")
            }
            #expect(it.sql("select count(*) > 0 from due_times where name = 'skip' and reason = 'overlap'") == "1")
            #expect(it.sql("select count(*) from due_times where name = 'allow' and reason = 'overlap'") == "0")
            #expect(it.sql("select count(*) > 0 from runs where name = 'replace' and reason like 'replaced%'") == "1")
        }
    }

    @Test func oneDaemonADirectory() throws {
        try Self.with { it in
            let second = Instance.run(
                "\(Requirement.programs)/berthd", ["--state-dir", "\(it.scratch.path)/state", "--runtime-dir", "\(it.scratch.path)/other"],
                environment: ["PATH": "/usr/bin:/bin"])
            #expect(second.code == 75)
            #expect(second.errors.contains("another berthd (pid \(it.daemon?.processIdentifier ?? 0)) has the directory"))
            // Nor may two share a runtime directory: the second would take the first one's containers for orphans.
            try it.apply("name: t\nservices: { web: { rootfs: host, command: [sleep, '1000'], init: true } }")
            let third = Instance.run(
                "\(Requirement.programs)/berthd", ["--state-dir", "\(it.scratch.path)/other-state", "--runtime-dir", "\(it.scratch.path)/run"],
                environment: ["PATH": "/usr/bin:/bin"])
            #expect(third.code == 75)
            #expect(it.berth("ps").output.contains("running"))
        }
    }

    /// Overwrites the beginning of the history, and takes its log of changes away, with which the file would mend itself.
    private static func damage(_ it: Instance) throws {
        try? FileManager.default.removeItem(atPath: it.database + "-wal")
        let handle = try #require(FileHandle(forWritingAtPath: it.database))
        try handle.write(contentsOf: Data(repeating: 0x55, count: 65536))
        try handle.close()
    }

    @Test func aDamagedHistoryWithoutACopyIsPutAsideAndWhatRunsIsStopped() throws {
        try Self.with { it in
            try it.apply("name: t\nservices: { web: { rootfs: host, command: [sleep, '1000'], init: true } }")
            try it.wait("select state from services", is: "running")
            it.kill()
            try Self.damage(it)
            try it.start()
            #expect(it.log_.contains("the history is damaged; it was put aside, and a new one begins"))
            #expect(Self.names("\(it.scratch.path)/state/quarantine").contains { $0.hasPrefix("berth.db.corrupt-") })
            #expect(it.berth("ps").code == 0)
            try it.wait("select count(*) from events where kind = 'restored'", is: "1")
            // It is known again from what was written down beside it, and no recipe has it.
            try it.wait("select name || ' ' || outcome || ': ' || reason from runs", is: "web stopped: the recipe no longer has it")
            for _ in 0..<200 where !Self.names("\(it.scratch.path)/run/runs").isEmpty { usleep(50_000) }
            #expect(Self.names("\(it.scratch.path)/run/runs").isEmpty)
        }
    }

    /// The newest copy that is whole takes the place of a damaged history: what runs is known again, and nothing that was due since is run twice.
    @Test func aDamagedHistoryIsReplacedByItsNewestCopy() throws {
        guard Requirement.path(of: "sqlite3") != nil else {
            if Requirement.strict { Issue.record("sqlite3 is needed") }
            return
        }
        try Self.with { it in
            let book = "\(it.scratch.path)/book"
            try FileManager.default.createDirectory(atPath: book, withIntermediateDirectories: true)
            try it.apply(
                """
                name: t
                services: { web: { rootfs: host, command: [sleep, '1000'], init: true } }
                jobs:
                  tick: { rootfs: host, command: [sh, -c, "echo $$BERTH_DUE_AT >> \(book)/lines"], volumes: ["\(book):\(book)"], schedule: every 1s }
                  long: { rootfs: host, command: [sh, -c, "sleep 2; exit 7"], init: true }
                  waits: { rootfs: host, command: [sleep, '1000'], init: true }
                """)
            try it.wait("select state from services", is: "running")
            let container = it.sql("select run_id from services")
            try it.wait("select count(*) > 1 from due_times", is: "1")
            // As an earlier release made it: without a mark.
            let folder = "\(it.scratch.path)/state/snapshots"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let now = Int(Date().timeIntervalSince1970)
            #expect(it.sql("vacuum into '\(folder)/berth-\(now).db'") == "")
            _ = FileManager.default.createFile(atPath: "\(folder)/berth-\(now + 1).db", contents: Data(repeating: 0x55, count: 65536))
            #expect(it.berth("run", "waits").code == 0)
            sleep(3)
            #expect(it.berth("run", "long").code == 0)
            try it.wait("select count(*) from runs where name in ('long', 'waits') and state = 'running'", is: "2")
            it.kill()
            try Self.damage(it)
            try it.start()
            #expect(it.log_.contains("its newest copy is in its place") && it.log_.contains("berth-\(now).db"))
            #expect(it.sql("select run_id || ' ' || state from services") == "\(container) running")
            // Those that were found, which the copy cannot know: one lives, one ends as it ends.
            try it.wait("select state from runs where name = 'waits'", is: "running")
            try it.wait("select outcome || ' ' || exit_code from runs where name = 'long'", is: "failed 7")
            try it.wait("select count(*) > 0 from due_times where reason = 'history lost'", is: "1")
            let last = it.sql("select max(due_ms) from due_times where reason = 'history lost'")
            try it.wait("select count(*) > 2 from due_times where name = 'tick' and result = 'ran' and due_ms > \(last)", is: "1")
            let lines = (it.scratch.text("book/lines") ?? "").split(separator: "\n")
            #expect(Set(lines).count == lines.count, "a due time was run twice")
            // Every second has its row.
            #expect(
                it.sql(
                    "select sum(count) = (max(due_ms) - min((strftime('%s', first_due_at)) * 1000)) / 1000 + 1 from due_times where name = 'tick'") == "1")
            #expect(it.berth("events").output.contains("the history was lost"))
            // Once taken up, it is a history like any other.
            it.kill()
            try it.start()
            #expect(it.sql("select count(*) from events where kind = 'restored'") == "1")
        }
    }

    /// A host that booted with its clock in the past is waited for; one whose daemon only restarts is not.
    @Test func aClockThatIsBehindAtBootIsWaitedFor() throws {
        try Self.with { it in
            try it.apply("name: t\njobs: { j: { rootfs: host, command: ['true'], schedule: every 1s } }")
            try it.wait("select count(*) > 0 from runs where outcome is not null", is: "1")
            it.kill()
            // As if it had run a day later, in another boot.
            let later = "update run_rows set decided_ms = decided_ms + 86400000 where rowid = (select max(rowid) from run_rows)"
            #expect(it.sql(later.replacing("rowid", with: "run_id"), writing: true) == "")
            try it.start(["--clock-wait", "30s"])
            #expect(!it.log_.contains("the clock is behind"))
            it.kill()
            #expect(it.sql("update meta set value = 'another boot' where key = 'boot_id'", writing: true) == "")
            let before = it.sql("select count(*) from runs")
            try it.start(["--clock-wait", "3s"])
            let asked = it.berth("ps")
            #expect(asked.errors.contains("the clock shows"), "\(asked)")
            #expect(it.sql("select count(*) from runs") == before)
            try it.wait("select count(*) > \(before) from runs", is: "1")
            #expect(it.log_.contains("the clock is still behind, and is taken as it is"))
        }
    }

    @Test func anImageIsBroughtInOnceAndRun() throws {
        guard Requirement.path(of: "umoci") != nil, Requirement.path(of: "busybox") != nil else {
            if Requirement.strict { Issue.record("umoci and busybox are needed") }
            return
        }
        try Self.with { it in
            let build = """
                cd \(it.scratch.path) && mkdir -p root/bin && cp $(command -v busybox) root/bin/sh && umoci init --layout image && umoci new --image image:v1 \
                && umoci insert --image image:v1 root / && umoci config --image image:v1 --config.cmd /bin/sh --config.cmd -c --config.cmd 'echo from $WHERE' --config.env WHERE=image
                """
            #expect(Instance.run("/bin/sh", ["-c", build], environment: ["PATH": "/usr/sbin:/usr/bin:/bin"]).code == 0)
            try it.apply("name: t\njobs: { j: { image: 'oci:\(it.scratch.path)/image:v1' } }")
            let result = it.berth("run", "j", "--wait")
            #expect(result.output == "from image\n" && result.code == 0, "\(result)")
            #expect(it.sql("select image like 'oci:%@sha256:%' from runs") == "1")
            #expect(try Self.mounts(of: it).isEmpty)
            // A user who is not root can enter the root, read the names of hosts, and find a new volume open to look at.
            try it.apply(
                """
                name: t
                volumes: { v: {} }
                jobs: { j: { image: 'oci:\(it.scratch.path)/image:v1', user: "1000", working_dir: /made/for/it, volumes: ["v:/v"],
                    command: [/bin/sh, -c, "read address name < /etc/hosts; echo $$address $$name; read name < /etc/hostname; echo $$name; cd /v && pwd"] } }
                """)
            let user = it.berth("run", "j", "--wait")
            #expect(user.output == "127.0.0.1 localhost\nj\n/v\n", "\(user)")
            try it.apply("name: t\njobs: { j: { image: 'oci:\(it.scratch.path)/image:v1' } }")
            it.scratch.write("missing.yaml", "name: t\njobs: { j: { image: 'oci:\(it.scratch.path)/nothing' } }")
            let missing = it.berth("up", "-f", "\(it.scratch.path)/missing.yaml")
            #expect(missing.code == 1 && missing.errors.contains("nothing was changed"))
            #expect(it.berth("run", "j", "--wait").output == "from image\n")
        }
    }
}
