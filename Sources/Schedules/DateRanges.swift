/// A set of days, such as public holidays.
public struct DateRanges: Sendable, Hashable {
    /// Ascending, and none touches another.
    public let ranges: [ClosedRange<CivilDate>]

    /// Takes ranges in any order, and joins those that overlap or touch.
    public init(_ ranges: [ClosedRange<CivilDate>]) {
        var joined: [ClosedRange<CivilDate>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = joined.last, range.lowerBound.daysSinceEpoch <= last.upperBound.daysSinceEpoch + 1 {
                joined[joined.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                joined.append(range)
            }
        }
        self.ranges = joined
    }

    /// Whether the set has no day.
    public var isEmpty: Bool { ranges.isEmpty }

    /// Whether the day is in one of the ranges. Binary search.
    public func contains(_ date: CivilDate) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < date { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(date)
    }
}
