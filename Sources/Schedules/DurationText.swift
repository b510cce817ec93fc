/// Durations as recipes write them: `90s`, `15m`, `1h30m`, `2d`, `250ms`, `1.5s`.
public enum DurationText {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000),
    ]

    /// Reads a duration: one or more numbers with a unit, each unit smaller than the one before it.
    ///
    /// - Throws: ``ScheduleError`` that points at the wrong part
    public static func parse(_ text: some StringProtocol) throws(ScheduleError) -> Duration {
        var rest = Substring(text)
        var total: Int64 = 0
        var previous = Int64.max
        func wrong(_ message: String) -> ScheduleError {
            ScheduleError(message, offset: text.count - rest.count, length: max(1, rest.count))
        }
        guard !rest.isEmpty else { throw wrong("a duration is missing: write it as 90s, 15m or 1h30m") }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard !digits.isEmpty, digits.count <= 12, let number = Int64(digits) else {
                throw wrong("'\(text)' is not a duration: write it as 90s, 15m or 1h30m")
            }
            var decimals = Substring()
            if rest.dropFirst(digits.count).first == "." { decimals = rest.dropFirst(digits.count + 1).prefix { $0.isASCII && $0.isNumber } }
            let length = digits.count + (decimals.isEmpty ? 0 : decimals.count + 1)
            let word = rest.dropFirst(length).prefix { $0.isLetter }
            guard let unit = units.first(where: { $0.name == word }) else {
                throw wrong(
                    word.isEmpty
                        ? "the duration '\(text)' has no unit: write \(text)s for seconds, \(text)m for minutes"
                        : "'\(word)' is not a unit of time: use ms, s, m, h, d or w")
            }
            guard unit.milliseconds < previous else { throw wrong("'\(text)' is not a duration: its units must get smaller, as in 1h30m") }
            let (product, overflow) = number.multipliedReportingOverflow(by: unit.milliseconds)
            guard !overflow, product <= 3_153_600_000_000 else { throw wrong("the duration '\(text)' is more than 100 years") }
            previous = unit.milliseconds
            // A part of a millisecond is none.
            total += product + Int64((Double("0.\(decimals)") ?? 0) * Double(unit.milliseconds) + 1e-6)
            rest = rest.dropFirst(length + word.count)
        }
        return .milliseconds(total)
    }

    /// The same in reverse: `1h30m`, `90s` becomes `1m30s`, zero `0s`.
    public static func print(_ duration: Duration) -> String {
        var left = duration.wholeMilliseconds
        guard left > 0 else { return "0s" }
        var text = ""
        for unit in units.reversed() where unit.name != "w" {
            let count = left / unit.milliseconds
            if count > 0 { text += "\(count)\(unit.name)" }
            left %= unit.milliseconds
        }
        return text
    }
}
