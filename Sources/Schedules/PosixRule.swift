/// The rule at the end of a TZif file, such as `CET-1CEST,M3.5.0,M10.5.0/3`: how clocks go on after the table.
///
/// Source: POSIX.1-2017, chapter 8.3, with the signed and longer times of RFC 9636.
struct PosixRule: Equatable {
    enum Day: Equatable {
        /// `Jn`: 1 to 365, 29 February not counted.
        case julian(Int)
        /// `n`: 0 to 365, 29 February counted.
        case ordinal(Int)
        /// `Mm.w.d`: weekday `d` (0 = Sunday) of week `w` (5 = last) of month `m`.
        case weekday(month: Int, week: Int, day: Int)
    }

    struct Change: Equatable {
        let day: Day
        /// Seconds after midnight on the wall; may be negative or beyond a day.
        let second: Int64
    }

    /// Seconds east of UTC.
    let standardOffset: Int32
    let daylight: (offset: Int32, begins: Change, ends: Change)?

    static func == (left: PosixRule, right: PosixRule) -> Bool {
        left.standardOffset == right.standardOffset && left.daylight?.offset == right.daylight?.offset
            && left.daylight?.begins == right.daylight?.begins && left.daylight?.ends == right.daylight?.ends
    }

    /// `nil` for an empty footer, which means that nothing is known beyond the table.
    init?(footer: String) throws(Zone.FormatError) {
        if footer.isEmpty { return nil }
        var scanner = RuleScanner(footer)
        guard scanner.name(), let west = scanner.time() else { throw .badFooter(footer) }
        standardOffset = Int32(-west)
        if scanner.atEnd {
            daylight = nil
            return
        }
        guard scanner.name() else { throw .badFooter(footer) }
        var daylightWest = west - 3600
        if scanner.peek != 0x2C, let given = scanner.time() { daylightWest = given }
        guard scanner.take(0x2C), let begins = scanner.change(), scanner.take(0x2C), let ends = scanner.change(), scanner.atEnd else {
            throw .badFooter(footer)
        }
        daylight = (Int32(-daylightWest), begins, ends)
    }

    /// The instants, in UTC seconds, at which an offset begins, ascending.
    func changes(years: ClosedRange<Int>) -> [(Int64, Int32)] {
        guard let daylight else { return [] }
        var found: [(Int64, Int32)] = []
        for year in years {
            found.append((instant(daylight.begins, year: year, offset: standardOffset), daylight.offset))
            found.append((instant(daylight.ends, year: year, offset: daylight.offset), standardOffset))
        }
        return found.sorted { $0.0 < $1.0 }
    }

    private func instant(_ change: Change, year: Int, offset: Int32) -> Int64 {
        let days: Int64
        switch change.day {
        case .julian(let day):
            let leapShift = CivilDate.isLeap(year) && day >= 60 ? 1 : 0
            days = CivilDate.daysSinceEpoch(year: year, month: 1, day: 1) + Int64(day - 1 + leapShift)
        case .ordinal(let day):
            days = CivilDate.daysSinceEpoch(year: year, month: 1, day: 1) + Int64(day)
        case .weekday(let month, let week, let weekday):
            let first = CivilDate.daysSinceEpoch(year: year, month: month, day: 1)
            let firstMatch = (weekday - CivilDate.weekday(daysSinceEpoch: first) + 7) % 7
            var day = firstMatch + (week - 1) * 7
            while day >= CivilDate.length(ofMonth: month, year: year) { day -= 7 }
            days = first + Int64(day)
        }
        return days * 86400 + change.second - Int64(offset)
    }
}

private struct RuleScanner {
    private var rest: Substring.UTF8View

    init(_ text: String) {
        rest = text[...].utf8
    }

    var atEnd: Bool { rest.isEmpty }
    var peek: UInt8? { rest.first }

    mutating func take(_ byte: UInt8) -> Bool {
        guard rest.first == byte else { return false }
        rest.removeFirst()
        return true
    }

    /// `CET` or `<+0330>`.
    mutating func name() -> Bool {
        if take(0x3C) {
            guard let end = rest.firstIndex(of: 0x3E) else { return false }
            rest = rest[rest.index(after: end)...]
            return true
        }
        let letters = rest.prefix { (65...90).contains($0) || (97...122).contains($0) }
        rest.removeFirst(letters.count)
        return letters.count >= 3
    }

    mutating func number() -> Int64? {
        let digits = rest.prefix { (48...57).contains($0) }
        guard !digits.isEmpty, digits.count <= 4 else { return nil }
        rest.removeFirst(digits.count)
        return digits.reduce(0) { $0 * 10 + Int64($1 - 48) }
    }

    /// `[+-]h[:m[:s]]` in seconds.
    mutating func time() -> Int64? {
        let sign: Int64 = take(0x2D) ? -1 : 1
        if sign == 1 { _ = take(0x2B) }
        guard let hours = number(), hours <= 167 else { return nil }
        var seconds = hours * 3600
        if take(0x3A) {
            guard let minutes = number(), minutes < 60 else { return nil }
            seconds += minutes * 60
            if take(0x3A) {
                guard let rest = number(), rest < 60 else { return nil }
                seconds += rest
            }
        }
        return sign * seconds
    }

    mutating func change() -> PosixRule.Change? {
        let day: PosixRule.Day
        if take(0x4A) {
            guard let number = number(), (1...365).contains(number) else { return nil }
            day = .julian(Int(number))
        } else if take(0x4D) {
            guard let month = number(), (1...12).contains(month), take(0x2E), let week = number(), (1...5).contains(week), take(0x2E),
                let weekday = number(), (0...6).contains(weekday)
            else { return nil }
            day = .weekday(month: Int(month), week: Int(week), day: Int(weekday))
        } else {
            guard let number = number(), number <= 365 else { return nil }
            day = .ordinal(Int(number))
        }
        if take(0x2F) {
            guard let time = time() else { return nil }
            return PosixRule.Change(day: day, second: time)
        }
        return PosixRule.Change(day: day, second: 7200)
    }
}
