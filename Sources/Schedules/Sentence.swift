/// What a schedule says, in words.
public enum Sentence {
    /// The rule in English, without a capital and a full stop: `at 02:00, every day`. The schedule's options are not in it.
    public static func of(_ rule: ScheduleRule) -> String {
        switch rule {
        case .cron(let cron): of(cron.pattern)
        case .calendar(let calendar): of(calendar.pattern) + (calendar.zoneName.map { ", in \($0)" } ?? "")
        case .every(let interval):
            "every \(DurationText.print(.seconds(interval.seconds)))"
                + (interval.from.map { ", from \(CivilTime(localSeconds: Int64($0)).shortClock) each day" } ?? ", counted from midnight UTC of 1970-01-01")
        case .at(let time): "once, at \(time)"
        case .instant(let instant): "once, at \(instant)"
        case .reboot: "once at the first start after each boot of the host"
        }
    }

    private static func of(_ pattern: CivilPattern) -> String { time(pattern) + days(pattern) }

    private static func time(_ pattern: CivilPattern) -> String {
        let seconds = values(pattern.seconds)
        let minutes = values(pattern.minutes)
        let hours = values(UInt64(pattern.hours))
        let total = seconds.count * minutes.count * hours.count
        if total <= 6 {
            let times = hours.flatMap { hour in
                minutes.flatMap { minute in seconds.map { CivilTime(localSeconds: Int64(hour * 3600 + minute * 60 + $0)).shortClock } }
            }
            return "at " + list(times)
        }
        var words: [String] = []
        if seconds != [0] { words.append(part(seconds, 60, "second")) }
        words.append(part(minutes, 60, "minute"))
        if hours.count < 24 { words.append("of " + part(hours, 24, "hour")) }
        return words.joined(separator: " of ").replacing("of of", with: "of")
    }

    /// `every 15 minutes`, `minutes 5 and 35`, `every hour from 8 to 18`.
    private static func part(_ values: [Int], _ count: Int, _ unit: String) -> String {
        if values.count == count { return "every \(unit)" }
        if values.count == 1 { return "\(unit) \(values[0])" }
        let step = values[1] - values[0]
        let even = zip(values, values.dropFirst()).allSatisfy { $1 - $0 == step }
        if even, step == 1 { return "every \(unit) from \(values[0]) to \(values[values.count - 1])" }
        if even, count % step == 0, values.count == count / step {
            return "every \(step) \(unit)s" + (values[0] == 0 ? "" : " from \(values[0])")
        }
        return "\(unit)s " + list(values.map(String.init))
    }

    private static func days(_ pattern: CivilPattern) -> String {
        let rule = pattern.days
        let byDay = dayOfMonth(rule)
        let byWeekday = weekday(rule)
        var text = ""
        switch (byDay, byWeekday) {
        case (nil, nil): text = ", every day"
        case (let day?, nil): text = ", on \(day)"
        case (nil, let weekday?): text = ", on \(weekday)"
        case (let day?, let weekday?): text = rule.needsBoth ? ", on \(day) if it is \(weekday)" : ", on \(day) or on \(weekday)"
        }
        let months = values(UInt64(pattern.months))
        if months.count < 12 { text += ", in " + list(months.map { monthNames[$0 - 1] }) }
        if let years = pattern.years { text += ", in " + list(years.sorted().prefix(6).map(String.init)) + (years.count > 6 ? " and later" : "") }
        return text
    }

    private static func dayOfMonth(_ rule: DayRule) -> String? {
        var words: [String] = []
        if rule.days == DayRule.everyDay { return nil }
        let days = values(UInt64(rule.days))
        if !days.isEmpty { words.append("day " + list(days.map(String.init)) + " of the month") }
        for back in values(UInt64(rule.fromEnd)) { words.append(back == 0 ? "the last day of the month" : "the day \(back) before the month's last") }
        for day in values(UInt64(rule.nearestWeekday)) { words.append("the weekday nearest to day \(day)") }
        if rule.lastWorkday { words.append("the last weekday of the month") }
        return words.isEmpty ? nil : list(words)
    }

    private static func weekday(_ rule: DayRule) -> String? {
        if rule.weekdays == DayRule.everyWeekday { return nil }
        var words = values(UInt64(rule.weekdays)).map { weekdayNames[$0] }
        for bit in values(rule.nthWeekdays) { words.append("the \(["first", "second", "third", "fourth", "fifth"][bit % 5]) \(weekdayNames[bit / 5])") }
        for day in values(UInt64(rule.lastWeekdays)) { words.append("the last \(weekdayNames[day])") }
        return words.isEmpty ? nil : list(words)
    }

    private static func values(_ bits: UInt64) -> [Int] { (0..<64).filter { bits >> UInt64($0) & 1 == 1 } }

    private static func list(_ words: [String]) -> String {
        guard words.count > 1, let last = words.last else { return words.first ?? "" }
        return words.dropLast().joined(separator: ", ") + " and " + last
    }

    private static let weekdayNames = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let monthNames = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ]
}
