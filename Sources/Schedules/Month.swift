/// A month of the calendar.
public struct Month: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// 0 to 9999 when read from text.
    public let year: Int
    /// From 1.
    public let number: Int

    /// Reads `2026-12`; `nil` when it is no month.
    public init?(_ text: String) {
        guard text.utf8.count == 7, let first = CivilDate(text + "-01") else { return nil }
        self.init(of: first)
    }

    /// The month that a day lies in.
    public init(of date: CivilDate) {
        year = date.year
        number = date.month
    }

    /// How many days it has, 28 to 31.
    public var days: Int { CivilDate.length(ofMonth: number, year: year) }

    /// The day, or a later month's where there are fewer.
    public func date(_ day: Int) -> CivilDate { CivilDate(daysSinceEpoch: CivilDate.daysSinceEpoch(year: year, month: number, day: 1) + Int64(day - 1)) }

    /// `2026-12`.
    public var description: String { String(date(1).description.prefix(7)) }

    /// Earlier months first.
    public static func < (left: Month, right: Month) -> Bool { (left.year, left.number) < (right.year, right.number) }
}
