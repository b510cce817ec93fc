internal import Schedules

/// Makes a recipe of systemd timers and the services that they start (systemd.timer(5), systemd.service(5)).
public struct TimerImport {
    /// A timer with its service; `nil` when there is no such unit.
    public struct Pair: Sendable {
        /// The `.timer` unit.
        public var timer: UnitFile
        /// The unit that the timer starts; `nil` when it is not there: then nothing of the timer is in the recipe.
        public var service: UnitFile?

        /// - Parameter service: the unit that ``TimerImport/serviceName(of:)`` names
        public init(timer: UnitFile, service: UnitFile?) {
            self.timer = timer
            self.service = service
        }
    }

    /// The service that a timer starts.
    public static func serviceName(of timer: UnitFile) -> String {
        timer.value("Timer", "Unit") ?? timer.name.replacing(".timer", with: "") + ".service"
    }

    private let inputs: ImportInputs
    private var names = JobNames()
    private var jobs: [ImportedJob] = []
    private var lines: [ImportedLine] = []
    private var told: Set<UnitFile.Setting> = []

    /// Each pair becomes one job, or lines of the report that say why not.
    ///
    /// - Parameter source: named in the first comment of the recipe
    public static func recipe(of pairs: [Pair], source: String, _ inputs: ImportInputs) -> ImportResult {
        var it = TimerImport(inputs: inputs)
        for pair in pairs { it.take(pair) }
        let text = RecipeWriter.write(
            it.jobs, project: inputs.project, source: source, writable: inputs.writableDirectories, pools: [], closing: [])
        return ImportResult(recipe: text, jobs: it.jobs.count, lines: it.lines)
    }

    private init(inputs: ImportInputs) {
        self.inputs = inputs
    }

    private mutating func tell(_ setting: UnitFile.Setting, _ verdict: ImportedLine.Verdict) {
        guard told.insert(setting).inserted else { return }
        lines.append(ImportedLine(file: setting.file, line: setting.line, text: "\(setting.key)=\(setting.value)", verdict))
    }

    private mutating func tell(_ unit: UnitFile, _ section: String, _ key: String, _ verdict: ImportedLine.Verdict) {
        for setting in unit.values(section, key) { tell(setting, verdict) }
    }

    private mutating func take(_ pair: Pair) {
        let timer = pair.timer
        guard let service = pair.service else {
            lines.append(ImportedLine(file: timer.name, line: 0, text: "", .left("its service \(TimerImport.serviceName(of: timer)) is not to be found")))
            return
        }
        var job = ImportedJob(name: names.name(String(timer.name.split(separator: ".").first ?? "timer")), command: [])
        if let description = timer.value("Unit", "Description") ?? service.value("Unit", "Description") { job.comments = [description] }
        readTimer(timer, into: &job)
        guard readCommand(service, into: &job) else { return }
        readService(service, into: &job)
        for unit in [timer, service] { reportRest(unit, job.name) }
        if job.when.isEmpty {
            lines.append(
                ImportedLine(file: timer.name, line: 0, text: "", .changed("\(job.name): nothing of its times could be carried over; it runs by hand")))
        }
        jobs.append(job)
    }

    // MARK: When

    private mutating func readTimer(_ timer: UnitFile, into job: inout ImportedJob) {
        // An empty value of any of these takes back all of them.
        let times = timer.timerSettings
        let delay = timer.value("Timer", "RandomizedDelaySec").flatMap { UnitSpan.seconds($0) }.flatMap { $0 > 0 ? UnitSpan.recipe($0) : nil }
        let isFixed = timer.isOn("Timer", "FixedRandomDelay")
        for setting in times where setting.key == "OnCalendar" {
            do {
                let expression = try CalendarExpression(setting.value)
                if let zone = expression.zoneName, !inputs.hasZone(zone) {
                    tell(setting, .left("there is no time zone '\(zone)' here"))
                    continue
                }
                job.when.append(ImportedJob.When(form: "calendar", text: setting.value, jitter: isFixed ? nil : delay, spread: isFixed ? delay : nil))
                tell(setting, .carried(job.name))
            } catch { tell(setting, .left("\(error.message)")) }
        }
        for key in ["OnBootSec", "OnStartupSec"] {
            for setting in times where setting.key == key {
                job.when.append(ImportedJob.When(form: "cron", text: "@reboot"))
                tell(setting, .changed("\(job.name): at the first start after each boot, without the delay"))
            }
        }
        for key in ["OnUnitActiveSec", "OnUnitInactiveSec"] {
            for setting in times where setting.key == key {
                guard let seconds = UnitSpan.seconds(setting.value), seconds > 0 else {
                    tell(setting, .left("'\(setting.value)' is not a span of time"))
                    continue
                }
                job.when.append(ImportedJob.When(form: "every", text: UnitSpan.recipe(seconds), jitter: isFixed ? nil : delay, spread: isFixed ? delay : nil))
                tell(setting, .changed("\(job.name): on the clock, not counted from the last \(key == "OnUnitActiveSec" ? "start" : "end")"))
            }
        }
        tell(timer, "Timer", "RandomizedDelaySec", .carried("\(job.name): \(isFixed ? "spread" : "jitter")"))
        tell(timer, "Timer", "FixedRandomDelay", .carried("\(job.name): \(isFixed ? "spread" : "jitter")"))
        tell(timer, "Timer", "Unit", .carried(job.name))
        tell(timer, "Timer", "Persistent", .carried(job.name))
        tell(timer, "Timer", "AccuracySec", .comment("a job starts at its time, to the second"))
        for key in ["OnActiveSec", "OnClockChange", "OnTimezoneChange", "WakeSystem"] {
            tell(timer, "Timer", key, .left("a recipe has nothing of the kind"))
        }
        // However long ago it was.
        job.more.append(("missed", timer.isOn("Timer", "Persistent") ? "{ policy: last, window: 366d }" : "skip"))
        // A service that is going is not started a second time.
        job.more.append(("overlap", "skip"))
    }

