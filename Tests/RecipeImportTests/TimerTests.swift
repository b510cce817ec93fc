import Scheduling
import RecipeImport
import Schedules
import TestKit
import Testing
import WorkloadModel

/// What becomes of systemd timers.
@Suite struct TimerTests {
    static func recipe(_ timer: String, _ service: String, name: String = "dump", more: [String] = []) -> ImportResult {
        let files = [("/lib/\(name).timer", timer)] + more.enumerated().map { ("/etc/\(name).timer.d/\($0).conf", $1) }
        return TimerImport.recipe(
            of: [
                .init(
                    timer: UnitFile(name: "\(name).timer", files: files), service: UnitFile(name: "\(name).service", files: [("/lib/\(name).service", service)])
                )
            ],
            source: "\(name).timer", CrontabTests.inputs)
    }

    @Test func aTimerAndItsServiceBecomeAJob() throws {
        let result = Self.recipe(
            """
            [Unit]
            Description=Nightly dump
            [Timer]
            OnCalendar=daily
            OnCalendar=Mon..Fri *-*-* 18:30 Europe/Lisbon
            RandomizedDelaySec=1h 30min
            Persistent=true
            AccuracySec=1us
            WakeSystem=yes
            [Install]
            WantedBy=timers.target
            """,
            """
            [Unit]
            After=network.target
            ConditionACPower=true
            [Service]
            Type=oneshot
            User=postgres
            Group=backup
            WorkingDirectory=/var/lib
            Environment="A=one two" B=2
            ExecStart=/usr/bin/dump --to "/var/my dumps" \\
                --all
            TimeoutStartSec=2h
            MemoryMax=512M
            CPUQuota=150%
            TasksMax=20
            SuccessExitStatus=3 4
            Restart=on-failure
            RestartSec=30
            PrivateNetwork=true
            ProtectSystem=strict
            """)
        let job = try #require(try CrontabTests.read(result)["dump"])
        #expect(job.container.command == ["/usr/bin/dump", "--to", "/var/my dumps", "--all"] && job.container.user == "postgres:backup")
        #expect(job.container.environment["A"]?.revealed == "one two" && job.container.environment["B"]?.revealed == "2")
        #expect(job.container.network == .none && job.container.workingDirectory == "/var/lib")
        #expect(job.container.limits.memoryBytes == 512 << 20 && job.container.limits.cpuMillis == 1500 && job.container.limits.pids == 20)
        let policy = try #require(job.jobPolicy)
        #expect(policy.schedule?.entries.map(\.text) == ["calendar daily", "calendar Mon..Fri *-*-* 18:30 Europe/Lisbon"])
        #expect(policy.schedule?.entries.map(\.zone.name) == ["UTC", "Europe/Lisbon"] && policy.schedule?.entries[0].jitter == .seconds(5400))
        #expect(policy.missed.kind == .last && policy.overlap == .skip && policy.timeout == .seconds(7200) && policy.successCodes == [0, 3, 4])
        #expect(policy.retries.limit == 5 && policy.retries.backoff == .seconds(30))
        let left = result.lines.filter { line in if case .left = line.verdict { true } else { false } }.map { "\($0.line) \($0.text)" }
        #expect(left == ["9 WakeSystem=yes", "2 After=network.target", "3 ConditionACPower=true", "20 ProtectSystem=strict"])
    }

    @Test func whatAddsToATimerCountsAndAnEmptyValueTakesBack() throws {
        let result = Self.recipe(
            "[Timer]\nOnCalendar=hourly\n", "[Service]\nExecStart=/bin/x\n",
            more: ["[Timer]\nOnCalendar=\nOnCalendar=weekly\n", "[Timer]\nFixedRandomDelay=yes\nRandomizedDelaySec=600\n"])
        let entries = try #require(try CrontabTests.read(result)["dump"]?.jobPolicy?.schedule?.entries)
        #expect(entries.map(\.text) == ["calendar weekly"] && entries[0].spread == .seconds(600) && entries[0].jitter == .zero)
    }

    @Test func spansAndBootsComeNearAndSayHow() throws {
        let result = Self.recipe("[Timer]\nOnBootSec=15min\nOnUnitActiveSec=1d\n", "[Service]\nExecStart=/bin/x\n")
        let schedule = try #require(try CrontabTests.read(result)["dump"]?.jobPolicy?.schedule)
        #expect(schedule.runsAtBoot && schedule.entries.map(\.text) == ["@reboot", "every 1d"])
        #expect(CrontabTests.verdicts(result).contains { $0.contains("not counted from the last start") })
    }

