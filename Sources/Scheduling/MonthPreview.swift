public import Schedules
public import WorkloadModel

/// A job's due times of one month, counted day by day in its schedule's zone.
public struct MonthPreview: Hashable, Sendable {
    /// The job whose due times are counted.
    public let job: WorkloadID
    /// The zone whose days are counted: that of the schedule's first entry.
    public let zone: Zone
    /// Due times of each day, from the month's first.
    public let due: [Int64]
    /// Of those, how many the schedule excludes.
    public let excluded: [Int64]

    /// Zones are compared by name.
    public static func == (left: MonthPreview, right: MonthPreview) -> Bool {
        left.job == right.job && left.zone.name == right.zone.name && left.due == right.due && left.excluded == right.excluded
    }

    /// Hashes the job and the counts of due times.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(job)
        hasher.combine(due)
    }

    /// The jobs that are due at all in a month, ascending by name.
    public static func of(_ recipes: [Recipe], name: String?, _ month: Month) -> [MonthPreview] {
        let jobs = recipes.flatMap(\.workloads).filter { name == nil || $0.id.name.description == name }
        return jobs.sorted { $0.id < $1.id }.compactMap { job in
            guard let schedule = job.jobPolicy?.schedule else { return nil }
            let preview = MonthPreview(job.id, schedule, month)
            return preview.due.contains { $0 > 0 } ? preview : nil
        }
    }

    private init(_ job: WorkloadID, _ schedule: Schedule, _ month: Month) {
        let zone = schedule.entries[0].zone
        let starts = (1...(month.days + 1)).map { zone.firstInstant(of: CivilTime(date: month.date($0), hour: 0, minute: 0)) }
        var due: [Int64] = []
        var excluded: [Int64] = []
        let mayExclude = schedule.entries.contains { !$0.except.isEmpty }
        for (from, to) in zip(starts, starts.dropFirst()) {
            due.append(schedule.count(after: Timestamp(seconds: from - 1), through: Timestamp(seconds: to - 1)))
            excluded.append(mayExclude ? MonthPreview.excluded(schedule, from, to) : 0)
        }
        (self.job, self.zone, self.due, self.excluded) = (job, zone, due, excluded)
    }

    private static func excluded(_ schedule: Schedule, _ from: Int64, _ to: Int64) -> Int64 {
        var count: Int64 = 0
        var after = Timestamp(seconds: from - 1)
        while let next = schedule.next(after: after), next.at.seconds < to {
            if next.excluded { count += 1 }
            after = next.at
        }
        return count
    }
}
