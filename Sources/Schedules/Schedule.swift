/// When a job is due: one or more entries, taken together. Two entries due in the same second are one due time.
public struct Schedule: Sendable, Hashable {
    /// In the recipe's order.
    public let entries: [ScheduleEntry]

    /// Without entries it is never due.
    public init(_ entries: [ScheduleEntry]) {
        self.entries = entries
    }

    /// Whether an entry asks for a run at the first start after a boot.
    public var runsAtBoot: Bool { entries.contains { $0.rule == .reboot } }

    /// A zone of it that is not to be found: then nothing of it is due.
    public var unavailableZone: String? { entries.first { $0.zone.isUnavailable }?.zone.name }

    /// The first due time after an instant; `nil` when there is none any more.
    public func next(after: Timestamp) -> DueTime? {
        if entries.count == 1 { return entries[0].next(after: after.seconds) }
        if unavailableZone != nil { return nil }
        var best: DueTime?
        for entry in entries {
            guard let due = entry.next(after: after.seconds) else { continue }
            if let current = best, current.at <= due.at {
                if current.at == due.at { best = Schedule.joined(current, due) }
            } else {
                best = due
            }
        }
        return best
    }

    /// The last due time before an instant.
    public func previous(before: Timestamp) -> DueTime? {
        if unavailableZone != nil { return nil }
        // Due times are whole seconds, so one in the running second lies before a later instant of that second.
        let bound = before.milliseconds.floorRemainder(by: 1000) > 0 ? before.seconds + 1 : before.seconds
        let found = entries.compactMap { $0.previous(before: bound) }
        guard let last = found.map(\.at).max() else { return nil }
        let same = found.filter { $0.at == last }
        return same.dropFirst().reduce(same[0], Schedule.joined)
    }

    /// How many due times lie in `(after, through]`. Exact for one entry; for several, exact up to 100,000 and beyond
    /// that the sum of the entries', which counts a second twice that two of them name.
    public func count(after: Timestamp, through: Timestamp) -> Int64 {
        if unavailableZone != nil { return 0 }
        let sum = entries.reduce(0) { $0 + $1.count(after: after.seconds, through: through.seconds) }
        guard entries.count > 1, sum <= 100_000 else { return sum }
        var total: Int64 = 0
        var from = after
        while let due = next(after: from), due.at <= through {
            total += 1
            from = due.at
        }
        return total
    }

    /// A day that one entry excludes still counts for the other.
    private static func joined(_ left: DueTime, _ right: DueTime) -> DueTime {
        DueTime(
            at: left.at, moved: left.moved + right.moved, excluded: left.excluded && right.excluded, delay: min(left.delay, right.delay))
    }
}
