import Scheduling
import RecipeFile
import RecipeImport
import Schedules
import HostOS
import TestKit
import Testing
import WorkloadModel

/// What becomes of crontabs and anacron's table.
@Suite struct CrontabTests {
    static var inputs: ImportInputs {
        ImportInputs(
            project: "cron", home: { ["root": "/root", "www-data": "/var/www", "ghost": "/nonexistent"][$0] }, isDirectory: { $0 != "/nonexistent" },
            hasZone: { (try? Make.zones.zone($0)) != nil }, writableDirectories: ["/home", "/var"])
    }

    static func user(_ text: String, _ user: String = "root") -> ImportResult {
        CrontabImport.recipe(of: [.init(file: "crontab", text: text, kind: .user(user))], source: "crontab", inputs)
    }

    /// The recipe must be one: it is read as any other.
    static func read(_ result: ImportResult) throws -> [String: Workload] {
        let read = RecipeReader.read(
            RecipeSource(file: "berth.yaml", baseDirectory: "/srv", text: result.recipe),
            RecipeInputs(variables: [:], readFile: { _ in "" }, zone: { try Make.zones.zone($0) }, hostZone: .utc))
        let recipe = try #require(read.recipe, "\(read.diagnostics)\n\(result.recipe)")
        #expect(recipe.workloads.count == result.jobs)
        return Dictionary(uniqueKeysWithValues: recipe.workloads.map { ($0.id.name.description, $0) })
    }

    static func verdicts(_ result: ImportResult) -> [String] {
        result.lines.map { line in
            switch line.verdict {
            case .carried(let words): "\(line.line) = \(words)"
            case .changed(let words): "\(line.line) ~ \(words)"
            case .comment(let words): "\(line.line) # \(words)"
            case .left(let words): "\(line.line) - \(words)"
            }
        }
    }

