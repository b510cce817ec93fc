/// A systemd unit: its file, and the files that add to it (systemd.syntax(7)).
public struct UnitFile: Sendable {
    struct Setting: Hashable {
        let file: String
        let line: Int
        let section: String
        let key: String
        let value: String
    }

    /// The unit's name with its suffix: `backup.timer`.
    public let name: String
    let settings: [Setting]

    /// - Parameter files: the unit's own file first, then what adds to it, in order
    public init(name: String, files: [(path: String, text: String)]) {
        self.name = name
        settings = files.flatMap { UnitFile.settings($0.text, file: $0.path) }
    }

    private static func settings(_ text: String, file: String) -> [Setting] {
        var found: [Setting] = []
        var section = ""
        var open: (number: Int, text: String)?
        for (index, raw) in text.linesOfText.enumerated() {
            let line = raw.trimmed
            if line.hasPrefix("#") || line.hasPrefix(";") { continue }
            let whole = (open.map { $0.text + " " } ?? "") + line
            let number = open?.number ?? index + 1
            if whole.hasSuffix("\\") {
                open = (number, whole.dropLast().trimmed)
                continue
            }
            open = nil
            if whole.hasPrefix("["), whole.hasSuffix("]") {
                section = String(whole.dropFirst().dropLast())
            } else if let equals = whole.firstIndex(of: "=") {
                let key = whole[..<equals].trimmed
                found.append(Setting(file: file, line: number, section: section, key: key, value: whole[whole.index(after: equals)...].trimmed))
            }
        }
        return found
    }

    /// All values of a setting; an empty one takes back those before it.
    func values(_ section: String, _ key: String) -> [Setting] {
        var found: [Setting] = []
        for setting in settings where setting.section == section && setting.key == key {
            if setting.value.isEmpty { found = [] } else { found.append(setting) }
        }
        return found
    }

    /// What says when a timer elapses: an empty value of any of these takes back all before it (systemd.timer(5)).
    var timerSettings: [Setting] {
        let keys = ["OnCalendar", "OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec"]
        var found: [Setting] = []
        for setting in settings where setting.section == "Timer" && keys.contains(setting.key) {
            if setting.value.isEmpty { found = [] } else { found.append(setting) }
        }
        return found
    }

    func value(_ section: String, _ key: String) -> String? { values(section, key).last?.value }

    /// Whether a setting says yes.
    func isOn(_ section: String, _ key: String) -> Bool { ["1", "yes", "true", "on", "y", "t"].contains(value(section, key)?.lowercased() ?? "") }
}

/// Words of a command as systemd splits them (systemd.service(5), "Command lines").
enum UnitWords {
    /// The words of a value that is no command line.
    static func split(_ text: String) -> [String]? { commands(text, separator: nil)?.first }

    /// The words of each command; `nil` when a quotation has no end.
    ///
    /// - Parameter separator: a word that stands between two commands, when it is written without quotes or a backslash
    static func commands(_ text: String, separator: Character? = ";") -> [[String]]? {
        var commands: [[String]] = []
        var words: [String] = []
        var word: String?
        var quote: Character?
        var rest = Substring(text)
        while let character = rest.popFirst() {
            if character == "\\" {
                guard let next = rest.popFirst() else { return nil }
                switch next {
                case "n": word = (word ?? "") + "\n"
                case "t": word = (word ?? "") + "\t"
                case "s": word = (word ?? "") + " "
                case "x":
                    guard let code = UInt8(rest.prefix(2), radix: 16) else { return nil }
                    rest = rest.dropFirst(2)
                    word = (word ?? "") + String(UnicodeScalar(code))
                default: word = (word ?? "") + String(next)
                }
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == separator, word == nil, rest.first?.isWhitespace ?? true {
                commands.append(words)
                words = []
            } else if character == "\"" || character == "'" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        guard quote == nil else { return nil }
        if let word { words.append(word) }
        return commands + [words]
    }
}

/// systemd's time spans (systemd.time(7)): `1h 30min`, `90`, `2d`.
enum UnitSpan {
    private static let units: [String: Double] = [
        "us": 1e-6, "usec": 1e-6, "ms": 1e-3, "msec": 1e-3, "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60, "minutes": 60,
        "h": 3600,
        "hr": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400, "w": 604_800, "week": 604_800, "weeks": 604_800, "month": 2_629_800,
        "months": 2_629_800, "M": 2_629_800, "y": 31_557_600, "year": 31_557_600, "years": 31_557_600, "": 1,
    ]

    /// Whole seconds, rounded up; `nil` when it is no span, or has no end.
    static func seconds(_ text: String) -> Int64? {
        var rest = Substring(text.trimmed)
        var total = 0.0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isNumber || $0 == "." }
            rest = rest.dropFirst(digits.count).drop(while: \.isWhitespace)
            let unit = rest.prefix(while: \.isLetter)
            rest = rest.dropFirst(unit.count).drop(while: \.isWhitespace)
            guard let number = Double(digits), let factor = units[String(unit)] else { return nil }
            total += number * factor
        }
        return total < 1e15 ? Int64(total.rounded(.up)) : nil
    }

    /// As a recipe writes it.
    static func recipe(_ seconds: Int64) -> String {
        var left = seconds
        var text = ""
        for (unit, size) in [("d", Int64(86400)), ("h", 3600), ("m", 60), ("s", 1)] where left >= size {
            text += "\(left / size)\(unit)"
            left %= size
        }
        return text.isEmpty ? "0s" : text
    }
}
