/// A job on its way into a recipe.
struct ImportedJob {
    /// One entry of a schedule, in the recipe's words: the form's key and its text.
    struct When: Hashable {
        var form: String
        var text: String
        var timezone: String?
        var jitter: String?
        var spread: String?
    }

    var name: String
    /// Lines that stood before it, without `#`.
    var comments: [String] = []
    var command: [String]
    var user: String?
    var environment: [(name: String, value: String)] = []
    var environmentFiles: [(path: String, isRequired: Bool)] = []
    var workingDirectory: String?
    var when: [When] = []
    /// Other keys with their YAML values, in order.
    var more: [(key: String, value: String)] = []
    /// Whether it keeps the host's network.
    var hostNetwork = true
}

/// Makes names of jobs: lower case, and none twice.
struct JobNames {
    private var taken: Set<String> = []

    mutating func name(_ wish: String) -> String {
        var cleaned = ""
        for character in wish.lowercased() {
            let fits = character.isASCII && (character.isLetter || character.isNumber || character == "-" || character == "_")
            cleaned.append(fits ? character : "-")
        }
        while cleaned.contains("--") { cleaned = cleaned.replacing("--", with: "-") }
        cleaned = String(cleaned.drop { $0 == "-" || $0 == "_" }.prefix(56))
        while cleaned.hasSuffix("-") { cleaned.removeLast() }
        // A key that begins with x- is no job to a recipe.
        if cleaned.isEmpty || cleaned.hasPrefix("x-") { cleaned = cleaned.isEmpty ? "job" : "job-\(cleaned)" }
        var name = cleaned
        var number = 2
        while !taken.insert(name).inserted {
            name = "\(cleaned)-\(number)"
            number += 1
        }
        return name
    }

    private static let wrappers: Set<String> = [
        "nice", "ionice", "chronic", "sudo", "exec", "nohup", "env", "time", "setsid", "eatmydata", "systemd-cat", "then", "{", "(",
    ]
    private static let idle: Set<String> = [
        "cd", "test", "[", "[[", "command", "sleep", "if", "fi", "exit", "true", ":", "export", ".", "source", "umask", "else",
    ]
    private static let interpreters: Set<String> = ["sh", "bash", "dash", "zsh", "python", "python2", "python3", "perl", "php", "ruby", "node"]

    /// The program that a shell command is about: `cd /srv && nice ./backup.sh -v` is about `backup`.
    static func program(of command: String) -> String {
        for segment in segments(command) {
            var words = segment.split(whereSeparator: \.isWhitespace).map(String.init)[...]
            while let first = words.first, wrappers.contains(first) || first.hasPrefix("-") || isAssignment(first) || Int(first) != nil {
                words = words.dropFirst()
            }
            guard var word = words.popFirst(), !idle.contains(base(word)) else { continue }
            if base(word) == "timeout" || base(word) == "flock" {
                guard let inner = words.dropFirst().first(where: { !$0.hasPrefix("-") }) else { continue }
                word = inner
            }
            if interpreters.contains(base(word)), let script = words.first(where: { !$0.hasPrefix("-") }) { word = script }
            return base(word)
        }
        return "job"
    }

    private static func segments(_ command: String) -> [Substring] {
        command.replacing("&&", with: ";").replacing("||", with: ";").split { $0 == ";" || $0 == "|" || $0 == "\n" }
    }

    private static func isAssignment(_ word: String) -> Bool {
        word.first.map { $0.isLetter || $0 == "_" } == true && word.contains("=") && !word.hasPrefix("/")
    }

    /// The last part of a path, without its ending.
    private static func base(_ word: String) -> String {
        let last = word.split(separator: "/").last.map(String.init) ?? word
        let trimmed = last.trimmed { "'\"()".contains($0) }
        for ending in [".sh", ".py", ".pl", ".php", ".rb", ".js", ".bash"] where trimmed.hasSuffix(ending) && trimmed.count > ending.count {
            return String(trimmed.dropLast(ending.count))
        }
        return trimmed
    }
}

extension StringProtocol {
    /// Without the characters at both ends that a test accepts.
    func trimmed(_ test: (Character) -> Bool) -> String {
        var rest = Substring(self)
        while let first = rest.first, test(first) { rest.removeFirst() }
        while let last = rest.last, test(last) { rest.removeLast() }
        return String(rest)
    }

    var trimmed: String { trimmed(\.isWhitespace) }
}
