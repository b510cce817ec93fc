/// `every 15m`, `every 6h from 02:00`.
///
/// Without `from`, due times are the multiples of the interval since 1970-01-01T00:00:00Z, so they do not depend on when
/// a daemon started. With it, they begin each day (or each so many days) at that time on the wall and go on in real time
/// until the next such day begins.
public struct Interval: Sendable, Hashable {
    /// Seconds, at least 1.
    public let seconds: Int64
    /// Seconds after midnight.
    public let from: Int?

    /// Reads what stands after `every`.
    init(_ text: Substring) throws(ScheduleError) {
        let words = CronToken.words(of: text)
        guard let first = words.first else { throw ScheduleError("an interval is missing: write every 15m, or every 6h from 02:00") }
        let duration: Duration
        do { duration = try DurationText.parse(first.text) } catch { throw error.shifted(by: first.offset) }
        guard duration >= .seconds(1), duration.wholeMilliseconds % 1000 == 0 else {
            throw first.error("the interval must be whole seconds, at least 1s")
        }
        seconds = duration.wholeMilliseconds / 1000
        if words.count == 1 {
            from = nil
            return
        }
        guard words.count == 3, words[1].text.lowercased() == "from" else {
            throw words[1].error("after the interval may stand 'from' and a time, as in every 6h from 02:00")
        }
        guard let time = Interval.timeOfDay(words[2].text) else { throw words[2].error("'\(words[2].text)' is not a time of day: write it as 02:00") }
        guard seconds < 86400 || seconds % 86400 == 0 else {
            throw first.error("an interval of more than a day, with 'from', must be whole days")
        }
        from = time
    }

    static func timeOfDay(_ text: Substring) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, parts.allSatisfy({ $0.count == 2 && $0.allSatisfy(\.isNumber) }) else { return nil }
        let numbers = parts.compactMap { Int($0) }
        guard numbers.count == parts.count, numbers[0] < 24, numbers[1...].allSatisfy({ $0 < 60 }) else { return nil }
        return numbers[0] * 3600 + numbers[1] * 60 + (numbers.count == 3 ? numbers[2] : 0)
    }

    func next(after utc: Int64, zone: Zone) -> Int64 {
        guard let from else { return (utc.floorDivided(by: seconds) + 1) * seconds }
        var day = localDay(utc, zone) - 1
        while true {
            if isStart(day) {
                let begin = anchor(day, from, zone)
                let end = anchor(day + max(1, seconds / 86400), from, zone)
                let candidate = seconds >= 86400 ? begin : begin + max(0, (utc - begin).floorDivided(by: seconds) + 1) * seconds
                if candidate > utc, candidate < end { return candidate }
            }
            day += 1
        }
    }

    func previous(before utc: Int64, zone: Zone) -> Int64 {
        guard let from else { return (utc - 1).floorDivided(by: seconds) * seconds }
        var day = localDay(utc, zone) + 1
        while true {
            if isStart(day) {
                let begin = anchor(day, from, zone)
                if begin < utc {
                    let end = min(utc, anchor(day + 1, from, zone))
                    return seconds >= 86400 ? begin : begin + (end - 1 - begin).floorDivided(by: seconds) * seconds
                }
            }
            day -= 1
        }
    }

    func count(after: Int64, through: Int64, zone: Zone) -> Int64 {
        guard let from else { return through.floorDivided(by: seconds) - after.floorDivided(by: seconds) }
        var total: Int64 = 0
        for day in (localDay(after, zone) - 1)...(localDay(through, zone) + 1) where isStart(day) {
            let begin = anchor(day, from, zone)
            if seconds >= 86400 {
                if begin > after, begin <= through { total += 1 }
                continue
            }
            let end = anchor(day + 1, from, zone)
            let low = max(after + 1, begin)
            let high = min(through, end - 1)
            guard low <= high else { continue }
            total += (high - begin).floorDivided(by: seconds) - (low - 1 - begin).floorDivided(by: seconds)
        }
        return total
    }

    private func isStart(_ day: Int64) -> Bool { seconds < 86400 || day.floorRemainder(by: seconds / 86400) == 0 }

    private func localDay(_ utc: Int64, _ zone: Zone) -> Int64 { (utc + Int64(zone.offset(at: utc))).floorDivided(by: 86400) }

    private func anchor(_ day: Int64, _ from: Int, _ zone: Zone) -> Int64 {
        zone.firstInstant(of: CivilTime(localSeconds: day * 86400 + Int64(from)))
    }
}