    @Test func aJobKeepsWhatCronGivesIt() throws {
        let result = Self.user(
            """
            # nightly
            MAILTO=ops@example.org
            PATH = "/usr/local/bin:/usr/bin:/bin"
            GREETING='hello $USER'
            30 2 * * *  /usr/local/bin/backup.sh --all > /dev/null
            @reboot cd /srv && nice -n 5 ./warm-up.py
            CRON_TZ=Europe/Lisbon
            0 9 * * mon-fri mail -s "100\\% done" ops%Dear all,%%it is done.
            61 * * * * nothing
            */15 * * *

            # the end
            """, "www-data")
        let jobs = try Self.read(result)
        #expect(jobs.keys.sorted() == ["backup", "mail", "warm-up"])
        let backup = try #require(jobs["backup"])
        #expect(backup.container.command == ["/bin/sh", "-c", "/usr/local/bin/backup.sh --all > /dev/null"])
        #expect(backup.container.user == "www-data" && backup.container.workingDirectory == "/var/www" && backup.container.network == .host)
        #expect(
            backup.container.environment.mapValues(\.revealed) == [
                "HOME": "/var/www", "LOGNAME": "www-data", "USER": "www-data", "SHELL": "/bin/sh", "PATH": "/usr/local/bin:/usr/bin:/bin",
                "GREETING": "hello $USER",
            ])
        #expect(backup.container.mounts.map(\.target) == ["/home", "/var"] && backup.container.mounts.allSatisfy { !$0.readOnly })
        #expect(backup.jobPolicy?.overlap == .allow && backup.jobPolicy?.missed.kind == .skip)
        #expect(jobs["warm-up"]?.jobPolicy?.schedule?.runsAtBoot == true)
        #expect(jobs["mail"]?.container.command?[2] == "{ mail -s \"100% done\" ops\n} <<'INPUT'\nDear all,\n\nit is done.\nINPUT\n")
        #expect(jobs["mail"]?.jobPolicy?.schedule?.entries[0].zone.name == "Europe/Lisbon")
        #expect(result.recipe.contains("  # nightly\n  # MAILTO=ops@example.org\n  backup:"))
        #expect(result.recipe.hasSuffix("# From the end of crontab:\n# the end\n"))
        #expect(
            Self.verdicts(result) == [
                "1 # a comment", "2 # no mail is sent: each run's output is kept, see 'berth logs'", "3 = a variable of what follows",
                "4 = a variable of what follows", "5 = backup", "6 = warm-up",
                "7 ~ the time zone of what follows; Debian's cron knows no such variable, and went by the host's", "8 = mail",
                "9 - cron does not run it: cron refuses '61' as its minute", "10 - cron does not run it: it has 4 fields, and five and a command are needed",
                "12 # a comment",
            ])
        #expect(!result.isComplete)
    }

    @Test(arguments: [
        ("* * * * * x", nil), ("0 0 1-5,7 jan,FEB sun x", nil), ("*/5 1-23/2 * * 0-7 x", nil), ("5/15 * * * * x", "minute"),
        ("22-2 * * * * x", "never runs it (to cron the minute"),
        ("0 22-2 * * * x", "never runs it (to cron the hour"), ("0 0 L * * x", "day of month"), ("0 0 * * 5#2 x", nil), ("H * * * * x", "minute"),
        ("0 0 ? * * x", "day of month"),
        ("0 0 32 * * x", "day of month"), ("0 0 * 13 * x", "month"), ("0 0 * * 8 x", "day of week"), ("*/0 * * * * x", "minute"), ("1, * * * * x", "minute"),
        ("@hourly x", nil), ("@every x", "not a macro"), ("@Daily x", "not a macro"), ("@daily", "no command"), ("0 0 * * *", "no command"),
        ("0 0 * * * * true", "begins with '*'"), ("0 0 30 2 * x", "never runs it"),
    ]) func onlyWhatCronItselfRunsIsCarriedOver(line: String, words: String?) throws {
        let result = Self.user(line + "\n")
        #expect(result.jobs == (words == nil ? 1 : 0), "\(Self.verdicts(result))")
        if let words { #expect(Self.verdicts(result).joined().contains(words)) } else { _ = try Self.read(result) }
    }

    /// The due times of a recipe are those of the lines it was made from.
    @Test(arguments: 0..<200) func dueTimesComeThroughUnchanged(seed: Int) throws {
        var dice = Dice(seed: UInt64(seed))
        func field(_ low: Int, _ high: Int) -> String {
            let a = Int.random(in: low...high, using: &dice)
            return switch Int.random(in: 0..<6, using: &dice) {
            case 0, 1: "*"
            case 2: "*/\(Int.random(in: 1...7, using: &dice))"
            case 3: "\(a)-\(Int.random(in: a...high, using: &dice))/\(Int.random(in: 1...3, using: &dice))"
            case 4: "\(a),\(Int.random(in: low...high, using: &dice))"
            default: "\(a)"
            }
        }
        let line = "\(field(0, 59)) \(field(0, 23)) \(field(1, 28)) \(field(1, 12)) \(field(0, 7))"
        let zone = Make.zone(["UTC", "America/New_York", "Australia/Lord_Howe"].randomElement(using: &dice)!)
        let jobs = try Self.read(Self.user("CRON_TZ=\(zone.name)\n\(line) /bin/x\n"))
        let imported = try #require(jobs["x"]?.jobPolicy?.schedule)
        let direct = Make.schedule(line, zone: zone)
        var after = Make.time("2026-03-01T00:00:00Z")
        for _ in 0..<30 {
            let due = direct.next(after: after)
            #expect(imported.next(after: after) == due, "\(line)")
            guard let due else { break }
            after = due.at
        }
    }

    @Test(arguments: 0..<100) func anyCommandComesThroughUnchanged(seed: Int) throws {
        var dice = Dice(seed: UInt64(seed))
        let alphabet = Array("abc $\"'\\`{}[]:#&*!|>-?@,\tüß\u{1F600}=;()~")
        let text = "x" + String((0..<Int.random(in: 1...40, using: &dice)).map { _ in alphabet.randomElement(using: &dice)! })
        let jobs = try Self.read(Self.user("0 0 * * * \(text)\n"))
        #expect(jobs.values.first?.container.command == ["/bin/sh", "-c", text])
    }

    @Test func aStepBeyondItsFieldMeansWhatItMeansToCron() throws {
        let result = Self.user("*/90 * * * * /bin/x\n")
        #expect(try Self.read(result)["x"]?.jobPolicy?.schedule?.entries[0].text == "0 * * * *")
        #expect(Self.verdicts(result) == ["1 ~ x: to cron '*/90' is '0', as it is now"])
    }

    static let debian = """
        SHELL=/bin/sh
        PATH=/usr/sbin:/usr/bin
        17 * * * * root cd / && run-parts --report /etc/cron.hourly
        25 6 * * * root test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
        5 4 * * sun nobody-here echo
        0 5 * * * ghost echo
        """
    static let directories = [
        CrontabImport.ScriptDirectory(path: "/etc/cron.hourly", scripts: []),
        CrontabImport.ScriptDirectory(
            path: "/etc/cron.daily", scripts: [("b-last", true), ("a_first", true), ("note.txt", true), ("off", false), ("0anacron", true)]),
        CrontabImport.ScriptDirectory(path: "/etc/cron.monthly", scripts: [("m", true)]),
    ]

    @Test func theSystemsScriptsBecomeAJobEach() throws {
        let result = CrontabImport.recipe(
            of: [
                .init(file: "/etc/crontab", text: Self.debian, kind: .system),
                .init(file: "/etc/cron.d/php", text: "09,39 * * * * root /usr/lib/sessionclean\n", kind: .system),
            ],
            directories: Self.directories, source: "x", Self.inputs)
        let jobs = try Self.read(result)
        #expect(jobs.keys.sorted() == ["cron-daily-0anacron", "cron-daily-a_first", "cron-daily-b-last", "echo", "php"])
        let first = try #require(jobs["cron-daily-a_first"])
        #expect(first.container.command == ["/etc/cron.daily/a_first"] && first.container.workingDirectory == "/" && first.container.user == nil)
        #expect(first.jobPolicy?.schedule?.entries[0].text == "25 6 * * *" && first.jobPolicy?.overlap == .queue && first.jobPolicy?.pool != nil)
        let told = Self.verdicts(result).joined(separator: "\n")
        for words in [
            "/etc/cron.hourly is empty", "there is no user 'nobody-here'", "its home /nonexistent is not there: it starts in /", "passes over it for its name",
            "it is not executable", "- no line that was read runs it",
        ] { #expect(told.contains(words), "\(told)") }
    }

    @Test func anacronsTableIsCaughtUpAfterDowntime() throws {
        let table = """
            # anacron
            START_HOURS_RANGE=3-22
            1\t5\tcron.daily\trun-parts --report /etc/cron.daily
            7 10 weekly \\
              /usr/local/bin/weekly
            @monthly 15 cron.monthly run-parts /etc/cron.monthly
            3 90 third echo three
            bad line
            """
        let result = CrontabImport.recipe(
            of: [.init(file: "/etc/crontab", text: Self.debian, kind: .system)], directories: Self.directories, anacrontab: ("/etc/anacrontab", table),
            source: "x",
            Self.inputs)
        let jobs = try Self.read(result)
        #expect(jobs.keys.sorted() == ["cron-daily-a_first", "cron-daily-b-last", "cron-monthly-m", "echo", "third", "weekly"])
        let texts = jobs.mapValues { $0.jobPolicy?.schedule?.entries.map(\.text).joined() ?? "" }
        #expect(texts["cron-daily-a_first"] == "35 7 * * *" && texts["weekly"] == "40 7 * * 0" && texts["cron-monthly-m"] == "45 7 1 * *")
        #expect(texts["third"] == "every 3d from 09:00")
        #expect(jobs["weekly"]?.jobPolicy?.missed == MissedPolicy(kind: .last, window: .seconds(7 * 86400)))
        #expect(Self.verdicts(result).contains("4 # anacron runs /etc/cron.daily, as its own table says"))
        #expect(Self.verdicts(result).contains { $0.hasPrefix("8 - it has 2 parts") })
    }

    /// Whatever is imported, what comes out is a recipe.
    @Test(arguments: 0..<300) func garbageBecomesARecipeOrNothing(seed: Int) throws {
        var dice = Dice(seed: UInt64(seed))
        let pieces = [
            "*", "* * * * * ", "@daily ", "\n", "#", "=", "A=", "%", "\\", "\"", "'", "root ", "1-5", "/2", ",", "\t", "\r", "\u{0}", "\u{7}", "é", "CRON_TZ=",
            "UTC",
            "MAILTO=", "x", "- ", "{", "]", "$", "${A", "RANDOM_DELAY=", "7 ", "run-parts /etc/cron.daily ", "anacron ",
        ]
        let text = (0..<Int.random(in: 1...40, using: &dice)).map { _ in pieces.randomElement(using: &dice)! }.joined()
        let system = seed % 2 == 0
        let result = CrontabImport.recipe(
            of: [.init(file: "f", text: text, kind: system ? .system : .user("root"))], directories: Self.directories,
            anacrontab: seed % 3 == 0 ? ("a", text) : nil, source: "f", Self.inputs)
        if text.contains("\u{0}") { return }
        _ = try Self.read(result)
    }

    /// What ends a line to YAML must not begin one: a comment would become a job.
    @Test(arguments: ["\u{2028}", "\u{2029}", "\u{85}", "\u{B}", "\u{C}", "\r", "\u{FEFF}"]) func aCommentStaysAComment(end: String) throws {
        let evil = "hi\(end)  evil:\(end)    rootfs: host\(end)    privileged: true\(end)    command: [x]"
        let jobs = try Self.read(Self.user("# \(evil)\nMAILTO=\(evil)\n0 0 * * * /bin/good \(end)\n# \(evil)\n"))
        #expect(jobs.keys.sorted() == ["good"])
    }

    @Test func linesMayEndAsOnOtherSystems() throws {
        let result = Self.user("# one\r\n0 0 * * * /bin/a\r\n@daily /bin/b\r\n")
        #expect(try Self.read(result).keys.sorted() == ["a", "b"])
        #expect(try Self.read(result)["a"]?.container.command == ["/bin/sh", "-c", "/bin/a"])
    }

    @Test(arguments: [
        ("0 0 * * * root /bin/a\n61 0 * * * root /bin/b\n", "line 2: cron refuses '61'"), ("0 0 * * * root /bin/a", "its last line has no end"),
        ("0 0 * * * root /bin/a\n0 0 * * * nobody-here /bin/b\n", "line 2: there is no user 'nobody-here'"),
    ]) func ofAFileThatCronPassesOverNothingIsCarried(text: String, why: String) {
        let result = CrontabImport.recipe(of: [.init(file: "/etc/cron.d/x", text: text, kind: .system, isInstalled: true)], source: "x", Self.inputs)
        #expect(result.jobs == 0 && Self.verdicts(result).first?.contains(why) == true, "\(Self.verdicts(result))")
    }

    @Test func aCommandBesideRunPartsIsKeptAndASecondTimeCounts() throws {
        let text = """
            10 1 * * * root run-parts /etc/cron.daily && /usr/local/bin/after-daily
            20 2 * * * root cd / && run-parts --report /etc/cron.daily
            30 3 * * * root run-parts /etc/cron.daily

            """
        let result = CrontabImport.recipe(
            of: [.init(file: "/etc/crontab", text: text, kind: .system)], directories: [Self.directories[1]], source: "x", Self.inputs)
        let jobs = try Self.read(result)
        #expect(jobs["run-parts"]?.container.command?.last == "run-parts /etc/cron.daily && /usr/local/bin/after-daily")
        #expect(jobs["cron-daily-a_first"]?.jobPolicy?.schedule?.entries.map(\.text) == ["20 2 * * *", "30 3 * * *"])
    }

    @Test func aJobBeginsWhereItsHomeIs() throws {
        let jobs = try Self.read(Self.user("HOME=/srv\n0 0 * * * /bin/a\n0 0 * * * /bin/b%\n"))
        #expect(jobs["a"]?.container.workingDirectory == "/srv" && jobs["b"]?.container.command?.last == "/bin/b")
    }
}
