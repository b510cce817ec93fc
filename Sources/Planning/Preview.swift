public import Schedules
public import WorkloadModel

/// A coming due time of a job, for people.
public struct Preview: Hashable, Sendable {
    public let job: WorkloadID
    public let due: DueTime
    public let zone: Zone
    /// What a clock change or an exception does to it.
    public let note: String?

    public static func == (left: Preview, right: Preview) -> Bool { left.job == right.job && left.due == right.due }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(job)
        hasher.combine(due)
    }

    /// The next due times of all jobs of some recipes, or of those of one name, by time.
    public static func next(_ recipes: [Recipe], name: String?, from: Timestamp, count: Int) -> [Preview] {
        var found: [Preview] = []
        for recipe in recipes {
            for workload in recipe.workloads where name == nil || workload.id.name.description == name {
                guard let schedule = workload.jobPolicy?.schedule else { continue }
                let zone = schedule.entries[0].zone
                var after = from
                for _ in 0..<count {
                    guard let due = schedule.next(after: after) else { break }
                    found.append(Preview(job: workload.id, due: due, zone: zone, note: note(due, zone, after: workload.jobPolicy?.after ?? [:])))
                    after = due.at
                }
            }
        }
        return Array(found.sorted { ($0.due.at, $0.job) < ($1.due.at, $1.job) }.prefix(count))
    }

    private static func note(_ due: DueTime, _ zone: Zone, after: [WorkloadName: AfterCondition]) -> String? {
        var notes: [String] = []
        let shown = zone.civilTime(at: due.at)
        for time in due.moved {
            let day = time.date == shown.date ? "" : "\(shown.date) "
            notes.append("\(time.shortClock) does not exist on \(time.date): runs at \(day)\(shown.shortClock)")
        }
        if zone.showsAgain(due.at) { notes.append("\(shown.shortClock) comes twice on \(shown.date): this is the first time") }
        if zone.showedBefore(due.at) { notes.append("\(shown.shortClock) comes twice on \(shown.date): this is the second time") }
        if due.excluded { notes.append("excluded: nothing runs") }
        if due.delay > .zero { notes.append("starts \(DurationText.print(due.delay)) later (jitter and spread)") }
        if !after.isEmpty { notes.append("after " + after.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value.rawValue))" }.joined(separator: ", ")) }
        return notes.isEmpty ? nil : notes.joined(separator: "; ")
    }
}
