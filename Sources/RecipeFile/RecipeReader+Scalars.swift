internal import Schedules
internal import WorkloadModel

/// Single values. Each returns `nil` after it has reported what is wrong.
extension RecipeReader {
    mutating func text(_ node: YAMLNode) -> String? {
        guard case .scalar(let raw, _) = node.content, !node.isNull else {
            error("a text is expected here; this is \(node.kindName)", node.place)
            return nil
        }
        if raw.utf8.contains(0) {
            error("a text must not hold a NUL character", node.place)
            return nil
        }
        guard raw.contains("$") else { return raw }
        do {
            let expanded = try interpolation.expand(raw)
            for name in interpolation.missing {
                let meant = name.hasPrefix("BERTH_") ? "; for the one that the container has, write '$$\(name)'" : ""
                warning("the variable \(name) is not set: an empty text stands in its place\(meant)", node.place)
            }
            return expanded
        } catch {
            self.error(error.message, node.place)
            return nil
        }
    }

    /// A text where YAML may have another value: as Compose, `1.10` without quotes is the number 1.1.
    mutating func looseText(_ node: YAMLNode) -> String? {
        if case .scalar(let raw, quoted: false) = node.content, !raw.contains("$"), !node.isNull { return YAMLScalar.text(raw) }
        return text(node)
    }

    mutating func bool(_ node: YAMLNode) -> Bool? {
        guard let text = text(node) else { return nil }
        switch text.lowercased() {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default:
            error("'\(text)' is neither true nor false", node.place)
            return nil
        }
    }

    mutating func integer(_ node: YAMLNode, _ range: ClosedRange<Int64>, _ what: String) -> Int64? {
        guard let text = text(node) else { return nil }
        guard let number = Int64(text), range.contains(number) else {
            let bounds = range.upperBound == .max ? "from \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
            error("\(what) must be a whole number \(bounds), not '\(text)'", node.place)
            return nil
        }
        return number
    }

    mutating func number(_ node: YAMLNode, _ what: String, above least: Double) -> Double? {
        guard let text = text(node) else { return nil }
        guard let number = Double(text), number.isFinite, number > least, number < 1_000_000 else {
            error("\(what) must be a number above \(least == 0 ? "0" : "\(least)"), not '\(text)'", node.place)
            return nil
        }
        return number
    }

    /// Bytes: `64M`, `1.5G`, `512k`, `1024`, `10mb`, powers of 1024 as in Compose.
    mutating func bytes(_ node: YAMLNode, _ what: String) -> Int64? {
        guard let text = text(node) else { return nil }
        if let bytes = ByteSize.parse(text) { return bytes }
        error("\(what) '\(text)' is not a size: write it as 64M or 1.5G (b, k, m and g are powers of 1024)", node.place)
        return nil
    }

    mutating func duration(_ node: YAMLNode) -> Duration? {
        guard let text = text(node) else { return nil }
        do { return try DurationText.parse(text) } catch {
            self.error(error.message, scalarPlace(node).part(offset: error.offset, length: error.length))
            return nil
        }
    }

    /// Where a scalar's characters begin: after the quotation mark, if there is one.
    func scalarPlace(_ node: YAMLNode) -> Place {
        if case .scalar(let text, quoted: true) = node.content, node.place.length >= text.count + 2 {
            return node.place.part(offset: 1, length: text.count)
        }
        return node.place
    }

    mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(_ node: YAMLNode, _ what: String, _ type: Choice.Type) -> Choice? {
        guard let text = text(node) else { return nil }
        if let choice = Choice(rawValue: text) { return choice }
        let names = Choice.allCases.map(\.rawValue)
        let hint = Suggestion.nearest(to: text, among: names).map { "did you mean '\($0)'?" } ?? "use \(names.joined(separator: ", "))"
        error("'\(text)' is not a value of \(what); \(hint)", node.place)
        return nil
    }

