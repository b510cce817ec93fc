/// The date of a calendar expression: `*-*-*`, `2026-02~03`, `12-25`.
struct CalendarDate {
    var years: Set<Int>?
    var months: UInt64 = 0x1FFE
    var days: UInt32 = DayRule.everyDay
    var fromEnd: UInt32 = 0

    static let yearRange = 1970...2200

    init() {}

    init(_ word: CronToken) throws(ScheduleError) {
        let fromEndParts = word.split(at: "~")
        guard fromEndParts.count <= 2 else { throw word.error("'\(word.text)' has more than one '~'") }
        var parts = fromEndParts[0].split(at: "-")
        let dayPart = fromEndParts.count == 2 ? fromEndParts[1] : parts.removeLast()
        guard let monthPart = parts.popLast(), parts.count <= 1 else {
            throw word.error("'\(word.text)' is not a date: use year-month-day or month-day")
        }
        if let yearPart = parts.first, yearPart.text != "*" {
            years = Set(try CalendarList.values(yearPart, CalendarDate.yearRange, "year"))
        }
        months = CalendarList.bits(try CalendarList.values(monthPart, 1...12, "month"))
        let dayValues = try CalendarList.values(dayPart, 1...31, "day")
        if fromEndParts.count == 2 {
            days = 0
            for value in dayValues { fromEnd |= 1 << UInt32(value - 1) }
        } else {
            days = UInt32(truncatingIfNeeded: CalendarList.bits(dayValues))
        }
    }
}

/// The time of a calendar expression: `09:00`, `*:0/15`, `18:30:00`.
struct CalendarClock {
    var hours: UInt64 = 1
    var minutes: UInt64 = 1
    var seconds: UInt64 = 1
    var followsRealTime = false

    init() {}

    init(_ word: CronToken) throws(ScheduleError) {
        let parts = word.split(at: ":")
        guard parts.count == 2 || parts.count == 3 else { throw word.error("'\(word.text)' is not a time: use hour:minute or hour:minute:second") }
        hours = CalendarList.bits(try CalendarList.values(parts[0], 0...23, "hour"))
        minutes = CalendarList.bits(try CalendarList.values(parts[1], 0...59, "minute"))
        if parts.count == 3 { seconds = CalendarList.bits(try CalendarList.values(parts[2], 0...59, "second")) }
        followsRealTime = parts[0].text.hasPrefix("*") || parts[1].text.hasPrefix("*")
    }
}

/// A list of values, ranges (`a..b`) and steps (`a/n`, `*/n`, `a..b/n`).
enum CalendarList {
    static func values(_ word: CronToken, _ range: ClosedRange<Int>, _ name: String) throws(ScheduleError) -> [Int] {
        var found: [Int] = []
        for item in word.split(at: ",") {
            let parts = item.split(at: "/")
            guard parts.count <= 2, !item.text.isEmpty else { throw item.error("'\(item.text)' is not a \(name)") }
            var step = 1
            if parts.count == 2 {
                guard let number = Int(parts[1].text), number >= 1 else { throw parts[1].error("the step '\(parts[1].text)' is not a number from 1") }
                step = number
            }
            let base = parts[0]
            if base.text == "*" {
                found += Array(stride(from: range.lowerBound, through: range.upperBound, by: step))
                continue
            }
            let (low, high) = try ends(base, range, name)
            let end = high ?? (parts.count == 2 ? range.upperBound : low)
            guard low <= end else { throw base.error("the range \(base.text) ends before it begins") }
            found += Array(stride(from: low, through: end, by: step))
        }
        return found
    }

    private static func ends(_ base: CronToken, _ range: ClosedRange<Int>, _ name: String) throws(ScheduleError) -> (Int, Int?) {
        let pieces = base.split(at: ".")
        guard pieces.count == 3, pieces[1].text.isEmpty else { return (try number(base, range, name), nil) }
        return (try number(pieces[0], range, name), try number(pieces[2], range, name))
    }

    private static func number(_ token: CronToken, _ range: ClosedRange<Int>, _ name: String) throws(ScheduleError) -> Int {
        guard let value = Int(token.text), range.contains(value), token.text.first?.isNumber == true else {
            throw token.error("'\(token.text)' is not a \(name): use \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    static func bits(_ values: [Int]) -> UInt64 { values.reduce(0) { $0 | 1 << UInt64($1) } }
}
