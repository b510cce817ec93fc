import Foundation
import Glibc
import HostOS
import TestKit
import Testing

/// Everyday use of the command line, with the real programs: each case failed once.
@Suite(.enabled(if: Requirement.root, "needs root"), .serialized)
struct EverydayTests {
    // MARK: Logs are bytes and lines

    /// Whoever reads errors by program gets each with its place, from the command line and from the daemon.
    @Test func errorsInJSONHaveTheirPlaces() throws {
        struct Answer: Decodable {
            struct Problem: Decodable { let file: String, line: Int, column: Int, severity: String, message: String }
            let error: String
            let problems: [Problem]?
        }
        try EndToEndTests.with { it in
            it.scratch.write("bad.yaml", "name: t\njobs:\n  j: { rootfs: host, command: [a], schedule: '@every 5m', tymeout: 3 }\n")
            let result = it.berth("validate", "--json", "\(it.scratch.path)/bad.yaml")
            let answer = try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
            #expect(result.code == 1 && answer.error.hasPrefix("2 errors in "))
            #expect(answer.problems?.map { "\($0.line):\($0.column) \($0.severity)" } == ["3:47 error", "3:59 error"], "\(answer)")
            #expect(answer.problems?.last?.message == "unknown key 'tymeout'; did you mean 'timeout'?")
            #expect(answer.problems?.allSatisfy { $0.file.hasSuffix("/bad.yaml") } == true)
            // A recipe that the daemon refuses, sent as it is.
            let body = #"{"source":{"file":"x.yaml","baseDirectory":"/","text":"name: t\njobs: { j: { tymeout: 3 } }\n","variables":{},"files":{}}}"#
            let text = it.ask("POST /v1/plan", body: body)
            #expect(text.contains(#""problems":["#) && text.contains(#""line":2"#), "\(text)")
        }
    }

