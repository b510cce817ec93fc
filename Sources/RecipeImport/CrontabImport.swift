internal import Schedules

/// Makes a recipe of crontabs: a user's, the system's, the scripts of cron.daily and its kin, anacron's table.
///
/// Each job keeps what cron gave it: user, home directory, environment, shell, input, the host's network and files, and
/// cron's ways (no catching up, runs may overlap). What a recipe cannot say is told, line by line.
public struct CrontabImport {
    /// A crontab to be read.
    public struct Table: Sendable {
        /// Its path, for the report; under /etc/cron.d/ it also names the jobs.
        public var file: String
        /// The whole file.
        public var text: String
        /// Whose table it is.
        public var kind: Kind
        /// Whether cron itself reads it: then one mistake makes cron pass over the whole file, and nothing of it is carried over.
        public var isInstalled: Bool

        /// Whose table it is, which says whether its lines name a user.
        public enum Kind: Sendable, Hashable {
            /// The crontab of one user.
            case user(String)
            /// With a user before each command: /etc/crontab and /etc/cron.d.
            case system
        }

        /// - Parameter isInstalled: `false` for a file that cron does not read, such as a draft
        public init(file: String, text: String, kind: Kind, isInstalled: Bool = false) {
            self.file = file
            self.text = text
            self.kind = kind
            self.isInstalled = isInstalled
        }
    }

    /// A directory of scripts that run-parts runs, such as /etc/cron.daily.
    public struct ScriptDirectory: Sendable {
        /// Absolute, without a slash at the end.
        public var path: String
        /// Every file in it, and whether it can be executed.
        public var scripts: [(name: String, isExecutable: Bool)]

        /// - Parameter scripts: every file in the directory, in any order
        public init(path: String, scripts: [(name: String, isExecutable: Bool)]) {
            self.path = path
            self.scripts = scripts
        }
    }

    let inputs: ImportInputs
    let directories: [ScriptDirectory]
    /// Whether anacron takes the daily, weekly and monthly scripts over.
    let hasAnacron: Bool
    var names = JobNames()
    var jobs: [ImportedJob] = []
    var lines: [ImportedLine] = []
    var comments: [String] = []
    /// Comments that stood before no job.
    var closing: [String] = []
    var pools: [String] = []
    var imported: Set<String> = []

    init(_ inputs: ImportInputs, _ directories: [ScriptDirectory], hasAnacron: Bool) {
        self.inputs = inputs
        self.directories = directories
        self.hasAnacron = hasAnacron
    }

    /// - Parameters:
    ///   - directories: the script directories that lines with run-parts name
    ///   - anacrontab: anacron's table, when anacron is installed
    public static func recipe(
        of tables: [Table], directories: [ScriptDirectory] = [], anacrontab: (file: String, text: String)? = nil, source: String, _ inputs: ImportInputs
    ) -> ImportResult {
        var it = CrontabImport(inputs, directories, hasAnacron: anacrontab != nil)
        if let anacrontab {
            it.read(anacrontab.file, Anacrontab.lines(anacrontab.text))
            it.close(anacrontab.file)
        }
        for table in tables {
            it.read(table)
            it.close(table.file)
        }
        it.reportLeftDirectories()
        let text = RecipeWriter.write(
            it.jobs, project: inputs.project, source: source, writable: inputs.writableDirectories, pools: it.pools.map { ($0, 1) }, closing: it.closing)
        return ImportResult(recipe: text, jobs: it.jobs.count, lines: it.lines)
    }

    /// A comment at the end of one file is not about the first job of the next.
    mutating func close(_ file: String) {
        guard !comments.isEmpty else { return }
        closing += ["", "From the end of \(file):"] + takeComments()
    }

    mutating func tell(_ file: String, _ line: Int, _ text: String, _ verdict: ImportedLine.Verdict) {
        lines.append(ImportedLine(file: file, line: line, text: text, verdict))
    }

    // MARK: Crontabs

