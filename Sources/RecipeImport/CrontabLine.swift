/// One line of a crontab, as Debian's cron reads it (crontab(5), and `entry.c` and `env.c` of its source).
enum CrontabLine: Hashable {
    case blank
    case comment(String)
    case variable(name: String, value: String)
    case entry(Entry)
    /// An entry without a command, which cron takes.
    case idle
    /// Cron refuses it; the sentence says why.
    case invalid(String)

    struct Entry: Hashable {
        /// Five fields or a macro, as cron reads them; `nil` when it is never due.
        let schedule: String?
        /// What cron makes of a field that does not say it, in words.
        let remark: String?
        let user: String?
        /// Without what is fed to it.
        let command: String
        /// What follows the first `%`, with a line's end for each further one.
        let input: String?
    }

    private static let macros: Set<String> = ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"]

    /// - Parameter hasUser: whether a user stands before the command, as in /etc/crontab
    init(_ text: String, hasUser: Bool) {
        let line = text.trimmed { $0 == " " || $0 == "\t" }
        if line.isEmpty {
            self = .blank
        } else if line.hasPrefix("#") {
            self = .comment(line.dropFirst().trimmed)
        } else if let variable = CrontabLine.variable(line) {
            self = variable
        } else {
            self = CrontabLine.entry(text.drop { $0 == " " || $0 == "\t" }, hasUser: hasUser)
        }
    }

    private static func variable(_ line: String) -> CrontabLine? {
        guard let equals = line.firstIndex(of: "=") else { return nil }
        let left = line[..<equals].trimmed
        let right = line[line.index(after: equals)...].trimmed
        // Any word is a name, and what is in quotes; without a value it is none.
        guard !right.isEmpty, unquoted(left) != left || !left.contains(where: \.isWhitespace) else { return nil }
        return .variable(name: unquoted(left), value: unquoted(right))
    }

    private static func unquoted(_ text: String) -> String {
        guard text.count >= 2, let first = text.first, first == "\"" || first == "'", text.last == first else { return text }
        return String(text.dropFirst().dropLast())
    }

    private static func entry(_ text: Substring, hasUser: Bool) -> CrontabLine {
        var rest = text
        func word() -> String? {
            rest = rest.drop { $0 == " " || $0 == "\t" }
            let word = rest.prefix { $0 != " " && $0 != "\t" }
            rest = rest.dropFirst(word.count)
            return word.isEmpty ? nil : String(word)
        }
        let schedule: String?
        var remark: String?
        if text.hasPrefix("@") {
            let macro = word() ?? ""
            guard macros.contains(macro) else { return .invalid("'\(macro)' is not a macro of cron") }
            schedule = macro
        } else {
            let fields = (0..<5).compactMap { _ in word() }
            guard fields.count == 5 else { return .invalid("it has \(fields.count) fields, and five and a command are needed") }
            do throws(VixieFields.Refusal) { (schedule, remark) = try VixieFields.read(fields) } catch { return .invalid(error.sentence) }
        }
        var user: String?
        if hasUser {
            guard let name = word() else { return .invalid("the user is missing") }
            user = name
        }
        let (command, input) = split(rest.drop { $0 == " " || $0 == "\t" })
        guard !command.hasPrefix("*") else { return .invalid("its command begins with '*'") }
        guard !command.trimmed.isEmpty else { return .idle }
        return .entry(Entry(schedule: schedule, remark: remark, user: user, command: command, input: input))
    }

    /// The first `%` ends the command, further ones are line ends of its input; `\%` is a percent sign.
    private static func split(_ text: Substring) -> (String, String?) {
        var command = ""
        var input: String?
        var escaped = false
        func put(_ character: Character) {
            if input == nil { command.append(character) } else { input?.append(character) }
        }
        for character in text {
            if escaped {
                if character != "%" { put("\\") }
                put(character)
                escaped = false
            } else if character == "\\" {
                escaped = true
            } else if character == "%" {
                if input == nil { input = "" } else { input?.append("\n") }
            } else {
                put(character)
            }
        }
        if escaped { put("\\") }
        // Nothing after the `%` is nothing to read.
        return (command, input.flatMap { $0.isEmpty ? nil : $0.hasSuffix("\n") ? $0 : $0 + "\n" })
    }
}
