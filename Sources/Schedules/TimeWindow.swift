/// A part of the day, such as 08:00-18:00; it may wrap around midnight. The start belongs to it, the end does not.
public struct TimeWindow: Sendable, Hashable {
    /// Seconds after midnight.
    public let start: Int
    /// Seconds after midnight; 86400 when the text said 24:00.
    public let end: Int

    /// Reads `08:00-18:00`.
    ///
    /// - Throws: ``ScheduleError``
    public init(_ text: some StringProtocol) throws(ScheduleError) {
        let parts = Substring(text).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let start = Interval.timeOfDay(parts[0]),
            let end = parts[1] == "24:00" ? 86400 : Interval.timeOfDay(parts[1]), start != end
        else { throw ScheduleError("'\(text)' is not a window of time: write it as 08:00-18:00", length: text.count) }
        self.start = start
        self.end = end
    }

    func contains(_ secondOfDay: Int) -> Bool {
        start < end ? (start..<end).contains(secondOfDay) : secondOfDay >= start || secondOfDay < end
    }

    /// The last instant at or before another at which the window closes.
    func previousEnd(before utc: Int64, zone: Zone) -> Int64 {
        let day = (utc + Int64(zone.offset(at: utc))).floorDivided(by: 86400)
        for step in -1..<4 {
            let closes = zone.firstInstant(of: CivilTime(localSeconds: (day - Int64(step)) * 86400 + Int64(end)))
            if closes <= utc { return closes }
        }
        return utc - 86400
    }

    /// The first instant after another at which the window opens.
    func nextStart(after utc: Int64, zone: Zone) -> Int64 {
        let day = (utc + Int64(zone.offset(at: utc))).floorDivided(by: 86400)
        for step in 0..<4 {
            let opens = zone.firstInstant(of: CivilTime(localSeconds: (day + Int64(step)) * 86400 + Int64(start)))
            if opens > utc { return opens }
        }
        return utc + 86400
    }
}
