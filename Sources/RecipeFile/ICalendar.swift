internal import Schedules

/// The days that the events of an iCalendar file cover (RFC 5545), such as public holidays.
///
/// Dates, dates with a time (the day they name counts, whatever the zone), several days by `DTEND` or `DURATION`,
/// `RDATE`, `EXDATE`, and yearly repetition (`FREQ=YEARLY` with `INTERVAL`, `COUNT`, `UNTIL`, `BYMONTH`, `BYMONTHDAY`, `BYDAY`).
/// Any other repetition is an error: a holiday that is missed in silence would be worse.
struct ICalendar {
    /// The last year that a repetition without an end is followed to.
    static let lastYear = 2200

    private struct Event {
        let line: Int
        var start: CivilDate?
        /// Exclusive.
        var end: CivilDate?
        var days = 1
        var rule: (text: String, line: Int)?
        var more: [CivilDate] = []
        var without: Set<CivilDate> = []
        var cancelled = false
    }

    private struct Property {
        let line: Int
        let name: String
        let value: String
    }

    static func days(_ text: String) throws(CalendarFileError) -> [ClosedRange<CivilDate>] {
        var found: [ClosedRange<CivilDate>] = []
        var event: Event?
        // An alarm within an event has a DURATION of its own.
        var inner = 0
        for property in properties(text) {
            switch (property.name, property.value.uppercased()) {
            case ("BEGIN", "VEVENT") where event == nil: event = Event(line: property.line)
            case ("END", "VEVENT") where inner == 0:
                if let done = event { found += try ranges(done) }
                event = nil
            case ("BEGIN", _): if event != nil { inner += 1 }
            case ("END", _): inner = max(0, inner - 1)
            default:
                if event != nil, inner == 0 { try take(property, &event!) }
            }
        }
        if let event { throw CalendarFileError(line: event.line, message: "an event has no END") }
        return found
    }