    /// A list of texts; a single text counts as a list of one.
    mutating func texts(_ node: YAMLNode) -> [String] {
        switch node.content {
        case .sequence(let items): return items.compactMap { text($0) }
        case .scalar: return node.isNull ? [] : [text(node)].compactMap { $0 }
        case .mapping:
            error("a list is expected here; this is a mapping", node.place)
            return []
        }
    }

    /// A command: a list, or one text that is split as a shell would split it, without running one.
    mutating func command(_ node: YAMLNode, _ what: String) -> [String]? {
        if node.isNull { return nil }
        guard case .scalar = node.content else { return texts(node) }
        guard let line = text(node) else { return nil }
        if let words = ShellWords.split(line) { return words }
        error("\(what) has a quotation mark without its partner", node.place)
        return nil
    }

    /// An absolute path inside the container, without `.` and `..`.
    mutating func containerPath(_ text: String, _ what: String, _ place: Place) -> String? {
        guard text.hasPrefix("/") else {
            error("\(what) '\(text)' must be an absolute path", place)
            return nil
        }
        let parts = text.split(separator: "/")
        if parts.contains("..") || parts.contains(".") || text.utf8.contains(0) {
            error("\(what) '\(text)' must not hold '.' or '..'", place)
            return nil
        }
        return "/" + parts.joined(separator: "/")
    }

    /// A path on the host: absolute, or relative to the recipe's folder.
    mutating func hostPath(_ text: String) -> String {
        if text.hasPrefix("/") { return HostPath.normalized(text) }
        if text == "~" || text.hasPrefix("~/"), let home = inputs.variables["HOME"] {
            interpolation.use("HOME")
            return HostPath.normalized(home + text.dropFirst())
        }
        return HostPath.normalized(source.baseDirectory + "/" + text)
    }
}

/// Sizes in bytes.
public enum ByteSize {
    /// Reads `64M`, `1.5G`, `512k`, `10mb`, `1024`; `nil` when it is none, or negative.
    public static func parse(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), number >= 0 else { return nil }
        let factor: Double
        // `2 gb` is written as well.
        switch text.dropFirst(digits.count).drop(while: { $0 == " " }).lowercased() {
        case "", "b": factor = 1
        case "k", "kb", "kib": factor = 1024
        case "m", "mb", "mib": factor = 1_048_576
        case "g", "gb", "gib": factor = 1_073_741_824
        case "t", "tb", "tib": factor = 1_099_511_627_776
        default: return nil
        }
        let bytes = number * factor
        return bytes < 9e18 ? Int64(bytes) : nil
    }
}

enum HostPath {
    /// The folder that a file is in.
    static func folder(of path: String) -> String {
        let folder = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
        return folder.isEmpty ? "/" : String(folder)
    }

    /// Without empty parts, `.` and `..`, by text alone.
    static func normalized(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}

enum ShellWords {
    /// Splits at blanks, minding `'`, `"` and `\`, as POSIX shells do; `nil` when a quotation has no end.
    static func split(_ line: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var rest = Substring(line)
        while let character = rest.popFirst() {
            switch character {
            case " ", "\t", "\n":
                if let done = word { words.append(done) }
                word = nil
            case "'":
                guard let end = rest.firstIndex(of: "'") else { return nil }
                word = (word ?? "") + rest[..<end]
                rest = rest[rest.index(after: end)...]
            case "\"":
                word = word ?? ""
                while true {
                    guard let inner = rest.popFirst() else { return nil }
                    if inner == "\"" { break }
                    if inner == "\\", let next = rest.first, "\"\\$`".contains(next) {
                        word?.append(next)
                        rest.removeFirst()
                    } else {
                        word?.append(inner)
                    }
                }
            case "\\":
                guard let next = rest.popFirst() else { return nil }
                word = (word ?? "") + String(next)
            default: word = (word ?? "") + String(character)
            }
        }
        if let word { words.append(word) }
        return words
    }
}
