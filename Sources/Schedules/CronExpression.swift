/// A cron expression of five fields, or six with leading seconds.
///
/// `*`, numbers, names, ranges (also wrapping ones: `FRI-MON`, `22-2`), steps, lists, `?` for `*` in the day fields,
/// `L`, `L-3`, `LW`, `15W` in the day of month, `5#2` and `FRIL` in the day of week, and `H`, `H(a-b)`, `H/n`: a value
/// that a stable hash of the job's name picks. Which day fields combine how, and what `*` means where clocks are set,
/// follows Debian's cron (crontab(5), and `src/cron.c` of Debian's package).
public struct CronExpression: Sendable, Hashable {
    /// As it was written, blanks squeezed.
    public let text: String
    /// The wall times that it names, `H` replaced by the values that the seed picks.
    public let pattern: CivilPattern

    /// - Parameters:
    ///   - text: the expression
    ///   - seed: what `H` hashes: the project's and the job's name
    /// - Throws: ``ScheduleError`` that points at the wrong field, also for an expression that can never match
    public init(_ text: some StringProtocol, seed: String) throws(ScheduleError) {
        let words = CronToken.words(of: Substring(text))
        try CronExpression.checkHabits(words)
        guard words.count == 5 || words.count == 6 else {
            throw ScheduleError(
                "a cron expression has 5 fields (minute, hour, day of month, month, day of week), or 6 with leading seconds; this has \(words.count)",
                length: text.count)
        }
        var fields = words[...]
        let hash = StableHash(seed)
        let seconds = words.count == 6 ? try CronExpression.values(fields.removeFirst(), .second, hash) : 1
        let minuteWord = fields.removeFirst()
        let hourWord = fields.removeFirst()
        let minutes = try CronExpression.values(minuteWord, .minute, hash)
        let hours = try CronExpression.values(hourWord, .hour, hash)
        let dayWord = fields.removeFirst()
        let months = try CronExpression.values(fields.removeFirst(), .month, hash)
        let weekdayWord = fields.removeFirst()
        var days = DayRule()
        try CronExpression.readDays(dayWord, into: &days, hash)
        try CronExpression.readWeekdays(weekdayWord, into: &days, hash)
        // crontab(5): either field may match, unless one of them starts with `*`: then both must.
        days.needsBoth = [dayWord, weekdayWord].contains { $0.text.hasPrefix("*") || $0.text.hasPrefix("?") }
        pattern = CivilPattern(
            seconds: seconds, minutes: minutes, hours: UInt32(hours), months: UInt16(months), days: days,
            followsRealTime: minuteWord.text.hasPrefix("*") || hourWord.text.hasPrefix("*"))
        self.text = words.map { String($0.text) }.joined(separator: " ")
        if !pattern.canMatch {
            throw ScheduleError(
                "this never matches: no month of those given has such a day", offset: dayWord.offset, length: dayWord.text.count)
        }
    }

    /// What other crons take and this one says elsewhere.
    private static func checkHabits(_ words: [CronToken]) throws(ScheduleError) {
        guard let first = words.first, let last = words.last else { return }
        if first.text.utf8.contains(UInt8(ascii: "=")) {
            for prefix in ["TZ=", "CRON_TZ="] where first.text.uppercased().hasPrefix(prefix) {
                let zone = first.text.dropFirst(prefix.count)
                throw first.error(
                    "the zone does not stand in the schedule: write 'timezone: \(zone)' beside it, as in { cron: \"...\", timezone: \(zone) }")
            }
        }
        guard words.count > 5 else { return }
        let years = last.text.split(separator: ",").flatMap { $0.split(separator: "-") }
        guard !years.isEmpty, years.allSatisfy({ $0.count == 4 && $0.allSatisfy(\.isNumber) }) else { return }
        throw last.error("there is no field for the year: 'calendar' has one, as in \"calendar \(years[0])-12-24 18:00\", and 'at' is for a single time")
    }

    /// A number without a sign.
    private static func number(_ text: Substring) -> Int? { text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int(text) : nil }

    // MARK: Fields

    /// The values of a field as bits.
    private static func values(_ word: CronToken, _ field: CronField, _ hash: StableHash) throws(ScheduleError) -> UInt64 {
        var bits: UInt64 = 0
        for item in word.split(at: ",") { bits |= try itemValues(item, field, hash) }
        return bits
    }

    private static func itemValues(_ item: CronToken, _ field: CronField, _ hash: StableHash) throws(ScheduleError) -> UInt64 {
        if item.text.isEmpty {
            throw item.error("a value is missing in the \(field.name) field")
        }
        let parts = item.split(at: "/")
        guard parts.count <= 2 else { throw item.error("'\(item.text)' has more than one '/'") }
        var step = 1
        if parts.count == 2 {
            guard let number = number(parts[1].text), number >= 1, number <= field.range.upperBound else {
                throw parts[1].error("the step '\(parts[1].text)' of the \(field.name) field is not a number from 1 to \(field.range.upperBound)")
            }
            step = number
        }
        let base = parts[0]
        if base.text == "?", field.range.upperBound != 31, field.range.upperBound != 7 {
            throw base.error("'?' is for the day fields: write '*' in the \(field.name) field")
        }
        if base.text == "*" || base.text == "?" { return bits(from: field.range.lowerBound, to: last(field), step: step, field) }
        if base.text.first == "H" || base.text.first == "h" { return try hashed(base, step: parts.count == 2 ? step : nil, field, hash) }
        let ends = base.split(at: "-")
        guard ends.count <= 2 else { throw base.error("'\(base.text)' is not a range") }
        let low = try value(ends[0], field)
        if ends.count == 1 { return bits(from: low, to: parts.count == 2 ? last(field) : low, step: step, field) }
        return bits(from: low, to: try value(ends[1], field), step: step, field)
    }

