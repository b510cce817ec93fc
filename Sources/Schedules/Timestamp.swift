/// An instant of civil time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// The scheduler's pure code works on these, so that it needs no clock, no calendar and no locale.
public struct Timestamp: Hashable, Comparable, Sendable, Codable {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public let milliseconds: Int64

    /// - Parameter milliseconds: since 1970-01-01T00:00:00Z; negative before that
    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    /// - Parameter seconds: since 1970-01-01T00:00:00Z; beyond 64 bits of milliseconds, the nearest instant that can be said
    public init(seconds: Int64) {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        milliseconds = overflow ? (seconds < 0 ? .min : .max) : product
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    public var seconds: Int64 { milliseconds.floorDivided(by: 1000) }

    /// Earlier instants first.
    public static func < (left: Timestamp, right: Timestamp) -> Bool { left.milliseconds < right.milliseconds }

    /// Rounds the duration down to milliseconds. A sum beyond the range is the range's nearest end.
    public static func + (left: Timestamp, right: Duration) -> Timestamp {
        let (sum, overflow) = left.milliseconds.addingReportingOverflow(right.wholeMilliseconds)
        return Timestamp(milliseconds: overflow ? (right < .zero ? .min : .max) : sum)
    }

    /// Rounds the result down to milliseconds. A difference beyond the range is the range's nearest end.
    public static func - (left: Timestamp, right: Duration) -> Timestamp { left + (.zero - right) }

    /// The time from `right` to `left`; negative when `left` is earlier.
    public static func - (left: Timestamp, right: Timestamp) -> Duration {
        let (difference, overflow) = left.milliseconds.subtractingReportingOverflow(right.milliseconds)
        return .milliseconds(overflow ? (left < right ? Int64.min : Int64.max) : difference)
    }
}

extension Duration {
    /// The duration in milliseconds, rounded down, held within what 64 bits can say.
    public var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, overflows) = product.addingReportingOverflow(attoseconds.floorDivided(by: 1_000_000_000_000_000))
        return overflows ? (seconds < 0 ? .min : .max) : sum
    }
}

extension Int64 {
    /// Division that rounds down, also for negative numbers.
    func floorDivided(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }

    /// The remainder that goes with ``floorDivided(by:)``: never negative for a positive divisor.
    func floorRemainder(by divisor: Int64) -> Int64 {
        let remainder = self % divisor
        return remainder < 0 ? remainder + divisor : remainder
    }
}
