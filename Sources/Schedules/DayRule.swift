/// Which days of a month match, in the terms of cron and of systemd's calendar.
struct DayRule: Hashable, Sendable {
    /// Bit `d`: day of month `d`, 1 to 31.
    var days: UInt32 = 0
    /// Bit `n`: the day `n` days before the last of the month; `L` is bit 0, `L-3` bit 3.
    var fromEnd: UInt32 = 0
    /// Bit `d`: the weekday nearest to day `d` within the month (`15W`).
    var nearestWeekday: UInt32 = 0
    /// `LW`: the last weekday (Monday to Friday) of the month.
    var lastWorkday = false
    /// Bit `w`: weekday `w`, 0 = Sunday.
    var weekdays: UInt8 = 0
    /// Bit `w * 5 + n - 1`: the `n`th weekday `w` of the month (`5#2`).
    var nthWeekdays: UInt64 = 0
    /// Bit `w`: the last weekday `w` of the month (`FRIL`).
    var lastWeekdays: UInt8 = 0
    /// Whether a day must satisfy both parts (day of month, weekday), or one suffices.
    var needsBoth = true

    static let everyDay: UInt32 = 0xFFFF_FFFE
    static let everyWeekday: UInt8 = 0x7F
    static let all: DayRule = {
        var rule = DayRule()
        rule.days = everyDay
        rule.weekdays = everyWeekday
        return rule
    }()

    /// The matching days of a month as bits 1 to 31; all that counts is its length and the weekday of its first day.
    func mask(length: Int, firstWeekday: Int) -> UInt32 {
        let inMonth: UInt32 = UInt32.max >> UInt32(31 - length) & ~1
        let dayPart = dayMask(length: length, firstWeekday: firstWeekday)
        let weekdayPart = weekdayMask(length: length, firstWeekday: firstWeekday)
        return (needsBoth ? dayPart & weekdayPart : dayPart | weekdayPart) & inMonth
    }

    private func dayMask(length: Int, firstWeekday: Int) -> UInt32 {
        var mask = days
        if fromEnd != 0 {
            for back in 0..<31 where fromEnd >> UInt32(back) & 1 == 1 && back < length { mask |= 1 << UInt32(length - back) }
        }
        if nearestWeekday != 0 {
            for day in 1...31 where nearestWeekday >> UInt32(day) & 1 == 1 && day <= length {
                mask |= 1 << UInt32(DayRule.nearestWorkday(to: day, length: length, firstWeekday: firstWeekday))
            }
        }
        if lastWorkday {
            let weekday = (firstWeekday + length - 1) % 7
            mask |= 1 << UInt32(length - (weekday == 6 ? 1 : weekday == 0 ? 2 : 0))
        }
        return mask
    }

    /// The Monday-to-Friday day nearest to `day` that lies in the same month.
    private static func nearestWorkday(to day: Int, length: Int, firstWeekday: Int) -> Int {
        switch (firstWeekday + day - 1) % 7 {
        case 6: day == 1 ? 3 : day - 1
        case 0: day == length ? day - 2 : day + 1
        default: day
        }
    }

    private func weekdayMask(length: Int, firstWeekday: Int) -> UInt32 {
        var mask = DayRule.days(of: weekdays, firstWeekday: firstWeekday)
        if lastWeekdays != 0 { mask |= DayRule.days(of: lastWeekdays, firstWeekday: firstWeekday) & UInt32.max << UInt32(length - 6) }
        if nthWeekdays != 0 {
            for day in 1...length where nthWeekdays >> UInt64((firstWeekday + day - 1) % 7 * 5 + (day - 1) / 7) & 1 == 1 { mask |= 1 << UInt32(day) }
        }
        return mask
    }

    /// The days that fall on given weekdays, as bits 1 to 31: the week, turned to begin on the first, five times over.
    private static func days(of weekdays: UInt8, firstWeekday: Int) -> UInt32 {
        let week = UInt32(weekdays) << 7 | UInt32(weekdays)
        return (week >> UInt32(firstWeekday) & 0x7F) &* 0x1020_4081 << 1
    }
}