    // MARK: What

    private mutating func readCommand(_ service: UnitFile, into job: inout ImportedJob) -> Bool {
        let main = service.values("Service", "ExecStart")
        guard !main.isEmpty else {
            lines.append(ImportedLine(file: service.name, line: 0, text: "", .left("\(job.name): its service has no ExecStart")))
            return false
        }
        var parts: [(words: [String], mayFail: Bool)] = []
        for setting in service.values("Service", "ExecStartPre") + main + service.values("Service", "ExecStartPost") {
            guard let found = commands(setting, service) else { return false }
            parts += found
            tell(setting, .carried(job.name))
        }
        let needsShell = parts.count > 1 || parts[0].mayFail || parts[0].words.contains { $0.contains("$") }
        if needsShell {
            // Each stops the rest when it fails, unless a '-' before it says that it may.
            let lines = parts.map { part in
                part.words.enumerated().map { UnitShell.word($1, isFirst: $0 == 0) }.joined(separator: " ") + (part.mayFail ? " || true" : "")
            }
            job.command = ["/bin/sh", "-ec", lines.joined(separator: "\n")]
        } else {
            job.command = parts[0].words
        }
        return true
    }

    /// The commands of one setting; a lone `;` parts them.
    private mutating func commands(_ setting: UnitFile.Setting, _ service: UnitFile) -> [(words: [String], mayFail: Bool)]? {
        var text = Substring(setting.value)
        var mayFail = false
        var isLiteral = false
        while let first = text.first, "-@:+!|".contains(first) {
            if first == "-" { mayFail = true }
            if first == ":" { isLiteral = true }
            let otherUser = (first == "+" || first == "!") && service.value("Service", "User").map { $0 != "root" } ?? false
            if first == "@" || first == "|" || otherUser {
                tell(setting, .left("the prefix '\(first)' of a command has no like in a recipe"))
                return nil
            }
            text = text.dropFirst()
        }
        guard let commands = UnitWords.commands(String(text)) else {
            tell(setting, .left("its quotation has no end"))
            return nil
        }
        var split: [[String]] = []
        for words in commands where !words.isEmpty {
            var expanded: [String] = []
            for word in words {
                guard let word = UnitSpecifiers.expand(word, unit: service.name) else {
                    tell(setting, .left("'\(word)' has a specifier that only systemd can fill in"))
                    return nil
                }
                expanded.append(isLiteral ? word.replacing("$", with: "$$") : word)
            }
            split.append(expanded)
        }
        guard !split.isEmpty else {
            tell(setting, .left("it has no command"))
            return nil
        }
        return split.map { (words: $0, mayFail: mayFail) }
    }