    mutating func read(_ table: Table) {
        var environment = CronEnvironment()
        if table.isInstalled, let why = reasonToIgnore(table) {
            tell(table.file, 0, "", .left("cron passes over the whole file: \(why)"))
            return
        }
        for (index, text) in table.text.linesOfText.enumerated() {
            let number = index + 1
            let line = CrontabLine(text, hasUser: table.kind == .system)
            // Bytes that are no UTF-8 were replaced when the text was read: what stands there now is another name.
            if text.unicodeScalars.contains("\u{FFFD}") {
                switch line {
                case .variable, .entry:
                    tell(table.file, number, text, .left("it holds bytes that are no UTF-8, and a recipe is UTF-8: write it by hand"))
                    continue
                case .blank, .comment, .invalid, .idle: break
                }
            }
            switch line {
            case .blank: break
            case .comment(let comment):
                comments.append(comment)
                tell(table.file, number, text, .comment("a comment"))
            case .variable(let name, let value): take(name, value, table.file, number, text, &environment)
            case .invalid(let why): tell(table.file, number, text, .left("cron does not run it: \(why)"))
            case .idle: tell(table.file, number, text, .comment("it has no command"))
            case .entry(let entry): take(entry, table, number, text, environment)
            }
        }
    }

    /// Why Debian's cron takes nothing of a file.
    func reasonToIgnore(_ table: Table) -> String? {
        if !table.text.isEmpty, !table.text.hasSuffix("\n") { return "its last line has no end" }
        for (index, text) in table.text.linesOfText.enumerated() {
            switch CrontabLine(text, hasUser: table.kind == .system) {
            case .invalid(let why): return "line \(index + 1): \(why)"
            case .entry(let entry):
                if let user = entry.user, inputs.home(user) == nil { return "line \(index + 1): there is no user '\(user)' here" }
            case .blank, .comment, .variable, .idle: break
            }
        }
        return nil
    }

    mutating func take(_ name: String, _ value: String, _ file: String, _ number: Int, _ text: String, _ environment: inout CronEnvironment) {
        switch name {
        case "MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING":
            comments.append("\(name)=\(value)")
            tell(file, number, text, .comment("no mail is sent: each run's output is kept, see 'berth logs'"))
        case "CRON_TZ":
            if inputs.hasZone(value) {
                environment.zone = value
                tell(file, number, text, .changed("the time zone of what follows; Debian's cron knows no such variable, and went by the host's"))
            } else {
                tell(file, number, text, .left("there is no time zone '\(value)' here: what follows is in the host's"))
            }
        case "RANDOM_DELAY":
            if let minutes = Int(value), minutes >= 0 {
                environment.jitter = minutes == 0 ? nil : "\(minutes)m"
                tell(file, number, text, .changed("a jitter of \(minutes) minutes; Debian's cron knows no such variable"))
            } else {
                tell(file, number, text, .left("'\(value)' is not a number of minutes"))
            }
        case _ where name.isEmpty || name.contains("=") || !name.allSatisfy({ $0.isASCII && !$0.isWhitespace }):
            tell(file, number, text, .left("'\(name)' is no name of a variable that a recipe can give"))
        default:
            environment.set(name, value)
            tell(file, number, text, .carried("a variable of what follows"))
        }
    }

