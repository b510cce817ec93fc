/// The scripts that run-parts runs, and anacron's table.
extension CrontabImport {
    /// `cron.daily` and its kin: each script becomes a job of its own, one after another as run-parts runs them.
    mutating func scripts(
        _ directory: ScriptDirectory, _ entry: CrontabLine.Entry, _ fields: String, _ table: Table, _ number: Int, _ text: String,
        _ environment: CronEnvironment, home: String
    ) {
        if hasAnacron, entry.command.contains("anacron") {
            tell(table.file, number, text, .comment("anacron runs \(directory.path), as its own table says"))
            comments.append(text.trimmed)
            return
        }
        let (when, remark) = schedule(fields, environment)
        if imported.contains(directory.path) {
            let pool = poolName(directory.path)
            for index in jobs.indices where jobs[index].more.contains(where: { $0.key == "pool" && $0.value == pool }) { jobs[index].when.append(when) }
            tell(table.file, number, text, .changed("one more time for each script of \(directory.path)"))
            return
        }
        let made = scripts(directory, when: when, missed: "skip", home: home, user: entry.user ?? "root", environment)
        tell(
            table.file, number, text, made.isEmpty ? .carried("\(directory.path) is empty") : .changed("a job for each script: \(made.joined(separator: ", "))")
        )
        if let remark { tell(table.file, number, text, .changed(remark)) }
    }

    mutating func scripts(
        _ directory: ScriptDirectory, when: ImportedJob.When, missed: String, home: String, user: String, _ environment: CronEnvironment
    ) -> [String] {
        guard imported.insert(directory.path).inserted else { return [] }
        let place = directory.path.split(separator: "/").last.map(String.init) ?? "scripts"
        var made: [String] = []
        for (name, isExecutable) in directory.scripts.sorted(by: { $0.name < $1.name }) {
            let path = "\(directory.path)/\(name)"
            // run-parts(8): letters, digits, '_' and '-' only, and executable.
            guard name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }) else {
                tell(path, 0, "", .left("run-parts passes over it for its name"))
                continue
            }
            if hasAnacron, name == "0anacron" {
                tell(path, 0, "", .comment("it keeps anacron's own notes of what has run, and Berth keeps its own"))
                continue
            }
            guard isExecutable else {
                tell(path, 0, "", .left("run-parts passes over it: it is not executable"))
                continue
            }
            var job = ImportedJob(name: names.name("\(place)-\(name)"), command: [path], when: [when])
            job.comments = takeComments()
            describe(&job, user: user, home: home, environment)
            job.workingDirectory = "/"
            job.more += [("missed", missed), ("overlap", "queue"), ("pool", poolName(directory.path))]
            if !pools.contains(poolName(directory.path)) { pools.append(poolName(directory.path)) }
            jobs.append(job)
            made.append(job.name)
            tell(path, 0, "", .carried(job.name))
        }
        return made
    }

    /// The scripts of one directory run one after another.
    func poolName(_ path: String) -> String {
        var names = JobNames()
        return names.name(path.split(separator: "/").last.map(String.init) ?? "scripts")
    }

    mutating func reportLeftDirectories() {
        for directory in directories where !imported.contains(directory.path) && !directory.scripts.isEmpty {
            tell(directory.path, 0, "", .left("no line that was read runs it"))
        }
    }

    mutating func read(_ file: String, _ table: [(number: Int, text: String, line: Anacrontab.Line)]) {
        var environment = CronEnvironment()
        // Of Debian's anacron: it is started each morning, by its timer or cron's line.
        var hour = 7
        for (number, text, line) in table {
            switch line {
            case .blank: break
            case .comment(let comment):
                comments.append(comment)
                tell(file, number, text, .comment("a comment"))
            case .variable("START_HOURS_RANGE", let value):
                if let first = Int(value.prefix { $0 != "-" }), (0...23).contains(first) { hour = max(hour, first) }
                tell(file, number, text, .changed("jobs begin in the hour from \(hour):30; the range has no end"))
            case .variable(let name, let value): take(name, value, file, number, text, &environment)
            case .invalid(let why): tell(file, number, text, .left(why))
            case .entry(let entry): take(entry, file, number, text, environment, hour: hour)
            }
        }
    }

    /// anacron's days have no time of day. The time here is when Debian starts it each morning, and the delay after.
    mutating func take(_ entry: Anacrontab.Entry, _ file: String, _ number: Int, _ text: String, _ environment: CronEnvironment, hour: Int) {
        let start = min(23 * 60 + 59, hour * 60 + 30 + entry.delayMinutes)
        let at = "\(start % 60) \(start / 60)"
        let clock = "\(twoDigits(start / 60)):\(twoDigits(start % 60))"
        let (cron, words): (String?, String) =
            switch entry.period {
            case .days(1): ("\(at) * * *", "every day")
            case .days(7): ("\(at) * * 0", "each Sunday")
            case .days(let days) where days >= 28 && days <= 31: ("\(at) 1 * *", "on the first of each month")
            case .monthly: ("\(at) 1 * *", "on the first of each month")
            case .yearly: ("\(at) 1 1 *", "on the first of January")
            case .days: (nil, "")
            }
        let days: Int =
            switch entry.period {
            case .days(let days): days
            case .monthly: 31
            case .yearly: 366
            }
        let when =
            cron.map { ImportedJob.When(form: "cron", text: $0, timezone: environment.zone, jitter: environment.jitter) }
            ?? ImportedJob.When(form: "every", text: "\(days)d from \(clock)")
        let missed = "{ policy: last, window: \(days)d }"
        let said = "\(cron == nil ? "every \(days) days" : words) at \(clock), and after downtime as soon as the host is up"
        if let directory = directories.first(where: { runsOnly(entry.command, $0.path) }) {
            let made = scripts(directory, when: when, missed: missed, home: inputs.home("root") ?? "/root", user: "root", environment)
            tell(file, number, text, .changed("\(made.isEmpty ? "\(directory.path) is empty" : made.joined(separator: ", ")): \(said)"))
            return
        }
        var job = ImportedJob(name: names.name(entry.name), command: environment.command(entry.command, nil), when: [when])
        job.comments = takeComments()
        describe(&job, user: "root", home: inputs.home("root") ?? "/root", environment)
        job.workingDirectory = "/"
        job.more += [("missed", missed), ("overlap", "skip")]
        jobs.append(job)
        tell(file, number, text, .changed("\(job.name): \(said)"))
    }

    func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
