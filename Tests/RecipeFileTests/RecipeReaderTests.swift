import Scheduling
import RecipeFile
import Schedules
import HostOS
import TestKit
import Testing
import WorkloadModel

@Suite struct RecipeReaderTests {
    static func read(_ text: String, variables: [String: String] = [:], files: [String: String] = [:], limits: RecipeLimits = RecipeLimits())
        -> RecipeReader.Result
    {
        struct Missing: Error {}
        let inputs = RecipeInputs(
            variables: variables,
            readFile: { path in
                guard let text = files[path] else { throw Missing() }
                return text
            }, zone: { try Make.zones.zone($0) }, hostZone: .utc, limits: limits)
        return RecipeReader.read(RecipeSource(file: "berth.yaml", baseDirectory: "/srv/shop", text: text), inputs)
    }

    static func only(_ body: String, section: String = "jobs", variables: [String: String] = [:]) throws -> Workload {
        let text = "name: t\n\(section):\n  x:\n    rootfs: host\n    command: [run]\n" + body.split(separator: "\n").map { "    \($0)\n" }.joined()
        let result = read(text, variables: variables)
        #expect(result.diagnostics.filter { $0.severity == .error }.isEmpty, "\(result.diagnostics)")
        return try #require(result.recipe?.workloads.first)
    }