    mutating func take(_ entry: CrontabLine.Entry, _ table: Table, _ number: Int, _ text: String, _ environment: CronEnvironment) {
        let user =
            switch table.kind {
            case .user(let name): name
            case .system: entry.user ?? "root"
            }
        guard let home = inputs.home(user) else {
            tell(table.file, number, text, .left("there is no user '\(user)' here"))
            return
        }
        let why = entry.schedule.flatMap(reasonAgainst)
        guard let fields = entry.schedule, why == nil else {
            comments.append(text.trimmed)
            // People turn lines off so.
            let isNever = why?.hasPrefix("this never matches") ?? true
            let remark = entry.remark.map { " (\($0))" } ?? ""
            tell(
                table.file, number, text,
                isNever
                    ? .comment("kept as a comment: cron takes the line and never runs it\(remark)") : .left("a recipe cannot say its schedule: \(why ?? "")"))
            return
        }
        if table.kind == .system, let directory = directories.first(where: { runsOnly(entry.command, $0.path) }) {
            scripts(directory, entry, fields, table, number, text, environment, home: home)
            return
        }
        let isCronD = table.file.hasPrefix("/etc/cron.d/")
        if hasAnacron, table.file == "/etc/cron.d/anacron" {
            comments.append(text.trimmed)
            tell(table.file, number, text, .comment("it starts anacron, whose table is carried over itself"))
            return
        }
        let wish = isCronD ? String(table.file.dropFirst(12)) : JobNames.program(of: entry.command)
        let (when, remark) = schedule(fields, environment)
        var job = ImportedJob(name: names.name(wish), command: environment.command(entry.command, entry.input), when: [when])
        job.comments = takeComments()
        describe(&job, user: user, home: home, environment)
        job.more += [("missed", "skip"), ("overlap", "allow")]
        jobs.append(job)
        let odd = environment.oddShell.map { "its shell \($0) may read its input another way" }
        let remains =
            BackgroundCommand.isFound(in: entry.command) ? "what it leaves in the background ends with the job: give that a job or service of its own" : nil
        let words = [
            entry.remark, remark, remains, entry.input == nil ? nil : odd, inputs.isDirectory(home) ? nil : "its home \(home) is not there: it starts in /",
        ]
        .compactMap { $0 }
        tell(table.file, number, text, words.isEmpty ? .carried(job.name) : .changed("\(job.name): \(words.joined(separator: "; "))"))
    }

    /// Whether a command is nothing but run-parts over a directory, with what Debian's own lines have around it.
    func runsOnly(_ command: String, _ path: String) -> Bool {
        let words = command.split { $0.isWhitespace || ";(){}".contains($0) }.map(String.init)
        let around: Set<String> = ["test", "-x", "/usr/sbin/anacron", "||", "&&", "cd", "/", "run-parts", "/usr/bin/run-parts"]
        return words.contains { $0.hasSuffix("run-parts") } && words.contains { $0 == path || $0 == path + "/" }
            && words.allSatisfy { around.contains($0) || $0.hasPrefix("--") || $0 == path || $0 == path + "/" }
    }

    mutating func takeComments() -> [String] {
        defer { comments = [] }
        return comments
    }

    func describe(_ job: inout ImportedJob, user: String, home: String, _ environment: CronEnvironment) {
        if user != "root" { job.user = user }
        job.environment = environment.values(user: user, home: home)
        let start = job.environment.first { $0.name == "HOME" }?.value ?? home
        job.workingDirectory = start.hasPrefix("/") && inputs.isDirectory(start) ? start : "/"
    }

    /// Why our own reader would not take a schedule that cron takes; one line must not cost all the others.
    private func reasonAgainst(_ text: String) -> String? {
        guard !text.hasPrefix("@") else { return nil }
        do throws(ScheduleError) { _ = try CronExpression(schedule(text, CronEnvironment()).0.text, seed: "") } catch { return error.message }
        return nil
    }

    /// A step beyond a field's range matches the range's first value alone; our own reader refuses it as a likely mistake.
    func schedule(_ text: String, _ environment: CronEnvironment) -> (ImportedJob.When, remark: String?) {
        var remark: String?
        var fields = text.split(separator: " ").map(String.init)
        for (index, last) in [59, 23, 31, 12, 7].enumerated() where fields.count == 5 {
            let items = fields[index].split(separator: ",").map { item -> String in
                let parts = item.split(separator: "/")
                guard parts.count == 2, let step = Int(parts[1]), step > last else { return String(item) }
                // Of days, months and weekdays the largest step means the first value as well, and keeps its `*`.
                if index > 1, parts[0] == "*" { return "*/\(last)" }
                let first = parts[0] == "*" ? [0, 0, 1, 1, 0][index].description : String(parts[0].prefix { $0 != "-" })
                remark = "to cron '\(item)' is '\(first)', as it is now"
                return first
            }
            fields[index] = items.joined(separator: ",")
        }
        let words = fields.joined(separator: " ")
        if words == "@reboot" {
            return (
                ImportedJob.When(form: "cron", text: words),
                environment.zone == nil && environment.jitter == nil ? nil : "neither zone nor delay is for @reboot"
            )
        }
        return (ImportedJob.When(form: "cron", text: words, timezone: environment.zone, jitter: environment.jitter), remark)
    }
}
