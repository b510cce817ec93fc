/// A calendar expression as systemd writes it: `Mon..Fri *-*-* 09:00`.
///
/// Weekdays, date and time, each optional; lists, ranges with `..`, steps with `/`, `~` for days from the month's end,
/// and the words `minutely` to `yearly`. Day and weekday must both match. Source: systemd.time(7), "Calendar Events".
/// Fractions of a second are refused. A zone may stand at the end; it is returned apart.
public struct CalendarExpression: Sendable, Hashable {
    /// As it was written, blanks squeezed, with the zone.
    public let text: String
    /// The wall times that it names.
    public let pattern: CivilPattern
    /// The zone named at the end, `nil` when there is none.
    public let zoneName: String?

    private static let shorthands = [
        "minutely": "*-*-* *:*:00", "hourly": "*-*-* *:00:00", "daily": "*-*-* 00:00:00", "weekly": "Mon *-*-* 00:00:00",
        "monthly": "*-*-01 00:00:00", "quarterly": "*-01,04,07,10-01 00:00:00", "semiannually": "*-01,07-01 00:00:00",
        "semi-annually": "*-01,07-01 00:00:00", "yearly": "*-01-01 00:00:00", "annually": "*-01-01 00:00:00",
    ]
    private static let weekdayNames = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
    private static let longWeekdayNames = ["SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"]

    /// - Throws: ``ScheduleError`` that points at the wrong part
    public init(_ text: some StringProtocol) throws(ScheduleError) {
        var words = CronToken.words(of: Substring(text))
        guard let first = words.first else { throw ScheduleError("the calendar expression is empty") }
        self.text = words.map { String($0.text) }.joined(separator: " ")
        var zone: String?
        if words.count > 1, let last = words.last, CalendarExpression.looksLikeZone(last.text) {
            zone = String(last.text)
            words.removeLast()
        }
        zoneName = zone
        if words.count == 1, let full = CalendarExpression.shorthands[first.text.lowercased()] {
            words = CronToken.words(of: full[...]).map { CronToken(text: $0.text, offset: first.offset) }
        }
        var rest = words[...]
        var days = DayRule()
        if let word = rest.first, word.text.first?.isLetter == true {
            days.weekdays = try CalendarExpression.weekdays(rest.removeFirst())
        } else {
            days.weekdays = DayRule.everyWeekday
        }
        var date = CalendarDate()
        var time = CalendarClock()
        if let word = rest.first, !word.text.contains(":") {
            date = try CalendarDate(rest.removeFirst())
        }
        if let word = rest.popFirst() { time = try CalendarClock(word) }
        if let extra = rest.first { throw extra.error("'\(extra.text)' is too much: weekdays, date, time, zone is the order") }
        days.days = date.days
        days.fromEnd = date.fromEnd
        days.needsBoth = true
        pattern = CivilPattern(
            seconds: time.seconds, minutes: time.minutes, hours: UInt32(time.hours), months: UInt16(date.months), years: date.years,
            days: days, followsRealTime: time.followsRealTime)
        if !pattern.canMatch { throw ScheduleError("this never matches: there is no such day", offset: first.offset, length: text.count) }
    }

    private static func looksLikeZone(_ word: Substring) -> Bool {
        guard word.first?.isLetter == true else { return false }
        if word.contains("/") && !word.contains("..") || word == "UTC" || word == "GMT" { return true }
        return false
    }

    private static func weekdays(_ word: CronToken) throws(ScheduleError) -> UInt8 {
        var bits: UInt8 = 0
        for item in word.split(at: ",") where !item.text.isEmpty {
            let ends = item.split(at: ".")
            guard ends.count == 3, ends[1].text.isEmpty else {
                bits |= 1 << UInt8(try weekday(item))
                continue
            }
            let low = try weekday(ends[0])
            let high = try weekday(ends[2])
            for day in low...(high < low ? high + 7 : high) { bits |= 1 << UInt8(day % 7) }
        }
        return bits
    }

    private static func weekday(_ token: CronToken) throws(ScheduleError) -> Int {
        let upper = token.text.uppercased()
        if let index = weekdayNames.firstIndex(of: upper) ?? longWeekdayNames.firstIndex(of: upper) { return index }
        throw token.error("'\(token.text)' is not a weekday: use Mon to Sun")
    }
}
