/// One way of saying when, without zone and options.
public enum ScheduleRule: Sendable, Hashable {
    /// Every wall time that a cron expression names; macros such as `@daily` too.
    case cron(CronExpression)
    /// Every wall time that a calendar expression names.
    case calendar(CalendarExpression)
    /// At multiples of an interval.
    case every(Interval)
    /// Once, at a wall time of the schedule's zone.
    case at(CivilTime)
    /// Once, at an instant that named its own offset from UTC.
    case instant(Timestamp)
    /// Once at the first start of the daemon after each boot of the host.
    case reboot

    private static let macros = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
    ]

    /// Reads a schedule's short form: a cron expression, a macro, `every`, `at` or `calendar`.
    ///
    /// - Parameter seed: what `H` hashes: the project's and the job's name
    /// - Throws: ``ScheduleError`` that points at the wrong part
    public init(_ text: some StringProtocol, seed: String) throws(ScheduleError) {
        let words = CronToken.words(of: Substring(text))
        guard let first = words.first else { throw ScheduleError("the schedule is empty") }
        let keyword = first.text.lowercased()
        if first.text.hasPrefix("@") {
            if keyword == "@every" {
                let span = words.dropFirst().map { String($0.text) }.joined(separator: " ")
                throw first.error("'@every' is written 'every' here: \"every \(span.isEmpty ? "5m" : span)\"")
            }
            guard words.count == 1 else { throw words[1].error("nothing may stand after \(first.text)") }
            if keyword == "@reboot" {
                self = .reboot
                return
            }
            guard let expression = ScheduleRule.macros[keyword] else {
                throw first.error(
                    "'\(first.text)' is not a macro: use @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or @reboot")
            }
            self = .cron(try CronExpression(expression, seed: seed))
            return
        }
        guard ["every", "at", "calendar"].contains(keyword) else {
            self = .cron(try CronExpression(text, seed: seed))
            return
        }
        let restOffset = words.count > 1 ? words[1].offset : text.count
        let rest = Substring(text).dropFirst(restOffset)
        do {
            switch keyword {
            case "every": self = .every(try Interval(rest))
            case "at": self = try ScheduleRule.once(rest)
            default: self = .calendar(try CalendarExpression(rest))
            }
        } catch {
            throw error.shifted(by: restOffset)
        }
    }

    /// Reads `2026-12-24T18:00`, a wall time, or `2026-12-24T18:00:00Z`, an instant.
    public static func once(_ text: some StringProtocol) throws(ScheduleError) -> ScheduleRule {
        let trimmed = CronToken.words(of: Substring(text)).map { String($0.text) }.joined(separator: " ")
        if let instant = Timestamp(rfc3339: trimmed) { return .instant(instant) }
        var scanner = DigitScanner(trimmed)
        guard let time = scanner.dateTime(needsSeconds: false), scanner.atEnd else {
            throw ScheduleError("'\(trimmed)' is not a date and time that exists: write it as 2026-12-24T18:00", length: text.count)
        }
        return .at(time)
    }
}
