import ArgumentParser
import FoundationEssentials
import Glibc
import RecipeFile
import RecipeImport
import HostOS
import WorkloadModel

/// The most bytes of a crontab or unit that is imported.
private let importLimit = 16 << 20

/// A file's bytes; `nil` when it cannot be read, or has more than ``importLimit``.
private func bounded(_ path: String) -> [UInt8]? { try? HostFile.content(path, limit: importLimit) }

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a recipe of crontabs, or of systemd timers.",
        discussion: """
            The recipe goes to the standard output, or to a file with -o; what became of each line goes to the standard error. \
            The code is 1 when something could not be carried over. Nothing of the host is changed: look at the recipe, try it with \
            'berth plan' and 'berth up', and then take the old lines away, so that nothing runs twice.
            """, subcommands: [ImportCrontab.self, ImportTimer.self])
}

/// What both kinds of import have.
struct ImportOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "Write the recipe to this file, which must not be there yet.", completion: .file()) var output: String?
    @Option(help: "The project's name.") var name: String?
    @Flag(name: .shortAndLong, help: "Report only what is not carried over as it was.") var quiet = false
    @Flag(help: "Print one JSON document: the recipe, and what became of each line.") var json = false

    struct Answer: Encodable {
        struct Line: Encodable {
            let file: String
            /// From 1; 0 is the file as a whole.
            let line: Int
            let text: String
            /// `carried`, `changed`, `comment` or `left`.
            let verdict: String
            let why: String
        }

        let recipe: String
        let jobs: Int
        let lines: [Line]
    }

    /// - Parameter root: where the host's files are, `/` but for a look at another host's
    func inputs(project: String, root: String = "/") -> ImportInputs {
        let zones = SystemZones()
        return ImportInputs(
            project: name ?? project, home: { ImportOptions.home($0, root: root) },
            isDirectory: { path in
                HostFile.isDirectory(root == "/" ? path : root + path)
            }, hasZone: { (try? zones.zone($0)) != nil }, writableDirectories: ImportOptions.writableDirectories(root))
    }

    static func home(_ user: String, root: String = "/") -> String? {
        if root == "/" { return getpwnam(user).map { String(cString: $0.pointee.pw_dir) } }
        let lines = bounded(root + "/etc/passwd").map { String(decoding: $0, as: UTF8.self) }?.split(separator: "\n") ?? []
        let fields = lines.map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) }
        return fields.first { $0.count == 7 && $0[0] == user }?[5]
    }

    /// The directories at the top, but for those of the kernel, those that only point elsewhere, and what holds nothing.
    private static func writableDirectories(_ root: String) -> [String] {
        let kernel: Set<String> = ["proc", "sys", "dev", "lost+found"]
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return names.sorted().compactMap { name in
            var info = stat()
            guard !kernel.contains(name), lstat("\(root)/\(name)", &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { return nil }
            return "/\(name)"
        }
    }

    func finish(_ result: ImportResult) throws {
        // What was made must read as what was meant, whatever the texts that went into it.
        let zones = SystemZones()
        let read = RecipeReader.read(
            RecipeSource(file: "recipe", baseDirectory: "/", text: result.recipe),
            RecipeInputs(
                variables: [:], readFile: { try HostFile.contentText($0, limit: RecipeInputs.mostFileBytes) }, zone: { try zones.zone($0) },
                hostZone: zones.local(),
                limits: RecipeLimits(bytes: 64 << 20, nodes: 10_000_000)))
        guard let recipe = read.recipe, recipe.workloads.count == result.jobs else {
            let text = Diagnostic.rendered(read.diagnostics, file: "recipe", text: result.recipe)
            throw CommandFailure(description: "the recipe does not read as the \(result.jobs) jobs that were imported; nothing was written", diagnostics: text)
        }
        if let output {
            do { try HostFile.create(output, with: Array(result.recipe.utf8)) } catch {
                throw CommandFailure(description: "\(output) cannot be written: \(String(cString: strerror(error.code)))")
            }
        }
        let left = result.lines.count { line in if case .left = line.verdict { true } else { false } }
        if json {
            try Terminal.print(json: Answer(recipe: result.recipe, jobs: result.jobs, lines: result.lines.map(ImportOptions.line)))
        } else {
            if output == nil { Terminal.write(result.recipe) }
            tell(result, left: left)
        }
        if left > 0 { throw ExitCode(1) }
    }

    private static func line(_ line: ImportedLine) -> Answer.Line {
        let (verdict, why) =
            switch line.verdict {
            case .carried(let words): ("carried", words)
            case .changed(let words): ("changed", words)
            case .comment(let words): ("comment", words)
            case .left(let words): ("left", words)
            }
        return Answer.Line(file: line.file, line: line.line, text: line.text, verdict: verdict, why: why)
    }

    private func tell(_ result: ImportResult, left: Int) {
        for line in result.lines { report(line) }
        let comments = result.lines.count { $0.verdict == .comment("a comment") }
        if comments > 0, !quiet { Terminal.warn(Terminal.paint("# \(Show.count(comments, "comment")) kept", .grey)) }
        Terminal.warn(Show.count(result.jobs, "job") + (left == 0 ? "" : "; \(Show.count(left, "thing")) not carried over"))
    }

    private func report(_ line: ImportedLine) {
        let (sign, words, colour): (String, String, Terminal.Colour?) =
            switch line.verdict {
            case .carried(let words): ("=", words, .green)
            case .changed(let words): ("~", words, .yellow)
            case .comment(let words): ("#", words, .grey)
            case .left(let words): ("-", words, .red)
            }
        if quiet && (sign == "=" || sign == "#") || line.verdict == .comment("a comment") { return }
        let place = line.line > 0 ? "\(line.file):\(line.line)" : line.file
        let text = line.text.isEmpty ? "" : ": \(Terminal.harmless(line.text.replacing("\t", with: " ")))"
        if sign == "=" {
            Terminal.warn("\(Terminal.paint("= \(place) -> \(words)", colour))")
        } else {
            Terminal.warn("\(Terminal.paint("\(sign) \(place)", colour))\(text)")
            Terminal.warn("    \(Terminal.paint(Terminal.harmless(words), colour))")
        }
    }
}