    @Test func readsTheFourContainerApp() throws {
        let result = Self.read(
            """
            name: shop
            timezone: Europe/Lisbon
            x-common: &common { rootfs: host, mem_limit: 64M }
            services:
              db:
                <<: *common
                command: serve --data "/my data"
                volumes: ["data:/var/lib/db", "./conf:/etc/db:ro"]
                restart: on-failure:5
                stop_signal: SIGINT
                stop_grace_period: 1m30s
              web:
                image: oci:images/web:v1
                environment: { PORT: 8080, EMPTY: "" }
                deploy: { resources: { limits: { memory: 512M, cpus: "1.5", pids: 200 } } }
            jobs:
              backup:
                <<: *common
                command: [pg_dump]
                schedule: "30 2 * * *"
                timeout: 1h
                retries: { max: 3, backoff: 30s, factor: 2, max_backoff: 10m }
                missed: { policy: all, window: 12h, max: 10 }
              report:
                rootfs: /srv/root
                command: [report]
                schedule: { cron: "0 9 * * MON-FRI", timezone: America/New_York, jitter: 5m, except: [2026-12-25] }
            volumes: { data: {} }
            """)
        let recipe = try #require(result.recipe, "\(result.diagnostics)")
        #expect(recipe.project.description == "shop")
        #expect(recipe.workloads.map(\.id.name.description) == ["backup", "db", "report", "web"])
        let db = recipe.workloads[1]
        #expect(db.kind == .service(ServicePolicy(restart: .onFailure(limit: 5))))
        #expect(db.container.command == ["serve", "--data", "/my data"])
        #expect(db.container.limits.memoryBytes == 64 << 20)
        #expect(db.container.stopSignal == 2)
        #expect(db.container.stopGracePeriod == .seconds(90))
        #expect(
            db.container.mounts == [
                VolumeMount(source: .volume("data"), target: "/var/lib/db", readOnly: false),
                VolumeMount(source: .bind("/srv/shop/conf"), target: "/etc/db", readOnly: true, makesSource: true),
            ])
        let web = recipe.workloads[3].container
        #expect(web.root == .image(ImageSource(transport: .oci, path: "/srv/shop/images/web", tag: "v1")))
        #expect(web.environment["PORT"]?.revealed == "8080")
        #expect(web.limits.cpuMillis == 1500 && web.limits.memoryBytes == 512 << 20 && web.limits.pids == 200)
        let backup = try #require(recipe.workloads[0].jobPolicy)
        #expect(backup.timeout == .seconds(3600))
        #expect(backup.retries == RetryPolicy(limit: 3, backoff: .seconds(30), factor: 2, maximumBackoff: .seconds(600)))
        #expect(backup.missed == MissedPolicy(kind: .all, window: .seconds(12 * 3600), limit: 10))
        #expect(backup.schedule?.next(after: Make.time("2026-07-01T00:00:00Z"))?.at == Make.time("2026-07-01T01:30:00Z"))
        let report = try #require(recipe.workloads[2].jobPolicy?.schedule)
        #expect(report.next(after: Make.time("2026-12-24T20:00:00Z"))?.excluded == true)
    }

    /// Six mistakes, six diagnostics, each at its place.
    @Test func reportsEveryMistakeAtOnce() {
        let text = """
            name: shop
            services:
              web:
                comand: [serve]
                rootfs: host
                restart: alway
            jobs:
              backup:
                rootfs: host
                command: [dump]
                schedule: "61 2 * * *"
                timeout: 90
                volumes: ["dta:/data"]
                schedul: x
            volumes: { data: {} }
            """
        let result = Self.read(text)
        #expect(result.recipe == nil)
        let found = result.diagnostics.map { "\($0.place.line):\($0.place.column): \($0.message)" }
        #expect(found.count == 7, "\(found)")
        #expect(found.contains("4:5: unknown key 'comand'; did you mean 'command'?"))
        #expect(found.contains("6:14: 'alway' is not a restart policy; did you mean 'always'?"))
        #expect(found.contains("11:16: '61' is not a valid minute: use 0 to 59"))
        #expect(found.contains { $0.hasPrefix("12:14: the duration '90' has no unit: write 90s for seconds") })
        #expect(found.contains("13:15: there is no volume 'dta'; did you mean 'data'?"))
        #expect(found.contains("14:5: unknown key 'schedul'; did you mean 'schedule'?"))
        #expect(found.contains { $0.hasPrefix("3:3: service 'web' has no 'command'") })
        let shown = result.diagnostics[1].rendered(file: "berth.yaml", text: text)
        #expect(shown == "berth.yaml:4:5: error: unknown key 'comand'; did you mean 'command'?\n      comand: [serve]\n      ^~~~~~")
    }

    @Test(arguments: [
        ("restart: always", "jobs", "'restart' belongs to a service"),
        ("schedule: '@daily'", "services", "'schedule' belongs to a job"),
        ("volumes_from: [x]", "services", "'volumes_from' of service 'x' is not supported yet"),
        ("container_name: -y", "services", "is not a name for a container"),
        ("network_mode: brigde", "services", "is not a network_mode: use none, host, bridge, service:NAME or container:NAME"),
        ("cap_add: [NET_AMIN]", "services", "did you mean 'NET_ADMIN'?"),
        ("mem_limit: 1", "services", "less than 4M"),
        ("mem_limit: lots", "services", "is not a size"),
        ("cpus: -1", "services", "must be a number above 0"),
        ("pids_limit: -2", "services", "from -1 to"),
        ("stop_signal: SIGTRM", "services", "did you mean 'SIGTERM'?"),
        ("user: 'a:b:c'", "services", "is not a user"),
        ("working_dir: ../tmp", "services", "must not hold '.' or '..'"),
        ("volumes: ['/a:/proc/x']", "services", "it belongs to the sandbox"),
        ("volumes: ['/a:/b', '/c:/b']", "services", "two mounts have the target '/b'"),
        ("volumes: ['/a:/b/../etc']", "services", "must not hold '.' or '..'"),
        ("volumes: ['/a:/b:shared']", "services", "mount option 'shared'"),
        ("tmpfs: ['/t:sise=1M']", "services", "tmpfs option 'sise=1M'"),
        ("tmpfs: [/t, /t]", "services", "two mounts have the target '/t'"),
        ("volumes: [{ type: tmpfs, target: /t, tmpfs: { mode: rwx } }]", "services", "is not a mode"),
        ("volumes: [{ type: tmpfs, target: /t, source: /x }]", "services", "a tmpfs has no 'source'"),
        ("missed: { max: 3 }", "jobs", "goes with 'policy: all'"),
        ("ulimits: { nofil: 3 }", "services", "did you mean 'nofile'?"),
        ("schedule: { cron: '* * * * *', every: 5m }", "jobs", "exactly one of"),
        ("schedule: { cron: '* * * * *', timezone: Europe/Lisbn }", "jobs", "did you mean 'Europe/Lisbon'?"),
        ("schedule: { cron: '0 3 * * *', between: '08:00-18:00' }", "jobs", "never matches"),
        ("overlap: skipp", "jobs", "did you mean 'skip'?"),
        ("retries: { backoff: 5s }", "jobs", "needs 'max'"),
        ("success_codes: [0, 300]", "jobs", "from 0 to 255"),
        ("after: { y: success }", "jobs", "there is no job 'y'; did you mean 'x'?"),
        ("after: { x: success }", "jobs", "this job comes after itself: x after x"),
        ("after: { x: sucess }", "jobs", "did you mean 'success'?"),
        ("after: [x]", "jobs", "must be a mapping of jobs"),
        ("after: {}", "jobs", "names no job"),
        ("pool: heavy", "jobs", "there is no pool 'heavy'"),
        ("keep: { runs: 0 }", "jobs", "from 1 to"),
        ("keep: { log: 1k }", "jobs", "at least 64k"),
        ("keep: { rusn: 3 }", "jobs", "did you mean 'runs'?"),
        ("schedule: { cron: '* * * * *', except: holidays }", "jobs", "there is no calendar 'holidays'"),
        ("schedule: { cron: '* * * * *', except: [2026-02-30] }", "jobs", "is not a date that exists"),
        ("after: { x: success }", "services", "'after' belongs to a job"),
        ("environment: [A B=1]", "jobs", "is not a variable's name"),
        ("env_file: missing.env", "jobs", "env_file cannot be read"),
        ("hostname: 'a b'", "jobs", "is not a host name"),
        ("privileged: maybe", "jobs", "neither true nor false"),
        ("command: 'a \"b'", "jobs", "quotation mark"),
        ("deploy: { replicas: 3 }", "services", "'replicas: 3' is not supported yet"),
        ("schedule: '0 0 1 1 * ${X:?set it}'", "jobs", "the variable X is not set: set it"),
    ])
    func refusesWithAReason(_ line: String, _ section: String, _ words: String) {
        let command = line.hasPrefix("command") ? "" : "    command: [run]\n"
        let result = Self.read("name: t\n\(section):\n  x:\n    rootfs: host\n\(command)    \(line)\n")
        let errors = result.diagnostics.filter { $0.severity == .error }
        #expect(result.recipe == nil)
        #expect(errors.contains { $0.message.contains(words) }, "\(errors.map(\.message))")
    }

    @Test(arguments: [
        ("name: t\nname: u\n", 2, "given twice; the first is on line 1"),
        ("a: [1, 2\n", 2, "this is not YAML"),
        ("- a\n", 1, "must be a mapping"),
        ("", 1, "empty"),
        ("name: t\n---\nname: u\n", 2, "one YAML document"),
        ("a: *b\n", 1, "has no anchor"),
        ("? [a]\n: b\n", 1, "a key must be a plain text"),
        ("name: T!\nservices: {}\n", 1, "lower-case"),
    ])
    func refusesWhatIsNoRecipe(_ text: String, _ line: Int, _ words: String) {
        let result = Self.read(text)
        #expect(result.recipe == nil)
        #expect(result.diagnostics.contains { $0.message.contains(words) && $0.place.line == line }, "\(result.diagnostics)")
    }

    /// Each of these would be millions of values, or never end.
    @Test func refusesBombsAtOnce() {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<12 { bomb += "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", "))]\n" }
        let clock = ContinuousClock()
        let took = clock.measure {
            #expect(Self.read(bomb).diagnostics.contains { $0.message.contains("more than 100000 values") })
            #expect(Self.read("a: " + String(repeating: "[", count: 5000)).diagnostics.contains { $0.message.contains("64 levels deep") })
            #expect(Self.read(String(repeating: "x", count: 2 << 20)).diagnostics.contains { $0.message.contains("at most") })
            #expect(Self.read("a: &a {? *a : b}").recipe == nil)
            #expect(Self.read("a: \u{0}").recipe == nil)
        }
        // Not a benchmark: without the budget this would not end within the age of the universe.
        #expect(took < .seconds(60))
    }

    @Test func staysStandingOnHostileText() {
        let deep = String(repeating: "${A:-", count: 100_000) + String(repeating: "}", count: 100_000)
        #expect(Self.read("name: t\njobs: { x: { rootfs: host, command: [run, '\(deep)'] } }").diagnostics.contains { $0.message.contains("levels deep") })
        let many = Self.read("name: t\njobs:\n" + (0..<5000).map { "  x\($0): { nonsense: 1 }\n" }.joined())
        #expect(many.recipe == nil && many.diagnostics.count == 101 && many.diagnostics.contains { $0.message.contains("more mistakes") })
        #expect(Self.read("name: t\njobs: { x: { rootfs: host, command: [run, \"a\\0b\"] } }").recipe == nil)
    }

    @Test func homeTravelsWithTheRecipe() {
        let text = "name: t\njobs: { x: { rootfs: host, command: [run], volumes: ['~/data:/data'] } }"
        let first = Self.read(text, variables: ["HOME": "/home/ana"])
        #expect(first.recipe?.workloads.first?.container.mounts.first?.source == .bind("/home/ana/data"))
        let again = RecipeReader.read(first.captured, RecipeInputs(of: first.captured, zone: { try Make.zones.zone($0) }, hostZone: .utc))
        #expect(again.recipe == first.recipe)
    }

    @Test func showsLinesOfFilesFromOtherSystems() {
        let text = "name: t\r\njobs:\r\n  x: { rootfs: host, comand: [run], command: [run] }\r\n"
        let shown = Self.read(text).diagnostics.first?.rendered(file: "f", text: text) ?? ""
        #expect(shown.contains("\n    x: { rootfs") || shown.contains("x: { rootfs: host, comand"))
    }

    @Test func interpolatesAsComposeDoes() {
        let variables = ["A": "1", "EMPTY": ""]
        func command(_ text: String) -> [String]? { Self.value(text, variables) }
        #expect(command("${A}") == ["1"])
        #expect(command("$A-$$A") == ["1-$A"])
        #expect(command("${B:-x}${EMPTY:-y}${EMPTY-z}") == ["xy"])
        #expect(command("${A:+set}${B:+unset}") == ["set"])
        #expect(command("${B:-${A}2}") == ["12"])
    }

    private static func value(_ text: String, _ variables: [String: String]) -> [String]? {
        read("name: t\njobs: { x: { rootfs: host, command: ['\(text)'] } }", variables: variables).recipe?.workloads.first?.container.command
    }

    @Test func warnsOfAVariableThatIsNotSet() {
        let result = Self.read("name: t\njobs: { x: { rootfs: host, command: [run, '$NOPE'] } }")
        #expect(result.recipe != nil)
        #expect(result.diagnostics.map(\.severity) == [.warning])
    }

    /// A recipe's digest tells of all that it was made of, and not of what it does not ask for.
    @Test func aDigestCountsValuesAndFiles() throws {
        func digest(_ tag: String, _ file: String, _ other: String = "") throws -> String {
            let text = "name: t\njobs:\n  j: { rootfs: host, command: [run, '$TAG'], env_file: e.env }\n"
            let result = Self.read(text, variables: ["TAG": tag, "OTHER": other], files: ["/srv/shop/e.env": file])
            let recipe = try #require(result.recipe)
            let again = RecipeReader.read(result.captured, RecipeInputs(of: result.captured, zone: { try Make.zones.zone($0) }, hostZone: .utc))
            #expect(again.recipe?.digest == recipe.digest)
            return recipe.digest
        }
        let first = try digest("1", "A=1\n")
        #expect(try digest("1", "A=1\n", "x") == first)
        #expect(try Set([first, digest("2", "A=1\n"), digest("1", "A=2\n")]).count == 3)
    }

    @Test func readsTheSameAgainFromWhatItCaptured() throws {
        let text = "name: t\njobs: { x: { rootfs: host, command: [run, '$A'], env_file: a.env } }"
        let first = Self.read(text, variables: ["A": "1", "SECRET": "s"], files: ["/srv/shop/a.env": "K=v # comment\nexport L='w x'\n"])
        #expect(first.captured.variables == ["A": "1"])
        let inputs = RecipeInputs(of: first.captured, zone: { try Make.zones.zone($0) }, hostZone: .utc)
        let again = RecipeReader.read(first.captured, inputs)
        #expect(again.recipe == first.recipe)
        let environment = try #require(first.recipe?.workloads.first).container.environment
        #expect(environment["K"]?.revealed == "v" && environment["L"]?.revealed == "w x")
    }

    @Test func hidesEnvironmentValues() throws {
        let workload = try Self.only("environment: { PASSWORD: hunter2 }")
        #expect(!"\(workload)".contains("hunter2"))
        #expect(!String(reflecting: workload).contains("hunter2"))
        var text = ""
        dump(workload, to: &text)
        #expect(!text.contains("hunter2"))
    }

    @Test func namesFollowTheFolderWhenThereIsNone() {
        #expect(Self.read("jobs: { x: { rootfs: host, command: [run] } }").recipe?.project.description == "shop")
    }

    @Test func fingerprintsFollowTheContainer() throws {
        let a = try Self.only("cap_add: [NET_RAW, SYS_TIME, IPC_LOCK]").container
        let b = try Self.only("cap_add: [IPC_LOCK, NET_RAW, SYS_TIME]").container
        let c = try Self.only("cap_add: [IPC_LOCK]").container
        #expect(a.fingerprint == b.fingerprint)
        #expect(a.fingerprint != c.fingerprint)
    }

    /// Fingerprints stand in databases: a release that makes others of the same form would replace every live container.
    @Test func fingerprintsStayAsTheyAre() {
        var container = ContainerSpec(root: .host)
        #expect(container.fingerprint == "3:215a460f8f94b2f2")
        container.command = ["sh", "-c", "echo \"{[,:]}\" \\ é \u{1F600} a/b"]
        container.environment = ["A,\"B\":": EnvironmentValue("x,y:{}"), "Z": EnvironmentValue("\n\t\\")]
        container.stopGracePeriod = .milliseconds(1500)
        container.readOnlyRoot = true
        container.addedCapabilities = [.netRaw]
        container.limits.pids = 7
        container.logBytes = 1 << 40
        #expect(container.fingerprint == "3:6b3f58bb5c220510")
        container.root = .directory("/a/b \"c\"")
        #expect(container.fingerprint == "3:6a9e2224a18164bc")
    }

    @Test func readsPoolsChainsAndWhatIsKept() throws {
        let result = Self.read(
            """
            name: t
            pools: { heavy: 2, other: 1 }
            jobs:
              dump: { rootfs: host, command: [a], schedule: "0 1 * * *", pool: heavy, keep: { runs: 10, days: 400, log: 64M } }
              send: { rootfs: host, command: [b], after: { dump: success, alarm: always }, retries: { max: 2, jitter: 10s } }
              alarm: { rootfs: host, command: [c], after: { dump: failure } }
            """)
        let recipe = try #require(result.recipe, "\(result.diagnostics)")
        #expect(recipe.pools == [Make.id("heavy").name: 2, Make.id("other").name: 1])
        let jobs = Dictionary(uniqueKeysWithValues: recipe.workloads.map { ($0.id.name.description, $0) })
        #expect(jobs["dump"]?.jobPolicy?.pool == Make.id("heavy").name)
        #expect(jobs["dump"]?.jobPolicy?.keep == KeepPolicy(runs: 10, days: 400, logBytes: 64 << 20) && jobs["dump"]?.container.logBytes == 64 << 20)
        #expect(jobs["send"]?.jobPolicy?.after == [Make.id("dump").name: .success, Make.id("alarm").name: .always])
        #expect(jobs["send"]?.jobPolicy?.retries.jitter == .seconds(10))
    }

    @Test func namesEveryLinkOfACircle() {
        let result = Self.read(
            """
            name: t
            services: { web: { rootfs: host, command: [w] } }
            jobs:
              a: { rootfs: host, command: [a], after: { c: success } }
              b: { rootfs: host, command: [b], after: { a: always } }
              c: { rootfs: host, command: [c], after: { b: failure, d: success } }
              d: { rootfs: host, command: [d] }
              e: { rootfs: host, command: [e], after: { web: success, a: success } }
            """)
        #expect(
            result.diagnostics.map { "\($0.place.line):\($0.place.column) \($0.message)" } == [
                "5:45 this job comes after itself: a after c after b after a",
                "8:45 'web' is a service, and a service does not end: a job comes after jobs",
            ])
    }

    static let holidays = """
        BEGIN:VCALENDAR\r
        VERSION:2.0\r
        BEGIN:VEVENT\r
        DTSTART;VALUE=DATE:20260101\r
        SUMMARY:New Year: a folded\r
          line\r
        RRULE:FREQ=YEARLY\r
        EXDATE;VALUE=DATE:20280101\r
        END:VEVENT\r
        BEGIN:VEVENT\r
        DTSTART;VALUE=DATE:20261224\r
        DTEND;VALUE=DATE:20261227\r
        END:VEVENT\r
        BEGIN:VEVENT\r
        DTSTART;TZID="America/New_York":20261126T090000\r
        DURATION:PT2H\r
        RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;COUNT=3\r
        END:VEVENT\r
        BEGIN:VEVENT\r
        DTSTART;VALUE=DATE:20260525\r
        RRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO;UNTIL=20271231\r
        END:VEVENT\r
        BEGIN:VEVENT\r
        DTSTART;VALUE=DATE:20260701\r
        STATUS:CANCELLED\r
        END:VEVENT\r
        BEGIN:VEVENT\r
        DTSTART;VALUE=DATE:20260901\r
        DURATION:P3D\r
        BEGIN:VALARM\r
        DURATION:PT5M\r
        END:VALARM\r
        END:VEVENT\r
        BEGIN:VEVENT\r
        DTSTART:20260910T120000\r
        DURATION:PT48H\r
        END:VEVENT\r
        END:VCALENDAR\r

        """

    @Test func readsCalendarsOfDatesAndOfFiles() throws {
        let result = Self.read(
            """
            name: t
            calendars:
              closed: [2026-08-01..2026-08-15, 2026-10-05]
              bank: { file: holidays.ics, dates: [2026-03-19] }
              plain: { file: days.txt }
            jobs:
              x: { rootfs: host, command: [x], schedule: { cron: "0 9 * * *", except: [closed, bank, plain, 2026-04-01] } }
            """, files: ["/srv/shop/holidays.ics": Self.holidays, "/srv/shop/days.txt": "# ours\n2026-06-24  # Saint John\n\n2026-06-10..2026-06-12\n"])
        let schedule = try #require(result.recipe?.workloads.first?.jobPolicy?.schedule, "\(result.diagnostics)")
        let except = schedule.entries[0].except
        for (text, excluded) in [
            ("2026-08-01", true), ("2026-08-15", true), ("2026-08-16", false), ("2026-10-05", true), ("2026-03-19", true), ("2026-06-24", true),
            ("2026-06-11", true), ("2026-06-13", false), ("2026-04-01", true), ("2026-01-01", true), ("2027-01-01", true), ("2028-01-01", false),
            ("2099-01-01", true), ("2026-12-23", false), ("2026-12-24", true), ("2026-12-26", true), ("2026-12-27", false), ("2026-11-26", true),
            ("2027-11-25", true), ("2028-11-23", true), ("2029-11-22", false), ("2026-05-25", true), ("2027-05-31", true), ("2028-05-29", false),
            ("2026-07-01", false),
            ("2026-09-03", true), ("2026-09-04", false), ("2026-09-11", true), ("2026-09-12", false),
        ] {
            #expect(except.contains(try #require(CivilDate(text))) == excluded, "\(text)")
        }
        // It travels with what it read, and reads the same again.
        #expect(result.captured.files.keys.sorted() == ["/srv/shop/days.txt", "/srv/shop/holidays.ics"])
        let again = RecipeReader.read(result.captured, RecipeInputs(of: result.captured, zone: { try Make.zones.zone($0) }, hostZone: .utc))
        #expect(again.recipe == result.recipe)
    }

    @Test(arguments: [
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260230\nEND:VEVENT\n", "holidays.ics:3: '20260230' is not a date that exists"),
        (
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260201\nRRULE:FREQ=MONTHLY\nEND:VEVENT\n",
            "holidays.ics:4: the repetition 'FREQ=MONTHLY' is not understood"
        ),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT\n", "holidays.ics:2: an event has no DTSTART"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260201\nRECURRENCE-ID:20260101\nEND:VEVENT\n", "holidays.ics:4: one of a repetition that was moved"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260201\nRRULE:FREQ=YEARLY;BYMONTHDAY=1\nEND:VEVENT\n", "holidays.ics:4: the repetition"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260201\n", "holidays.ics:2: an event has no END"),
        ("2026-01-01 New Year\n", "holidays.ics:1: '2026-01-01 New Year' is not a date that exists"),
    ]) func tellsWhatIsWrongInACalendarFile(text: String, words: String) {
        let result = Self.read("name: t\ncalendars: { bank: { file: holidays.ics } }\njobs: {}\n", files: ["/srv/shop/holidays.ics": text])
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics.map(\.message))")
    }

    @Test(arguments: 0..<300) func garbageIsNoCalendarAndDoesNoHarm(seed: Int) {
        var dice = Dice(seed: UInt64(seed))
        let pieces = [
            "BEGIN:VEVENT\n", "END:VEVENT\n", "DTSTART:", "20260101", "20269999", "\n", ";VALUE=DATE:", "RRULE:", "FREQ=YEARLY", ";BYDAY=", "4TH", "-1MO",
            ";COUNT=", "99999",
            ";INTERVAL=", "0", ";BYMONTH=", "13", "DTEND:", "DURATION:", "P5D", "P99999W", "PT", "EXDATE:", ",", " ", "\t", "\"", ":", ";UNTIL=", "\r\n",
            "T000000", "BYMONTHDAY=-31",
        ]
        let text = "BEGIN:VCALENDAR\n" + (0..<Int.random(in: 1...40, using: &dice)).map { _ in pieces.randomElement(using: &dice)! }.joined()
        // That it comes back is what counts: with days, or with a sentence.
        let result = Self.read("name: t\ncalendars: { c: { file: c.ics } }\njobs: {}\n", files: ["/srv/shop/c.ics": text])
        #expect(result.recipe != nil || !result.diagnostics.isEmpty)
    }

    @Test func loosensTheSandboxOnlyByName() throws {
        let keys = "security_opt: [no-new-privileges:true, seccomp=socketcall], storage_opt: { size: 2G }, tmpfs: [/dev/shm, '/x:size=1M']"
        let result = Self.read("name: t\njobs:\n  j: { rootfs: host, command: [a], \(keys) }\n")
        let container = try #require(result.recipe?.workloads.first?.container)
        #expect(container.allowsSocketcall == true && container.writableLayerBytes == 2 << 30)
        #expect(container.temporaryFileSystems.map(\.target) == ["/dev/shm", "/x"])
        for (key, words) in [
            ("security_opt: [seccomp=unconfined]", "the security_opt 'seccomp=unconfined' is not supported"),
            ("security_opt: [no-new-privileges:false]", "only a privileged container may gain privileges"),
            ("storage_opt: { size: 1 }", "less than 1M"), ("storage_opt: { sise: 1G }", "did you mean 'size'?"),
            ("tmpfs: ['/x:=']", "the tmpfs option '=' is not supported"), ("tmpfs: ['/x:']", "the tmpfs option '' is not supported"),
            ("tmpfs: [/dev]", "it belongs to the sandbox"), ("tmpfs: [/dev/null]", "it belongs to the sandbox"),
            ("volumes: ['./a:/dev/shm/../null']", "must not hold"), ("stop_signal: RTMIN+31", "is not a signal"),
        ] {
            let read = Self.read("name: t\njobs: { j: { rootfs: host, command: [a], \(key) } }\n")
            #expect(read.recipe == nil && read.diagnostics.contains { $0.message.contains(words) }, "\(key): \(read.diagnostics.map(\.message))")
        }
    }

    @Test(
        arguments: [("SIGIOT", 6), ("poll", 29), ("RTMIN", 34), ("SIGRTMAX-2", 62), ("RTMAX", 64), ("9", 9), ("+9", nil), ("0", nil), ("RTMAX-31", nil)]
            as [(String, Int32?)])
    func knowsEverySignal(_ text: String, _ number: Int32?) { #expect(SignalName.number(text) == number) }

    /// A plain number is a text in the digits that Compose prints; what has no such number stays as it is.
    @Test(arguments: [
        ("0x10", "16"), ("-0x10", "-16"), ("0o17", "15"), ("017", "15"), ("1_000", "1000"), ("+5", "5"), ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"), ("-0x-8000000000000000", "-0x-8000000000000000"), ("0x-5", "0x-5"), ("0b+1", "0b+1"),
        ("-0o-1000000000000000000000", "-0o-1000000000000000000000"), ("--5", "--5"), ("00-1", "00-1"),
        ("18446744073709551615", "18446744073709551615"), ("18446744073709551616", "1.8446744073709552e+19"),
    ]) func plainNumbersBecomeTexts(_ written: String, _ text: String) throws {
        let result = Self.read("name: t\nservices: { a: { image: x, environment: { N: \(written) } } }\n")
        #expect(try #require(result.recipe, "\(result.diagnostics)").workloads[0].container.environment["N"]?.revealed == text)
    }
}
