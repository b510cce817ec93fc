/// One field of a cron expression: its range, its names, and what else it may say.
struct CronField {
    let name: String
    let range: ClosedRange<Int>
    /// Names for values, the first for `range.lowerBound`.
    let names: [String]

    static let second = CronField(name: "second", range: 0...59, names: [])
    static let minute = CronField(name: "minute", range: 0...59, names: [])
    static let hour = CronField(name: "hour", range: 0...23, names: [])
    static let dayOfMonth = CronField(name: "day of month", range: 1...31, names: [])
    static let month = CronField(
        name: "month", range: 1...12, names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"])
    /// 7 is Sunday as well as 0.
    static let dayOfWeek = CronField(name: "day of week", range: 0...7, names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])

    /// What a message says is allowed.
    var allowed: String {
        let numbers = "\(range.lowerBound) to \(range.upperBound)"
        return names.isEmpty ? numbers : "\(numbers) or \(names[0]) to \(names[names.count - 1])"
    }
}

/// A piece of an expression and where it stands.
struct CronToken {
    let text: Substring
    let offset: Int

    func error(_ message: String) -> ScheduleError {
        ScheduleError(message, offset: offset, length: text.count)
    }

    /// The pieces between separators, each with its own place.
    ///
    /// - Parameter separator: an ASCII character
    func split(at separator: Unicode.Scalar) -> [CronToken] {
        let byte = UInt8(ascii: separator)
        guard text.utf8.contains(byte) else { return [self] }
        var tokens: [CronToken] = []
        var start = text.startIndex
        var position = offset
        while true {
            let end = text.utf8[start...].firstIndex(of: byte) ?? text.endIndex
            tokens.append(CronToken(text: text[start..<end], offset: position))
            if end == text.endIndex { return tokens }
            position += text.distance(from: start, to: end) + 1
            start = text.index(after: end)
        }
    }

    /// The words between blanks.
    static func words(of text: Substring, offset: Int = 0) -> [CronToken] {
        var tokens: [CronToken] = []
        var rest = text
        var position = offset
        while let start = rest.utf8.firstIndex(where: { !isBlank($0) }) {
            position += rest.utf8.distance(from: rest.startIndex, to: start)
            rest = rest[start...]
            let word = rest[..<(rest.utf8.firstIndex(where: isBlank) ?? rest.endIndex)]
            tokens.append(CronToken(text: word, offset: position))
            position += word.count
            rest = rest[word.endIndex...]
        }
        return tokens
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
}
