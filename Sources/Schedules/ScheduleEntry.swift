/// One schedule of a job, whole: the rule, its zone, and its options.
public struct ScheduleEntry: Sendable, Hashable {
    /// As the recipe wrote it.
    public let text: String
    /// When it is due, before ``except`` and ``between`` are applied.
    public let rule: ScheduleRule
    /// The zone whose wall clock the rule, ``except`` and ``between`` are read by.
    public let zone: Zone
    /// What happens to wall times that a change of clocks skips or repeats.
    public let clockChanges: ClockChangeRule
    /// Each due time starts up to this much later, by a hash of the job's name and the due time.
    public let jitter: Duration
    /// All due times start this much later at most, by a hash of the job's name.
    public let spread: Duration
    /// Days, in the schedule's zone, on which due times are skipped.
    public let except: DateRanges
    /// The window of wall time that due times must lie in, as seconds after midnight; it may wrap around midnight.
    public let between: TimeWindow?
    private let seed: StableHash

    /// - Parameters:
    ///   - text: the schedule as the recipe wrote it
    ///   - seed: what ``jitter`` and ``spread`` hash: the project's and the job's name
    public init(
        text: String, rule: ScheduleRule, zone: Zone, seed: String, clockChanges: ClockChangeRule = .cron, jitter: Duration = .zero,
        spread: Duration = .zero, except: [ClosedRange<CivilDate>] = [], between: TimeWindow? = nil
    ) {
        self.text = text
        self.rule = rule
        self.zone = zone
        self.clockChanges = clockChanges
        self.jitter = jitter
        self.spread = spread
        self.except = DateRanges(except)
        self.between = between
        self.seed = StableHash(seed)
    }

    /// Compares everything but the seed; zones by their names.
    public static func == (left: ScheduleEntry, right: ScheduleEntry) -> Bool {
        left.text == right.text && left.rule == right.rule && left.zone.name == right.zone.name && left.clockChanges == right.clockChanges
            && left.jitter == right.jitter && left.spread == right.spread && left.except == right.except && left.between == right.between
    }

    /// Hashes the text and the zone's name.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(text)
        hasher.combine(zone.name)
    }

    private var pattern: PatternInstants? {
        switch rule {
        case .cron(let cron): PatternInstants(pattern: cron.pattern, zone: zone, rule: clockChanges)
        case .calendar(let calendar): PatternInstants(pattern: calendar.pattern, zone: zone, rule: clockChanges)
        case .every, .at, .instant, .reboot: nil
        }
    }

    /// The first due time after an instant.
    func next(after utc: Int64) -> DueTime? {
        if zone.isUnavailable { return nil }
        var from = utc
        // A window that nothing of the rule lies in ends the search; ten years of daily due times are looked at.
        for _ in 0..<4000 {
            guard let (instant, moved) = nextInstant(after: from) else { return nil }
            if let between {
                let local = CivilTime(localSeconds: instant + Int64(zone.offset(at: instant)))
                if !between.contains(local.secondOfDay) {
                    from = max(instant, between.nextStart(after: instant, zone: zone) - 1)
                    continue
                }
            }
            return dueTime(instant, moved: moved)
        }
        return nil
    }

    private func nextInstant(after utc: Int64) -> (Int64, [CivilTime])? {
        switch rule {
        case .cron, .calendar: pattern?.next(after: utc).map { ($0.instant, $0.moved) }
        case .every(let interval): (interval.next(after: utc, zone: zone), [])
        case .at(let time): single(time).flatMap { $0.0 > utc ? $0 : nil }
        case .instant(let instant): instant.seconds > utc ? (instant.seconds, []) : nil
        case .reboot: nil
        }
    }

    private func single(_ time: CivilTime) -> (Int64, [CivilTime])? {
        switch zone.resolve(local: time.localSeconds) {
        case .unique(let instant), .repeated(let instant, _): (instant, [])
        case .skipped(let firstAfter): clockChanges == .skip ? nil : (firstAfter, [time])
        }
    }

    /// The last due time before an instant.
    func previous(before utc: Int64) -> DueTime? {
        if zone.isUnavailable { return nil }
        var from = utc
        for _ in 0..<4000 {
            let found: Int64? =
                switch rule {
                case .cron, .calendar: pattern?.previous(before: from)
                case .every(let interval): interval.previous(before: from, zone: zone)
                case .at(let time): single(time).flatMap { $0.0 < from ? $0.0 : nil }
                case .instant(let instant): instant.seconds < from ? instant.seconds : nil
                case .reboot: nil
                }
            guard let found else { return nil }
            if let between, !between.contains(CivilTime(localSeconds: found + Int64(zone.offset(at: found))).secondOfDay) {
                from = min(found, between.previousEnd(before: found, zone: zone))
                continue
            }
            return dueTime(found, moved: [])
        }
        return nil
    }

    /// How many due times lie in `(after, through]`; exact, and without listing them unless there is a window.
    func count(after: Int64, through: Int64) -> Int64 {
        guard after < through, !zone.isUnavailable else { return 0 }
        if between != nil {
            var total: Int64 = 0
            var from = after
            while let due = next(after: from), due.at.seconds <= through {
                total += 1
                from = due.at.seconds
            }
            return total
        }
        switch rule {
        case .cron, .calendar: return pattern?.count(after: after, through: through) ?? 0
        case .every(let interval): return interval.count(after: after, through: through, zone: zone)
        case .at, .instant, .reboot: return next(after: after).map { $0.at.seconds <= through ? 1 : 0 } ?? 0
        }
    }

    private func dueTime(_ instant: Int64, moved: [CivilTime]) -> DueTime {
        let day = CivilTime(localSeconds: instant + Int64(zone.offset(at: instant))).date
        return DueTime(
            at: Timestamp(seconds: instant), moved: moved, excluded: except.contains(day), delay: delay(of: instant))
    }

    private func delay(of instant: Int64) -> Duration {
        var milliseconds: Int64 = 0
        if spread > .zero { milliseconds += Int64(seed.value % UInt64(spread.wholeMilliseconds)) }
        if jitter > .zero {
            var hash = seed
            hash.combine(instant)
            milliseconds += Int64(hash.value % UInt64(jitter.wholeMilliseconds))
        }
        return .milliseconds(milliseconds)
    }
}