    /// The last distinct value: 7 is the same weekday as 0.
    private static func last(_ field: CronField) -> Int { field.range.upperBound == 7 ? 6 : field.range.upperBound }

    /// The bits of a range; one that ends before it begins wraps around.
    private static func bits(from low: Int, to high: Int, step: Int, _ field: CronField) -> UInt64 {
        let count = last(field) - field.range.lowerBound + 1
        let end = high < low ? high + count : high
        var bits: UInt64 = 0
        for value in stride(from: low, through: end, by: step) {
            bits |= 1 << UInt64((value - field.range.lowerBound) % count + field.range.lowerBound)
        }
        return bits
    }

    private static func value(_ token: CronToken, _ field: CronField) throws(ScheduleError) -> Int {
        if let number = number(token.text) {
            if field.range.contains(number) { return number }
        } else if let index = field.names.firstIndex(of: token.text.uppercased()) {
            return index + field.range.lowerBound
        }
        throw token.error("'\(token.text)' is not a valid \(field.name): use \(field.allowed)")
    }

    /// `H`, `H(a-b)`, each with a step: the hash picks a value, or where the steps begin.
    private static func hashed(_ base: CronToken, step: Int?, _ field: CronField, _ hash: StableHash) throws(ScheduleError) -> UInt64 {
        var low = field.range.lowerBound
        // Days 29 to 31 are not in every month, so a hash does not pick them.
        var high = field.range.upperBound == 31 ? 28 : last(field)
        let rest = base.text.dropFirst()
        if !rest.isEmpty {
            let inner = CronToken(text: rest.dropFirst().dropLast(), offset: base.offset + 2)
            let ends = inner.split(at: "-")
            guard rest.first == "(", rest.last == ")", ends.count == 2 else { throw base.error("'\(base.text)' is not H or H(from-to)") }
            low = try value(ends[0], field)
            high = try value(ends[1], field)
            guard low <= high else { throw inner.error("the range \(inner.text) ends before it begins") }
        }
        // Each field takes other bits of the hash, so that H H does not tie the hour to the minute.
        var salted = hash
        salted.combine(Int64(field.range.upperBound &* 64 &+ field.name.utf8.count))
        let span = step.map { min($0, high - low + 1) } ?? high - low + 1
        let start = low + Int(salted.value % UInt64(span))
        return bits(from: start, to: step == nil ? start : high, step: step ?? 1, field)
    }

    private static func readDays(_ word: CronToken, into days: inout DayRule, _ hash: StableHash) throws(ScheduleError) {
        let field = CronField.dayOfMonth
        for item in word.split(at: ",") {
            let text = item.text.uppercased()
            if text == "LW" || text == "WL" {
                days.lastWorkday = true
            } else if text == "L" {
                days.fromEnd |= 1
            } else if text.hasPrefix("L-") {
                guard let back = number(item.text.dropFirst(2)), (0...30).contains(back) else {
                    throw item.error("'\(item.text)' is not L-n with n from 0 to 30")
                }
                days.fromEnd |= 1 << UInt32(back)
            } else if text.hasSuffix("W") {
                days.nearestWeekday |= 1 << UInt32(try value(CronToken(text: item.text.dropLast(), offset: item.offset), field))
            } else {
                days.days |= UInt32(truncatingIfNeeded: try itemValues(item, field, hash))
            }
        }
    }

    private static func readWeekdays(_ word: CronToken, into days: inout DayRule, _ hash: StableHash) throws(ScheduleError) {
        let field = CronField.dayOfWeek
        for item in word.split(at: ",") {
            let text = item.text.uppercased()
            if text.contains("#") {
                let parts = item.split(at: "#")
                guard parts.count == 2, let nth = number(parts[1].text), (1...5).contains(nth) else {
                    throw item.error("'\(item.text)' is not weekday#n with n from 1 to 5")
                }
                let weekday = try value(parts[0], field) % 7
                days.nthWeekdays |= 1 << UInt64(weekday * 5 + nth - 1)
            } else if text.count > 1, text.hasSuffix("L") {
                let weekday = try value(CronToken(text: item.text.dropLast(), offset: item.offset), field) % 7
                days.lastWeekdays |= 1 << UInt8(weekday)
            } else if text == "L" {
                days.weekdays |= 1 << 6
            } else {
                let bits = try itemValues(item, field, hash)
                days.weekdays |= UInt8((bits | bits >> 7) & 0x7F)
            }
        }
    }
}
