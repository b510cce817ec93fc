/// One line of a crontab, as Debian's cron reads it (crontab(5), and `entry.c` and `env.c` of its source).
enum CrontabLine: Hashable {
    case blank
    case comment(String)
    case variable(name: String, value: String)
    case entry(Entry)
    /// Cron refuses it; the sentence says why.
    case invalid(String)

    struct Entry: Hashable {
        /// Five fields or a macro, blanks squeezed.
        let schedule: String
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
        let name = unquoted(line[..<equals].trimmed)
        guard let first = name.first, first.isLetter || first == "_", name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }) else {
            return nil
        }
        return .variable(name: name, value: unquoted(line[line.index(after: equals)...].trimmed))
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
        let schedule: String
        if text.hasPrefix("@") {
            let macro = word() ?? ""
            guard macros.contains(macro.lowercased()) else { return .invalid("'\(macro)' is not a macro of cron") }
            schedule = macro.lowercased()
        } else {
            let fields = (0..<5).compactMap { _ in word() }
            guard fields.count == 5 else { return .invalid("it has \(fields.count) fields, and five and a command are needed") }
            if let problem = VixieFields.problem(fields) { return .invalid(problem) }
            schedule = fields.joined(separator: " ")
        }
        var user: String?
        if hasUser {
            guard let name = word() else { return .invalid("the user is missing") }
            user = name
        }
        let (command, input) = split(rest.drop { $0 == " " || $0 == "\t" })
        guard !command.trimmed.isEmpty else { return .invalid("the command is missing") }
        return .entry(Entry(schedule: schedule, user: user, command: command, input: input))
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

/// The fields that cron takes. Ours takes more, so a line that cron refuses must not begin to run because it was imported.
enum VixieFields {
    private static let names = ["minute", "hour", "day of month", "month", "day of week"]
    private static let ranges = [0...59, 0...23, 1...31, 1...12, 0...7]
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    private static let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    static func problem(_ fields: [String]) -> String? {
        for (index, field) in fields.enumerated() {
            for item in field.split(separator: ",", omittingEmptySubsequences: false) where !isItem(item, index) {
                return "cron refuses '\(field)' as its \(names[index])"
            }
        }
        return nil
    }

    private static func isItem(_ item: Substring, _ index: Int) -> Bool {
        let parts = item.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { return false }
        if parts.count == 2 { guard let step = Int(parts[1]), step >= 1, parts[1].allSatisfy(\.isNumber) else { return false } }
        if parts[0] == "*" { return true }
        let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        let values = ends.compactMap { value($0, index) }
        guard values.count == ends.count, values.allSatisfy(ranges[index].contains) else { return false }
        // A step needs a range or `*` before it.
        if ends.count == 1 { return parts.count == 1 }
        return ends.count == 2 && values[0] <= values[1]
    }

    private static func value(_ text: Substring, _ index: Int) -> Int? {
        if !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }) { return Int(text) }
        if index == 3 { return months.firstIndex(of: text.lowercased()).map { $0 + 1 } }
        if index == 4 { return days.firstIndex(of: text.lowercased()) }
        return nil
    }
}
