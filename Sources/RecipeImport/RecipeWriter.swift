/// Writes a recipe of imported jobs.
enum RecipeWriter {
    /// - Parameters:
    ///   - pools: names of pools, and how many of their jobs may run at once
    ///   - closing: comment lines for the end
    static func write(_ jobs: [ImportedJob], project: String, source: String, writable: [String], pools: [(String, Int)], closing: [String]) -> String {
        var lines = [
            "# Made from \(plain(source)).", "#",
            "# The jobs run on the host's own files, with its network, and with its directories to write to. They are locked in all the same:",
            "# no other processes to see or signal, an own /dev, few capabilities, no sudo. `privileged: true` lifts most of that for a job that",
            "# needs the whole machine. Missed due times are not caught up and runs may overlap, as before, where nothing else is said:",
            "# `missed: last` and `overlap: skip` are Berth's defaults.",
            "name: \(quoted(project))", "",
        ]
        if !pools.isEmpty {
            lines += [
                "# Jobs of one pool run one after another, as run-parts runs them.", "pools: { \(pools.map { "\($0.0): \($0.1)" }.joined(separator: ", ")) }",
                "",
            ]
        }
        if jobs.contains(where: \.hostNetwork) || !writable.isEmpty {
            lines += ["x-host: &host", "  rootfs: host"]
            if !writable.isEmpty { lines.append("  volumes: [\(writable.map { quoted("\($0):\($0)") }.joined(separator: ", "))]") }
            lines += ["  network_mode: host", ""]
        }
        // An environment that several jobs have stands once.
        let counts = Dictionary(jobs.map { (environment($0), 1) }, uniquingKeysWith: +)
        var shared: [String: String] = [:]
        for job in jobs {
            let text = environment(job)
            guard !job.environment.isEmpty, counts[text, default: 0] > 1, shared[text] == nil else { continue }
            let name = "environment\(shared.isEmpty ? "" : "-\(shared.count + 1)")"
            shared[text] = name
            lines.append("x-\(name): &\(name) \(text)")
        }
        if !shared.isEmpty { lines.append("") }
        lines.append(jobs.isEmpty ? "jobs: {}" : "jobs:")
        for job in jobs { lines += self.lines(job, shared) }
        lines += closing.map { $0.isEmpty ? "#" : "# \(plain($0))" }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func environment(_ job: ImportedJob) -> String {
        "{ " + job.environment.map { "\($0.name): \(quoted($0.value))" }.joined(separator: ", ") + " }"
    }

    private static func lines(_ job: ImportedJob, _ shared: [String: String]) -> [String] {
        var lines = job.comments.map { $0.isEmpty ? "  #" : "  # \(plain($0))" }
        lines.append("  \(job.name):")
        func add(_ key: String, _ value: String) { lines.append("    \(key): \(value)") }
        add("<<", "*host")
        if !job.hostNetwork { add("network_mode", "none") }
        add("command", list(job.command))
        if let user = job.user { add("user", quoted(user)) }
        if let directory = job.workingDirectory { add("working_dir", quoted(directory)) }
        if !job.environment.isEmpty {
            let text = environment(job)
            add("environment", shared[text].map { "*\($0)" } ?? text)
        }
        if !job.environmentFiles.isEmpty {
            add("env_file", "[" + job.environmentFiles.map { "{ path: \(quoted($0.path)), required: \($0.isRequired) }" }.joined(separator: ", ") + "]")
        }
        if job.when.count == 1 {
            add("schedule", when(job.when[0]))
        } else if !job.when.isEmpty {
            lines.append("    schedule:")
            lines += job.when.map { "      - \(when($0))" }
        }
        for (key, value) in job.more { add(key, value) }
        return lines
    }

    private static func when(_ when: ImportedJob.When) -> String {
        let options = [("timezone", when.timezone), ("jitter", when.jitter), ("spread", when.spread)].compactMap { key, value in
            value.map { "\(key): \($0)" }
        }
        guard !options.isEmpty else { return quoted(when.form == "cron" ? when.text : "\(when.form) \(when.text)") }
        return "{ " + (["\(when.form): \(quoted(when.text))"] + options).joined(separator: ", ") + " }"
    }

    /// Of a comment: without control characters, for which YAML has no place, and without whatever ends a line to anybody.
    private static func plain(_ text: String) -> String {
        let unfit: Set<Unicode.GeneralCategory> = [.control, .lineSeparator, .paragraphSeparator, .format, .surrogate, .privateUse, .unassigned]
        return String(String.UnicodeScalarView(text.unicodeScalars.map { unfit.contains($0.properties.generalCategory) && $0 != "\t" ? " " : $0 }))
    }

    static func list(_ words: [String]) -> String { "[" + words.map(quoted).joined(separator: ", ") + "]" }

    /// A YAML double-quoted scalar, with `$` doubled so that nothing of it is taken for a variable of the recipe.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "$": result += "$$"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F || (0x80..<0xA0).contains(scalar.value):
                result += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            case "\u{2028}", "\u{2029}", "\u{FEFF}": result += "\\u" + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// Shell quotation.
enum ShellText {
    static func quoted(_ word: String) -> String {
        let plain = !word.isEmpty && word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./:=@%+,".contains($0)) }
        return plain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }

    /// A command that reads a text as its input, and ends as the command does.
    static func feeding(_ input: String, to command: String) -> String {
        var mark = "INPUT"
        while input.contains(mark) { mark += "_" }
        return "{ \(command)\n} <<'\(mark)'\n\(input)\(input.hasSuffix("\n") || input.isEmpty ? "" : "\n")\(mark)\n"
    }
}