struct ImportCrontab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crontab", abstract: "Make a recipe of a crontab, a user's, or the whole system's.",
        discussion: """
            Without a name it is your own crontab. --system takes /etc/crontab, /etc/cron.d, the scripts of /etc/cron.hourly, cron.daily, \
            cron.weekly and cron.monthly, and anacron's table.
            """)
    @Argument(help: "A crontab's file; - is the standard input.", completion: .file()) var file: String?
    @Option(help: "The crontab of this user; with a FILE, the user whose it is.") var user: String?
    @Flag(help: "The system's crontabs and scripts.") var system = false
    @Flag(help: "The file has a user before each command, as /etc/crontab has.") var withUser = false
    @Option(help: "Take the system's files from below this directory.") var root = "/"
    @OptionGroup var options: ImportOptions

    func validate() throws {
        if system, file != nil || user != nil { throw ValidationError("--system takes all of the system's: neither a FILE nor --user goes with it") }

    }

    func run() async throws {
        try await report(json: options.json) {
            if system {
                try options.finish(importSystem())
                return
            }
            // A file of the spool is named after its user.
            let spool = "/var/spool/cron/crontabs/"
            let owner = file.flatMap { $0.hasPrefix(spool) ? String($0.dropFirst(spool.count)) : nil }
            let me = user ?? owner ?? String(cString: getpwuid(getuid()).pointee.pw_name)
            var project = me
            let table: CrontabImport.Table
            if let file {
                let isSystem = withUser || file == "/etc/crontab" || file.hasPrefix("/etc/cron.d/")
                let data: [UInt8]
                do {
                    data =
                        file == "-" ? try HostFile.read(STDIN_FILENO, "standard input", limit: importLimit) : try HostFile.content(file, limit: importLimit)
                } catch { throw CommandFailure(description: "the crontab cannot be read: \(error)") }
                table = .init(file: file, text: String(decoding: data, as: UTF8.self), kind: isSystem ? .system : .user(me))
                if isSystem {
                    project = "crontab"
                } else if !options.json {
                    Terminal.warn("the jobs of \(file) run as \(me)\(user == nil && owner == nil ? "; --user names another" : "")")
                }
            } else {
                let path = "\(spool)\(me)"
                guard let data = bounded(path) else {
                    throw CommandFailure(
                        description: FileManager.default.fileExists(atPath: path)
                            ? "\(path) cannot be read: try as root, or 'crontab -l | berth import crontab -'"
                            : "there is no crontab of \(me): \(path) is not there")
                }
                table = .init(file: path, text: String(decoding: data, as: UTF8.self), kind: .user(me), isInstalled: true)
            }
            try options.finish(CrontabImport.recipe(of: [table], source: table.file, options.inputs(project: project)))
        }
    }

    private func path(_ name: String) -> String { root == "/" ? name : root + name }

    private func importSystem() throws -> ImportResult {
        let files = FileManager.default
        var tables: [CrontabImport.Table] = []
        let names = ((try? files.contentsOfDirectory(atPath: path("/etc/cron.d"))) ?? []).sorted()
        var skipped: [ImportedLine] = []
        for name in ["/etc/crontab"] + names.map({ "/etc/cron.d/\($0)" }) {
            guard let data = bounded(path(name)) else { continue }
            let last = name.split(separator: "/").last ?? ""
            // cron(8): names in cron.d are those of run-parts.
            guard last.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }) else {
                if last != ".placeholder" { skipped.append(ImportedLine(file: name, line: 0, text: "", .left("cron passes over it for its name"))) }
                continue
            }
            var info = stat()
            guard stat(path(name), &info) == 0, info.st_uid == 0, info.st_mode & 0o022 == 0 else {
                skipped.append(ImportedLine(file: name, line: 0, text: "", .left("cron passes over it: it is not root's alone to write")))
                continue
            }
            tables.append(.init(file: name, text: String(decoding: data, as: UTF8.self), kind: .system, isInstalled: true))
        }
        let directories = ["hourly", "daily", "weekly", "monthly"].map { scripts("/etc/cron.\($0)") }
        var anacrontab: (file: String, text: String)?
        if files.fileExists(atPath: path("/usr/sbin/anacron")), let data = bounded(path("/etc/anacrontab")) {
            anacrontab = ("/etc/anacrontab", String(decoding: data, as: UTF8.self))
        }
        if tables.isEmpty, anacrontab == nil {
            throw CommandFailure(description: "there is neither \(path("/etc/crontab")) nor anything in \(path("/etc/cron.d"))")
        }
        let result = CrontabImport.recipe(
            of: tables, directories: directories, anacrontab: anacrontab, source: "the system's crontabs", options.inputs(project: "system", root: root))
        return ImportResult(recipe: result.recipe, jobs: result.jobs, lines: result.lines + skipped)
    }

    private func scripts(_ directory: String) -> CrontabImport.ScriptDirectory {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: path(directory))) ?? []).filter { $0 != ".placeholder" }
        return .init(path: directory, scripts: names.map { ($0, access(path("\(directory)/\($0)"), X_OK) == 0) })
    }
}

