/// A set of wall times: every combination of matching day, hour, minute and second.
///
/// Both cron and calendar expressions become one. Searching it is arithmetic on bit sets: no step goes through minutes.
public struct CivilPattern: Hashable, Sendable {
    /// Bits 0 to 59.
    let seconds: UInt64
    /// Bits 0 to 59.
    let minutes: UInt64
    /// Bits 0 to 23.
    let hours: UInt32
    /// Bits 1 to 12.
    let months: UInt16
    /// `nil` is every year.
    let years: Set<Int>?
    let days: DayRule
    /// Whether hour or minute starts with `*`: such a pattern follows real time where clocks are set.
    let followsRealTime: Bool

    /// The last year a search looks at. The calendar repeats every 400 years, so nothing matches later for the first time.
    static let lastYear = 2500

    init(seconds: UInt64, minutes: UInt64, hours: UInt32, months: UInt16, years: Set<Int>? = nil, days: DayRule, followsRealTime: Bool) {
        self.seconds = seconds
        self.minutes = minutes
        self.hours = hours
        self.months = months
        self.years = years
        self.days = days
        self.followsRealTime = followsRealTime
    }

    /// Whether any wall time matches at all.
    var canMatch: Bool { next(from: CivilTime(date: CivilDate(year: 1970, month: 1, day: 1)!, hour: 0, minute: 0)) != nil }

    private func mask(year: Int, month: Int, firstDay: Int64) -> UInt32 {
        guard months >> UInt16(month) & 1 == 1 else { return 0 }
        if let years, !years.contains(year) { return 0 }
        return days.mask(length: CivilDate.length(ofMonth: month, year: year), firstWeekday: CivilDate.weekday(daysSinceEpoch: firstDay))
    }

    // MARK: Search

    /// The first matching wall time at or after another.
    func next(from time: CivilTime) -> CivilTime? {
        var days = time.localSeconds.floorDivided(by: 86400)
        let date = CivilDate(daysSinceEpoch: days)
        var year = date.year
        var month = date.month
        var firstDay = days - Int64(date.day - 1)
        var candidates = mask(year: year, month: month, firstDay: firstDay)
        if candidates >> UInt32(date.day) & 1 == 1, let second = nextSecondOfDay(from: time.secondOfDay) {
            return CivilTime(localSeconds: days * 86400 + Int64(second))
        }
        candidates &= date.day >= 31 ? 0 : UInt32.max << UInt32(date.day + 1)
        guard let first = nextSecondOfDay(from: 0) else { return nil }
        while candidates == 0 {
            firstDay += Int64(CivilDate.length(ofMonth: month, year: year))
            month += 1
            if month == 13 {
                month = 1
                year += 1
                if year > CivilPattern.lastYear { return nil }
            }
            candidates = mask(year: year, month: month, firstDay: firstDay)
        }
        days = firstDay + Int64(candidates.trailingZeroBitCount - 1)
        return CivilTime(localSeconds: days * 86400 + Int64(first))
    }

    /// The last matching wall time at or before another.
    func previous(from time: CivilTime) -> CivilTime? {
        var days = time.localSeconds.floorDivided(by: 86400)
        let date = CivilDate(daysSinceEpoch: days)
        var year = date.year
        var month = date.month
        var firstDay = days - Int64(date.day - 1)
        var candidates = mask(year: year, month: month, firstDay: firstDay)
        if candidates >> UInt32(date.day) & 1 == 1, let second = previousSecondOfDay(from: time.secondOfDay) {
            return CivilTime(localSeconds: days * 86400 + Int64(second))
        }
        candidates &= (1 << UInt32(date.day)) - 1
        guard let last = previousSecondOfDay(from: 86399) else { return nil }
        while candidates == 0 {
            month -= 1
            if month == 0 {
                month = 12
                year -= 1
                if year < 1800 { return nil }
            }
            firstDay -= Int64(CivilDate.length(ofMonth: month, year: year))
            candidates = mask(year: year, month: month, firstDay: firstDay)
        }
        days = firstDay + Int64(31 - candidates.leadingZeroBitCount - 1)
        return CivilTime(localSeconds: days * 86400 + Int64(last))
    }