    @Test func severalCommandsVariablesAndPrefixesBecomeAShellsLines() throws {
        let result = Self.recipe(
            "[Timer]\nOnCalendar=daily\n",
            """
            [Service]
            Environment=DIR=/srv
            ExecStartPre=-/bin/mkdir -p ${DIR}/x
            ExecStart=/usr/bin/tool $OPTIONS "a b" 100$$ it\\'s-%n-%i
            """, name: "tool@main")
        let job = try #require(try CrontabTests.read(result)["tool-main"])
        #expect(
            job.container.command == [
                "/bin/sh", "-ec", "/bin/mkdir -p \"${DIR}/x\" || true\n/usr/bin/tool $OPTIONS 'a b' \"100\\$\" 'it'\\''s-tool@main.service-main'",
            ])
    }

    @Test func whatCannotBeCarriedOverIsSaid() {
        let unknown = Self.recipe("[Timer]\nOnCalendar=*-*-* 25:00\n", "[Service]\nExecStart=/bin/x %H\n")
        #expect(unknown.jobs == 0 && !unknown.isComplete)
        #expect(CrontabTests.verdicts(unknown).contains { $0.contains("'25' is not a hour") || $0.contains("25") })
        let lone = TimerImport.recipe(
            of: [.init(timer: UnitFile(name: "a.timer", files: [("a.timer", "[Timer]\nOnCalendar=daily\n")]), service: nil)], source: "a", CrontabTests.inputs)
        #expect(lone.jobs == 0 && !lone.isComplete)
    }

    @Test(arguments: 0..<300) func garbageBecomesARecipeOrNothing(seed: Int) throws {
        var dice = Dice(seed: UInt64(seed))
        let pieces = [
            "[Timer]\n", "[Service]\n", "OnCalendar=", "daily", "\n", "ExecStart=", "/bin/x ", "\\\n", "%i", "%%", "$A", "${B}", "\"", "'", "\\x41", "\\", "=",
            "-", "@",
            "Environment=", "A=b ", "MemoryMax=", "1G", "infinity", "OnUnitActiveSec=", "1h 3", "Restart=always\n", "SuccessExitStatus=", "999 ", "é",
            "CPUQuota=", "5%",
            "TimeoutStartSec=", "0", "User=", "TasksMax=", "RandomizedDelaySec=", "#", ";",
        ]
        func text() -> String { (0..<Int.random(in: 1...40, using: &dice)).map { _ in pieces.randomElement(using: &dice)! }.joined() }
        let result = Self.recipe("[Timer]\nOnCalendar=daily\n" + text(), "[Service]\nExecStart=/bin/x\n" + text())
        _ = try CrontabTests.read(result)
    }

    @Test func whatBoundsTheStartBoundsTheRunOfAOneshotAlone() throws {
        func timeout(_ type: String) throws -> Duration? {
            let result = Self.recipe("[Timer]\nOnCalendar=daily\n", "[Service]\n\(type)ExecStart=/bin/x\nTimeoutStartSec=30\nRuntimeMaxSec=1h\n")
            return try CrontabTests.read(result)["dump"]?.jobPolicy?.timeout
        }
        #expect(try timeout("Type=oneshot\n") == .seconds(30))
        #expect(try timeout("") == .seconds(3600))
    }

    @Test func anEmptyTimeTakesBackTimesOfEveryKind() throws {
        let result = Self.recipe(
            "[Timer]\nOnBootSec=5min\nOnUnitActiveSec=1d\n", "[Service]\nExecStart=/bin/x\n", more: ["[Timer]\nOnCalendar=\nOnCalendar=daily\n"])
        #expect(try CrontabTests.read(result)["dump"]?.jobPolicy?.schedule?.entries.map(\.text) == ["calendar daily"])
    }

    @Test func moreOfAServiceIsCarriedOrSaid() throws {
        let result = Self.recipe(
            "[Timer]\nOnCalendar=daily\nPersistent=true\n",
            "[Service]\nType=forking\nExecStart=:/bin/a $HOME ; /bin/b\nMemoryMax=1G\nMemoryLimit=2G\nEnvironmentFile=-/etc/default/x\nStandardOutput=append:/var/log/x\n"
        )
        let job = try #require(try CrontabTests.read(result)["dump"])
        #expect(job.container.command == ["/bin/sh", "-ec", "/bin/a \"\\$HOME\"\n/bin/b"])
        #expect(job.jobPolicy?.missed == MissedPolicy(kind: .last, window: .seconds(366 * 86400)))
        let left = result.lines.filter { line in if case .left = line.verdict { true } else { false } }.map(\.text)
        #expect(left.contains("Type=forking") && left.contains("StandardOutput=append:/var/log/x"), "\(left)")
        // Another user's part of it cannot be told apart in one job.
        #expect(Self.recipe("[Timer]\nOnCalendar=daily\n", "[Service]\nUser=x\nExecStartPre=+/bin/a\nExecStart=/bin/b\n").jobs == 0)
        #expect(Self.recipe("[Timer]\r\nOnCalendar=daily\r\n", "[Service]\r\nExecStart=/bin/b\r\n").jobs == 1)
    }
}