struct ImportTimer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "timer", abstract: "Make a recipe of systemd timers and the services that they start.",
        discussion: "A timer is a unit's name, looked for where systemd looks, with what adds to it, or the path of its file; its service lies beside it.")
    @Argument(help: "Timers, such as logrotate.timer.") var units: [String]
    @Option(help: "Take the units from below this directory.") var root = "/"
    @OptionGroup var options: ImportOptions

    private static let directories = [
        "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
    ]

    func run() async throws {
        try await report(json: options.json) {
            let pairs = try units.map { unit in
                let name = unit.contains("/") || unit.hasSuffix(".timer") ? unit : unit + ".timer"
                guard let timer = find(name, beside: nil) else {
                    throw CommandFailure(description: "there is no timer '\(name)' in \(ImportTimer.directories.joined(separator: ", "))")
                }
                let folder = unit.contains("/") ? URL(fileURLWithPath: unit).deletingLastPathComponent().path : nil
                return TimerImport.Pair(timer: timer, service: find(TimerImport.serviceName(of: timer), beside: folder))
            }
            try options.finish(TimerImport.recipe(of: pairs, source: units.joined(separator: ", "), options.inputs(project: "timers", root: root)))
        }
    }

    /// The first file of that name where systemd looks, an instance's template included, and the files that add to it.
    private func find(_ unit: String, beside folder: String?) -> UnitFile? {
        let files = FileManager.default
        let name = String(unit.split(separator: "/").last ?? "")
        let template = name.firstIndex(of: "@").flatMap { at in name.lastIndex(of: ".").map { "\(name[...at])\(name[$0...])" } }
        let folders = (folder.map { [$0] } ?? []) + ImportTimer.directories.map { root == "/" ? $0 : root + $0 }
        let candidates = unit.contains("/") ? [unit] : folders.flatMap { folder in [name, template].compactMap { $0 }.map { "\(folder)/\($0)" } }
        guard let path = candidates.first(where: { files.fileExists(atPath: $0) }), let data = bounded(path) else { return nil }
        var texts = [(path: path, text: String(decoding: data, as: UTF8.self))]
        let beside = unit.contains("/") ? [URL(fileURLWithPath: unit).deletingLastPathComponent().path] : []
        for folder in (beside + folders).reversed() where beside.isEmpty || folder != beside[0] || folders.first != folder {
            for directory in [template, name].compactMap({ $0 }).map({ "\(folder)/\($0).d" }) {
                for file in ((try? files.contentsOfDirectory(atPath: directory)) ?? []).sorted() where file.hasSuffix(".conf") {
                    guard let data = bounded("\(directory)/\(file)") else { continue }
                    texts.append(("\(directory)/\(file)", String(decoding: data, as: UTF8.self)))
                }
            }
        }
        return UnitFile(name: name, files: texts)
    }
}