    private mutating func readService(_ service: UnitFile, into job: inout ImportedJob) {
        for setting in service.values("Service", "Environment") {
            for pair in (UnitWords.split(setting.value) ?? []).map({ $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init) }
            )
            where pair.count == 2 && UnitValue.isVariable(pair[0]) {
                job.environment.removeAll { $0.name == pair[0] }
                job.environment.append((pair[0], UnitSpecifiers.expand(pair[1], unit: service.name) ?? pair[1]))
            }
            tell(setting, .carried(job.name))
        }
        if !job.environment.contains(where: { $0.name == "PATH" }) {
            job.environment.insert(("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"), at: 0)
        }
        for setting in service.values("Service", "EnvironmentFile") {
            let path = setting.value.hasPrefix("-") ? String(setting.value.dropFirst()) : setting.value
            guard path.hasPrefix("/"), !path.contains("*") else {
                tell(setting, .left("'\(path)' is not the path of one file"))
                continue
            }
            job.environmentFiles.append((path, !setting.value.hasPrefix("-")))
            tell(setting, .changed("\(job.name): read when the recipe is applied, and 'Environment' wins over it"))
        }
        if let user = service.value("Service", "User"), user != "root" {
            let group = service.value("Service", "Group")
            let isKnown = UnitValue.isName(user) && group.map(UnitValue.isName) ?? true
            if isKnown { job.user = user + (group.map { ":\($0)" } ?? "") }
            for key in ["User", "Group"] { tell(service, "Service", key, isKnown ? .carried(job.name) : .left("it is not a user's or a group's name")) }
        }
        if let directory = service.value("Service", "WorkingDirectory") {
            if directory.hasPrefix("/") {
                job.workingDirectory = directory
                tell(service, "Service", "WorkingDirectory", .carried(job.name))
            } else {
                tell(service, "Service", "WorkingDirectory", .left("'\(directory)' is not an absolute path"))
            }
        }
        if service.isOn("Service", "PrivateNetwork") {
            job.hostNetwork = false
            tell(service, "Service", "PrivateNetwork", .carried(job.name))
        }
        // What bounds the start bounds the run only where the run is the start.
        let isOneshot = service.value("Service", "Type") == "oneshot"
        for key in isOneshot ? ["TimeoutStartSec", "TimeoutSec"] : ["RuntimeMaxSec"] {
            guard let text = service.value("Service", key) else { continue }
            if let seconds = UnitSpan.seconds(text), seconds > 0, seconds < 1_000_000_000 {
                if !job.more.contains(where: { $0.key == "timeout" }) { job.more.append(("timeout", UnitSpan.recipe(seconds))) }
            }
            tell(service, "Service", key, .carried("\(job.name): timeout"))
        }
        readLimits(service, into: &job)
    }

    private mutating func readLimits(_ service: UnitFile, into job: inout ImportedJob) {
        for key in ["MemoryMax", "MemoryLimit"] where !job.more.contains(where: { $0.key == "mem_limit" }) {
            guard let text = service.value("Service", key), UnitValue.isSize(text) else { continue }
            job.more.append(("mem_limit", text))
            tell(service, "Service", key, .carried("\(job.name): mem_limit"))
        }
        if let text = service.value("Service", "CPUQuota"), text.hasSuffix("%"), let percent = Int(text.dropLast()), (1...100_000).contains(percent) {
            job.more.append(("cpus", "\"\(Double(percent) / 100)\""))
            tell(service, "Service", "CPUQuota", .carried("\(job.name): cpus"))
        }
        if let text = service.value("Service", "TasksMax"), let count = Int(text), (1...4_000_000).contains(count) {
            job.more.append(("pids_limit", "\(count)"))
            tell(service, "Service", "TasksMax", .carried("\(job.name): pids_limit"))
        }
        if let text = service.value("Service", "SuccessExitStatus") {
            let codes = text.split(separator: " ").compactMap { Int($0) }.filter { (0...255).contains($0) }
            if codes.count == text.split(separator: " ").count {
                job.more.append(("success_codes", "[\(([0] + codes).map(String.init).joined(separator: ", "))]"))
                tell(service, "Service", "SuccessExitStatus", .carried("\(job.name): success_codes"))
            } else {
                tell(service, "Service", "SuccessExitStatus", .left("a recipe counts exit codes as success, not signals or names"))
            }
        }
        if let restart = service.value("Service", "Restart"), restart != "no" {
            if ["on-failure", "on-abnormal", "always"].contains(restart) {
                let pause = service.value("Service", "RestartSec").flatMap { UnitSpan.seconds($0) }.map { UnitSpan.recipe(max(1, $0)) } ?? "1s"
                job.more.append(("retries", "{ max: 5, backoff: \(pause), factor: 1 }"))
                tell(service, "Service", "Restart", .changed("\(job.name): five retries after a failure"))
                tell(service, "Service", "RestartSec", .carried("\(job.name): the pause between retries"))
            } else {
                tell(service, "Service", "Restart", .left("'\(restart)' has no like for a job"))
            }
        }
    }

    /// Settings that change nothing about how a job runs, and what to say of those that do.
    private static let silent: Set<String> = ["Description", "Documentation", "RemainAfterExit", "SyslogIdentifier", "Restart", "RestartSec"]

    private mutating func reportRest(_ unit: UnitFile, _ job: String) {
        for setting in unit.settings where !setting.value.isEmpty && setting.section != "Install" && !told.contains(setting) {
            if TimerImport.silent.contains(setting.key) { continue }
            if setting.key == "Type", ["oneshot", "simple", "exec"].contains(setting.value) { continue }
            if setting.key.hasPrefix("Standard"), ["journal", "null", "inherit", "syslog", "journal+console"].contains(setting.value) { continue }
            if setting.section == "Unit" {
                let isCondition = setting.key.hasPrefix("Condition") || setting.key.hasPrefix("Assert")
                tell(
                    setting,
                    .left(
                        isCondition
                            ? "\(job): test it in the command, or leave the job out where it does not hold"
                            : "\(job): the order and the needs of units are not carried over"))
            } else {
                tell(setting, .left("\(job): not carried over; a job is locked in as every container of Berth is"))
            }
        }
    }
}
