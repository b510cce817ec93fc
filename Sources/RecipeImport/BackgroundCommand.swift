/// Shell commands that leave something running when they end. Under cron it goes on; a job's container ends with its first
/// process.
enum BackgroundCommand {
    /// Programs that do so by themselves.
    private static let programs: Set<String> = ["setsid", "screen", "tmux", "daemonize", "start-stop-daemon", "at", "batch"]

    static func isFound(in command: String) -> Bool {
        var quote: Character?
        var before: Character?
        var words: [String] = [""]
        var rest = Substring(command)
        while let character = rest.popFirst() {
            defer { before = character }
            if let open = quote {
                if character == open { quote = nil }
                continue
            }
            switch character {
            case "'", "\"": quote = character
            case "\\": _ = rest.popFirst()
            case "#" where before?.isWhitespace ?? true: return words.contains(where: programs.contains)
            case "&":
                // `&&`, and what has to do with redirections: `>&`, `<&`, `&>`, `|&`.
                if rest.first == "&" {
                    rest.removeFirst()
                } else if before != ">", before != "<", before != "|", rest.first != ">" {
                    return true
                }
                words.append("")
            case _ where character.isWhitespace || ";|(){}".contains(character): words.append("")
            default: words[words.count - 1].append(character)
            }
        }
        return words.contains { word in programs.contains(word.split(separator: "/").last.map(String.init) ?? "") }
    }
}