    @Test func aLineThatBeginsWithAMarkIsShown() throws {
        try EndToEndTests.with { it in
            try it.apply(
                #"""
                name: t
                jobs:
                  marks: { rootfs: host, command: [printf, 'one\n\314\201two\n\342\200\215three\n\377 no text\nfour\n'] }
                """#)
            let shown = it.bytes("run", "marks", "--wait")
            let expected = Array("one\n\u{301}two\n\u{200D}three\n".utf8) + [0xFF] + Array(" no text\nfour\n".utf8)
            #expect(shown == expected, "\(String(decoding: shown, as: UTF8.self))")
            #expect(it.bytes("logs", "marks") == expected)
        }
    }

    @Test func aLongLineIsOneLine() throws {
        try EndToEndTests.with { it in
            try it.apply(
                """
                name: t
                jobs:
                  long: { rootfs: host, command: ["python3", "-c", "import sys; print('\u{E9}' * 30000); print('short', file=sys.stderr)"] }
                """)
            let whole = String(repeating: "\u{E9}", count: 30000)
            #expect(it.berth("run", "long", "--wait").output == whole + "\n")
            let lines = it.berth("logs", "long", "-t").output.split(separator: "\n").filter { $0.contains("\u{E9}") }
            #expect(lines.count == 1 && lines[0].dropFirst(25) == whole && lines[0].prefix(25).hasSuffix("Z "), "\(lines.map(\.count))")
            let texts = it.berth("logs", "long", "--json").output.split(separator: "\n").filter { $0.contains(#""stream":"stdout""#) }
            #expect(texts.count == 1 && texts[0].contains(whole))
        }
    }

    @Test func linesSinceATimeThatWasShownAreShown() throws {
        try EndToEndTests.with { it in
            try it.apply("name: t\njobs:\n  burst: { rootfs: host, command: [sh, -c, 'echo early; sleep 1; echo last one; echo last two'] }\n")
            it.berth("run", "burst", "--wait")
            let last = try #require(it.berth("logs", "burst", "-t").output.split(separator: "\n").first { $0.contains("last one") })
            #expect(it.berth("logs", "burst", "--since", String(last.prefix(24))).output == "last one\nlast two\n")
        }
    }

    // MARK: How a run ended

    @Test func aFailureIsNeverToldAsSuccess() throws {
        try EndToEndTests.with { it in
            try it.apply(
                """
                name: t
                jobs:
                  odd: { rootfs: host, success_codes: [1], command: ['true'] }
                  slow: { rootfs: host, command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"] }
                  good: { rootfs: host, command: ['true'] }
                """)
            #expect(it.berth("run", "odd", "--wait").code == 1)
            #expect(it.berth("run", "good", "--wait").code == 0)
            let waiting = Process()
            waiting.executableURL = URL(fileURLWithPath: "\(Requirement.programs)/berth")
            waiting.arguments = ["run", "slow", "--wait"]
            waiting.environment = ["BERTH_SOCKET": it.socket]
            waiting.standardError = FileHandle.nullDevice
            try waiting.run()
            try it.wait("select count(*) from runs where name = 'slow' and state = 'running'", is: "1")
            it.berth("stop", "slow")
            waiting.waitUntilExit()
            #expect(waiting.terminationStatus != 0)
            #expect(it.sql("select outcome from runs where name = 'slow'") == "stopped")
        }
    }

    /// A process that the kernel killed on the way is not how a run ended that chose its own end.
    @Test func outOfMemoryIsToldOfWhatItEnded() throws {
        try EndToEndTests.with { it in
            let grow = "python3 -c 'bytearray(200 << 20)'"
            try it.apply(
                """
                name: t
                jobs:
                  survives: { rootfs: host, mem_limit: 48M, command: [sh, -c, "\(grow); echo no configuration >&2; exit 3"] }
                  dies: { rootfs: host, mem_limit: 48M, command: [sh, -c, "exec \(grow)"] }
                  shell: { rootfs: host, mem_limit: 48M, command: [sh, -c, "\(grow); exit $$?"] }
                """)
            #expect(it.berth("run", "survives", "--wait").code == 3)
            #expect(
                it.sql("select outcome || ': ' || reason from runs where name = 'survives'")
                    == "failed: exit code 3; before that the kernel killed a process of it for want of memory")
            for name in ["dies", "shell"] {
                #expect(it.berth("run", name, "--wait").code == 137)
                #expect(it.sql("select outcome from runs where name = '\(name)'") == "oom-killed", "\(name)")
            }
        }
    }

    // MARK: The command line

    @Test func optionsAndRecipesStandWherePeoplePutThem() throws {
        try EndToEndTests.with { it in
            it.scratch.write("r.yaml", "name: t\njobs: { j: { rootfs: host, command: [echo, hi] } }\n")
            let file = "\(it.scratch.path)/r.yaml"
            #expect(it.berth("validate", file).code == 0 && it.berth("plan", file).code == 0 && it.berth("up", file).code == 0)
            let both = it.berth("validate", file, "-f", file)
            #expect(both.code == 1 && both.errors.contains("two recipes are named"))
            func bare(_ arguments: String...) -> (code: Int32, output: String, errors: String) {
                Instance.run("\(Requirement.programs)/berth", arguments, environment: ["PATH": "/usr/bin:/bin"])
            }
            #expect(bare("--socket", it.socket, "ps").output.contains("j"))
            #expect(bare("--json", "--socket=\(it.socket)", "ps").output.hasPrefix("[{"))
            #expect(bare("--socket", it.socket, "run", "j", "--wait", "--", "echo", "--json").output == "--json\n")
            // As with docker compose, which recipe is meant may be said before the verb.
            it.scratch.write("more.yaml", "jobs: { k: { rootfs: host, command: [echo, more] } }\n")
            let config = bare("-f", file, "--file=\(it.scratch.path)/more.yaml", "-p", "other", "config", "--json")
            #expect(config.code == 0 && config.output.contains("other") && config.output.contains("more"), "\(config)")
            let logs = bare("-f", file, "logs", "j")
            #expect(logs.code == 2 && logs.errors.contains("'logs' takes none: it goes with up, plan, validate, config, down and pull"), "\(logs)")
        }
    }

    /// Where nobody listens, that is said at once: the HTTP client alone would try for five seconds.
    @Test(.timeLimit(.minutes(1))) func nobodyListensIsSaidAtOnce() throws {
        let scratch = Scratch("nobody")
        let dead = "\(scratch.path)/dead.sock"
        // Its file stays when nobody listens any more.
        close(try UnixSocket.open(dead, .bind))
        // Twenty of them, each five seconds late, would be past the test's limit.
        for _ in 0..<10 {
            for path in [dead, "\(scratch.path)/none"] {
                let result = Instance.run("\(Requirement.programs)/berth", ["ps"], environment: ["BERTH_SOCKET": path])
                #expect(
                    result.code == 1
                        && result.errors == "berth: no daemon listens at \(path): start berthd, or name another socket with --socket or BERTH_SOCKET\n")
            }
        }
        let json = Instance.run("\(Requirement.programs)/berth", ["ps", "--json"], environment: ["BERTH_SOCKET": dead])
        #expect(json.code == 1 && json.output.contains(#""error":"no daemon listens"#))
    }

    // MARK: Recipes as they come

    @Test func aRecipeComesFromAPipe() throws {
        let scratch = Scratch("pipe")
        let recipe =
            "\u{FEFF}name: p\nservices: { x-ui: { rootfs: host, command: [sleep, '9'], env_file: here.env } }\njobs: { hi: { rootfs: host, command: [echo, hi] } }\n"
        scratch.write("recipe", recipe)
        scratch.write("here.env", #"DOUBLE="say \"hi\" now" # and so on"# + "\n" + #"SINGLE='let\'s go'"# + "\n")
        let berth = "\(Requirement.programs)/berth"
        for line in [
            "\(berth) validate -f - < recipe", "cat recipe | \(berth) validate -f -", "cat recipe | \(berth) validate -f /dev/stdin",
            "\(berth) validate -f <(cat recipe)",
        ] {
            let result = Instance.run("/bin/bash", ["-c", "cd \(scratch.path) && \(line)"], environment: ["PATH": "/usr/bin:/bin"])
            #expect(result.code == 0 && result.output.hasSuffix("good: project p, 1 service, 1 job\n"), "\(line): \(result)")
        }
    }

    @Test func whatIsQuotedInAnEnvFileIsWhole() throws {
        try EndToEndTests.with { it in
            it.scratch.write("app.env", #"DOUBLE="say \"hi\" now" # and so on"# + "\n" + #"SINGLE='let\'s go'"# + "\n")
            let recipe = #"name: t\njobs: { show: { rootfs: host, env_file: app.env, command: [sh, -c, 'echo "$$DOUBLE"; echo "$$SINGLE"'] } }"#
            try it.apply(recipe.replacingOccurrences(of: "\\n", with: "\n"))
            #expect(it.berth("run", "show", "--wait").output == "say \"hi\" now\nlet's go\n")
            it.scratch.write("app.env", "OPEN=\"no end\n")
            let result = it.berth("up", "-f", "\(it.scratch.path)/berth.yaml")
            #expect(result.code == 1 && result.errors.contains("line 1 of"), "\(result)")
        }
    }

    @Test(arguments: ["schedule: */5 * * * *", "schedule: @daily", "schedule: [\"0 1 * * *\", * 2 * * *]"]) func aScheduleWithoutQuotesIsExplained(line: String)
        throws
    {
        let scratch = Scratch("quotes")
        scratch.write("berth.yaml", "name: t\njobs:\n  j:\n    rootfs: host\n    command: ['true']\n    \(line)\n")
        let result = Instance.run("\(Requirement.programs)/berth", ["validate", "-f", "\(scratch.path)/berth.yaml"], environment: [:])
        #expect(result.code == 1 && result.errors.contains("berth.yaml:6:") && result.errors.contains("must stand in quotes"), "\(result)")
    }

    /// Two files that are the project of one name are none; a third one is applied all the same.
    @Test func twoFilesOfOneProjectAreNotOne() throws {
        let it = Instance()
        defer { it.finish() }
        for name in ["a", "b"] { it.scratch.write("recipes/\(name).yaml", "jobs: { \(name): { rootfs: host, command: ['true'] } }\n") }
        it.scratch.write("recipes/c.yaml", "name: other\njobs: { c: { rootfs: host, command: ['true'] } }\n")
        try it.start()
        try it.wait("select group_concat(project) from recipe_rows", is: "other")
        #expect(it.log_.contains("a.yaml and ") && it.log_.contains("b.yaml are recipes of one project, 'recipes'"), "\(it.log_)")
    }

    @Test func aDaemonThatCannotListenSaysSoAndStartsNothing() throws {
        let scratch = Scratch("listen")
        scratch.write("one/berth.sock/occupied", "")
        scratch.write("recipes/t.yaml", "name: t\njobs: { j: { rootfs: host, command: ['true'], schedule: every 1s } }\n")
        let long = "\(scratch.path)/\(String(repeating: "0", count: 90))"
        for (number, runtime) in ["\(scratch.path)/one", long].enumerated() {
            let result = Instance.run(
                "/usr/bin/timeout",
                [
                    "10", "\(Requirement.programs)/berthd", "--state-dir", "\(scratch.path)/s\(number)", "--runtime-dir", runtime, "--recipe-dir",
                    "\(scratch.path)/recipes",
                ],
                environment: ["PATH": "/usr/sbin:/usr/bin:/bin"])
            #expect(result.code == 69 && result.errors.contains("the control socket \(runtime)/berth.sock cannot be made"), "\(result)")
            #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/s\(number)/berth.db"))
        }
    }
}