    private func nextSecondOfDay(from second: Int) -> Int? {
        let hour = second / 3600
        let minute = second / 60 % 60
        if hours >> UInt32(hour) & 1 == 1 {
            if minutes >> UInt64(minute) & 1 == 1 {
                let left = seconds & (UInt64.max << UInt64(second % 60))
                if left != 0 { return hour * 3600 + minute * 60 + left.trailingZeroBitCount }
            }
            let left = minutes & (UInt64.max << UInt64(minute + 1))
            if left != 0 { return hour * 3600 + left.trailingZeroBitCount * 60 + seconds.trailingZeroBitCount }
        }
        let left = hour >= 23 ? 0 : hours & (UInt32.max << UInt32(hour + 1))
        guard left != 0 else { return nil }
        return left.trailingZeroBitCount * 3600 + minutes.trailingZeroBitCount * 60 + seconds.trailingZeroBitCount
    }

    private func previousSecondOfDay(from second: Int) -> Int? {
        let hour = second / 3600
        let minute = second / 60 % 60
        if hours >> UInt32(hour) & 1 == 1 {
            if minutes >> UInt64(minute) & 1 == 1 {
                let left = seconds & ((2 << UInt64(second % 60)) - 1)
                if left != 0 { return hour * 3600 + minute * 60 + left.highestBit }
            }
            let left = minutes & ((1 << UInt64(minute)) - 1)
            if left != 0 { return hour * 3600 + left.highestBit * 60 + seconds.highestBit }
        }
        let left = hours & ((1 << UInt32(hour)) - 1)
        guard left != 0 else { return nil }
        return UInt64(left).highestBit * 3600 + minutes.highestBit * 60 + seconds.highestBit
    }

    // MARK: Counting

    /// How many wall times match in `[from, to)`. By arithmetic: a year of every second costs twelve steps.
    func count(from: CivilTime, to: CivilTime) -> Int64 {
        guard from < to else { return 0 }
        let firstDay = from.localSeconds.floorDivided(by: 86400)
        let lastDay = to.localSeconds.floorDivided(by: 86400)
        let perDay = Int64(seconds.nonzeroBitCount * minutes.nonzeroBitCount * hours.nonzeroBitCount)
        var total = daysMatching(from: firstDay, to: lastDay) * perDay
        if matches(day: firstDay) { total -= countWithinDay(before: from.secondOfDay) }
        if matches(day: lastDay) { total += countWithinDay(before: to.secondOfDay) }
        return total
    }

    private func matches(day: Int64) -> Bool {
        let date = CivilDate(daysSinceEpoch: day)
        return mask(year: date.year, month: date.month, firstDay: day - Int64(date.day - 1)) >> UInt32(date.day) & 1 == 1
    }

    private func daysMatching(from: Int64, to: Int64) -> Int64 {
        var total: Int64 = 0
        var day = from
        while day < to {
            let date = CivilDate(daysSinceEpoch: day)
            let firstDay = day - Int64(date.day - 1)
            let length = CivilDate.length(ofMonth: date.month, year: date.year)
            var bits = mask(year: date.year, month: date.month, firstDay: firstDay) & (UInt32.max << UInt32(date.day))
            if firstDay + Int64(length) > to { bits &= (1 << UInt32(to - firstDay + 1)) - 1 }
            total += Int64(bits.nonzeroBitCount)
            day = firstDay + Int64(length)
        }
        return total
    }

    private func countWithinDay(before second: Int) -> Int64 {
        let hour = second / 3600
        let minute = second / 60 % 60
        var total = (hours & ((1 << UInt32(hour)) - 1)).nonzeroBitCount * minutes.nonzeroBitCount * seconds.nonzeroBitCount
        if hours >> UInt32(hour) & 1 == 1 {
            total += (minutes & ((1 << UInt64(minute)) - 1)).nonzeroBitCount * seconds.nonzeroBitCount
            if minutes >> UInt64(minute) & 1 == 1 { total += (seconds & ((1 << UInt64(second % 60)) - 1)).nonzeroBitCount }
        }
        return Int64(total)
    }
}

extension UInt64 {
    fileprivate var highestBit: Int { 63 - leadingZeroBitCount }
}