    /// The lines, with what was folded joined again and parameters left out.
    private static func properties(_ text: String) -> [Property] {
        var lines: [(Int, String)] = []
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            if let first = line.first, first == " " || first == "\t", !lines.isEmpty {
                lines[lines.count - 1].1 += line.dropFirst()
            } else if !line.isEmpty {
                lines.append((index + 1, String(line)))
            }
        }
        return lines.compactMap { number, line in
            guard let colon = valueStart(line) else { return nil }
            let name = line[..<colon].prefix { $0 != ";" }.uppercased()
            return Property(line: number, name: name, value: String(line[line.index(after: colon)...]))
        }
    }

    /// The colon before the value: the first that no quotation mark of a parameter encloses.
    private static func valueStart(_ line: String) -> String.Index? {
        var quoted = false
        return line.indices.first { index in
            if line[index] == "\"" { quoted.toggle() }
            return line[index] == ":" && !quoted
        }
    }

    private static func take(_ property: Property, _ event: inout Event) throws(CalendarFileError) {
        switch property.name {
        case "DTSTART": event.start = try date(property.value, property.line)
        case "DTEND":
            let end = try date(property.value, property.line)
            // With a time, the day that it ends on belongs to it unless it ends at midnight.
            event.end = property.value.contains("T") && !property.value.contains("T000000") ? CivilDate(daysSinceEpoch: end.daysSinceEpoch + 1) : end
        case "DURATION": event.days = try wholeDays(property)
        case "RRULE": event.rule = (property.value, property.line)
        case "RECURRENCE-ID":
            throw CalendarFileError(line: property.line, message: "one of a repetition that was moved is not understood: give its dates in the recipe")
        case "RDATE": for word in property.value.split(separator: ",") { event.more.append(try date(String(word), property.line)) }
        case "EXDATE": for word in property.value.split(separator: ",") { event.without.insert(try date(String(word), property.line)) }
        case "STATUS": event.cancelled = property.value.uppercased() == "CANCELLED"
        default: break
        }
    }

    /// `20261225`, or `20261225T090000Z`, of which the day counts.
    private static func date(_ text: String, _ line: Int) throws(CalendarFileError) -> CivilDate {
        let digits = text.prefix(8)
        if digits.count == 8, text.count == 8 || text.dropFirst(8).hasPrefix("T"), let year = Int(digits.prefix(4)),
            let month = Int(digits.dropFirst(4).prefix(2)), let day = Int(digits.suffix(2)), let date = CivilDate(year: year, month: month, day: day)
        {
            return date
        }
        throw CalendarFileError(line: line, message: "'\(text)' is not a date that exists")
    }

    private static func wholeDays(_ property: Property) throws(CalendarFileError) -> Int {
        let text = property.value.uppercased()
        guard text.hasPrefix("P") else { throw CalendarFileError(line: property.line, message: "'\(property.value)' is not a duration") }
        let isTime = text.hasPrefix("PT")
        let amount = text.dropFirst(isTime ? 2 : 1).prefix(while: \.isNumber)
        if isTime {
            // Less than a day is the day that it begins on.
            guard let number = Int(amount), number < 100_000 else {
                throw CalendarFileError(line: property.line, message: "'\(property.value)' is not a duration")
            }
            return text.hasSuffix("H") ? max(1, (number + 23) / 24) : 1
        }
        let unit = text.dropFirst(1 + amount.count).first
        guard let number = Int(amount), number >= 1, number <= 3660, unit == "D" || unit == "W" else {
            throw CalendarFileError(line: property.line, message: "'\(property.value)' is not a duration of days or weeks")
        }
        return unit == "W" ? number * 7 : number
    }

    private static func ranges(_ event: Event) throws(CalendarFileError) -> [ClosedRange<CivilDate>] {
        if event.cancelled { return [] }
        guard let start = event.start else { throw CalendarFileError(line: event.line, message: "an event has no DTSTART") }
        let length = event.end.map { max(1, $0.daysSinceEpoch - start.daysSinceEpoch) } ?? Int64(event.days)
        var starts = try event.rule.map { rule throws(CalendarFileError) in try repetitions(rule.text, start, rule.line) } ?? [start]
        starts += event.more
        return starts.filter { !event.without.contains($0) }.map { $0...CivilDate(daysSinceEpoch: $0.daysSinceEpoch + length - 1) }
    }

    // MARK: Repetition

    private static func repetitions(_ rule: String, _ start: CivilDate, _ line: Int) throws(CalendarFileError) -> [CivilDate] {
        func refusal() -> CalendarFileError {
            CalendarFileError(
                line: line, message: "the repetition '\(rule)' is not understood: FREQ=YEARLY with INTERVAL, COUNT, UNTIL, BYMONTH, BYMONTHDAY and BYDAY is")
        }
        var parts: [String: String] = [:]
        for part in rule.uppercased().split(separator: ";") {
            let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2, ["FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "WKST"].contains(pair[0]) else {
                throw refusal()
            }
            parts[pair[0]] = pair[1]
        }
        func numbers(_ key: String, _ range: ClosedRange<Int>) throws(CalendarFileError) -> [Int]? {
            guard let text = parts[key] else { return nil }
            let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
            guard values.allSatisfy({ $0.map(range.contains) ?? false }) else { throw refusal() }
            return values.compactMap { $0 }
        }
        guard parts["FREQ"] == "YEARLY" else { throw refusal() }
        let interval = try numbers("INTERVAL", 1...1000)?.first ?? 1
        let count = try numbers("COUNT", 1...100_000)?.first ?? .max
        let until = try parts["UNTIL"].map { text throws(CalendarFileError) in try date(text, line) }
        let months = try numbers("BYMONTH", 1...12)
        let monthDays = try numbers("BYMONTHDAY", -31...31)
        let weekdays = try parts["BYDAY"].map { text throws(CalendarFileError) in
            try text.split(separator: ",").map { word throws(CalendarFileError) in
                guard let weekday = nthWeekday(word) else { throw refusal() }
                return weekday
            }
        }
        // Weekdays counted through the whole year, and a day of every month, are for no holiday that is known.
        if weekdays != nil || monthDays != nil, months == nil { throw refusal() }
        var found: [CivilDate] = []
        for year in stride(from: start.year, through: lastYear, by: interval) {
            for month in (months ?? [start.month]).sorted() {
                for date in days(year, month, monthDays, weekdays, start.day) where date >= start {
                    if let until, date > until { return found }
                    found.append(date)
                    if found.count == count { return found }
                }
            }
        }
        return found
    }

    /// `4TH` is the fourth Thursday, `-1MO` the last Monday, `TU` every Tuesday (n = 0).
    private static func nthWeekday(_ word: Substring) -> (n: Int, weekday: Int)? {
        guard let weekday = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"].firstIndex(of: String(word.suffix(2))) else { return nil }
        let number = word.dropLast(2)
        if number.isEmpty { return (0, weekday) }
        guard let n = Int(number), n != 0, abs(n) <= 5 else { return nil }
        return (n, weekday)
    }

    private static func days(_ year: Int, _ month: Int, _ monthDays: [Int]?, _ weekdays: [(n: Int, weekday: Int)]?, _ startDay: Int) -> [CivilDate] {
        let all = (1...31).compactMap { CivilDate(year: year, month: month, day: $0) }
        guard monthDays != nil || weekdays != nil else { return all.filter { $0.day == startDay } }
        return all.filter { date in
            let byDay = monthDays.map { $0.contains(date.day) || $0.contains(date.day - all.count - 1) } ?? true
            let byWeekday =
                weekdays.map { rules in
                    rules.contains { rule in
                        rule.weekday == date.weekday
                            && (rule.n == 0 || rule.n == (date.day - 1) / 7 + 1 || rule.n == -((all.count - date.day) / 7 + 1))
                    }
                } ?? true
            return byDay && byWeekday
        }
    }
}
