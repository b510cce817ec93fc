/// What a clock on the wall shows: a date and a time of day, in no zone.
public struct CivilTime: Hashable, Comparable, Sendable {
    /// Seconds since 1970-01-01T00:00:00 on the wall.
    public let localSeconds: Int64

    /// - Parameter localSeconds: seconds since 1970-01-01T00:00:00 on the wall; negative before that
    public init(localSeconds: Int64) {
        self.localSeconds = localSeconds
    }

    /// The parts must be in range: 0-23, 0-59, 0-59.
    public init(date: CivilDate, hour: Int, minute: Int, second: Int = 0) {
        localSeconds = date.daysSinceEpoch * 86400 + Int64(hour * 3600 + minute * 60 + second)
    }

    /// The day that it lies on.
    public var date: CivilDate { CivilDate(daysSinceEpoch: localSeconds.floorDivided(by: 86400)) }
    /// Seconds since midnight.
    public var secondOfDay: Int { Int(localSeconds.floorRemainder(by: 86400)) }
    /// 0 to 23.
    public var hour: Int { secondOfDay / 3600 }
    /// 0 to 59.
    public var minute: Int { secondOfDay / 60 % 60 }
    /// 0 to 59.
    public var second: Int { secondOfDay % 60 }

    /// Order on the wall; across a change of clocks it is not the order of the instants.
    public static func < (left: CivilTime, right: CivilTime) -> Bool { left.localSeconds < right.localSeconds }
}

extension CivilTime: CustomStringConvertible {
    /// `2026-12-24T18:00:00`.
    public var description: String { "\(date)T\(clock)" }
    /// `18:00:00`.
    public var clock: String { "\(padded(hour, 2)):\(padded(minute, 2)):\(padded(second, 2))" }
    /// `18:00`, with seconds only where there are some.
    public var shortClock: String { second == 0 ? String(clock.prefix(5)) : clock }
}
