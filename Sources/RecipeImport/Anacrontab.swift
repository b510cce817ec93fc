/// anacron's table: anacrontab(5).
enum Anacrontab {
    enum Period: Hashable {
        case days(Int)
        case monthly, yearly
    }

    struct Entry: Hashable {
        let period: Period
        let delayMinutes: Int
        let name: String
        let command: String
    }

    enum Line: Hashable {
        case blank
        case comment(String)
        case variable(String, String)
        case entry(Entry)
        case invalid(String)
    }

    /// The lines, those that a backslash continues joined.
    static func lines(_ text: String) -> [(number: Int, text: String, line: Line)] {
        var found: [(Int, String, Line)] = []
        var open: (number: Int, text: String)?
        for (index, raw) in text.linesOfText.enumerated() {
            let whole = (open?.text ?? "") + raw
            let number = open?.number ?? index + 1
            if whole.hasSuffix("\\") {
                open = (number, String(whole.dropLast()))
                continue
            }
            open = nil
            found.append((number, whole, line(whole)))
        }
        if let open { found.append((open.number, open.text, line(open.text))) }
        return found
    }

    private static func line(_ text: String) -> Line {
        let trimmed = text.trimmed
        if trimmed.isEmpty { return .blank }
        if trimmed.hasPrefix("#") { return .comment(trimmed.dropFirst().trimmed) }
        if case .variable(let name, let value) = CrontabLine(trimmed, hasUser: false) { return .variable(name, value) }
        let words = trimmed.split(maxSplits: 3, whereSeparator: \.isWhitespace).map(String.init)
        guard words.count == 4 else { return .invalid("it has \(words.count) parts, and anacron needs a period, a delay, a name and a command") }
        guard let delay = Int(words[1]), delay >= 0 else { return .invalid("the delay '\(words[1])' is not a number of minutes") }
        let period: Period
        switch words[0] {
        case "@monthly": period = .monthly
        case "@yearly", "@annually": period = .yearly
        case "@daily": period = .days(1)
        case "@weekly": period = .days(7)
        default:
            guard let days = Int(words[0]), (1...3660).contains(days) else { return .invalid("the period '\(words[0])' is not a number of days") }
            period = .days(days)
        }
        return .entry(Entry(period: period, delayMinutes: delay, name: words[2], command: words[3]))
    }
}
