internal import HeapModule
public import Schedules
public import WorkloadModel

/// A coming due time of a job, for people.
public struct Preview: Hashable, Sendable {
    /// The job that is due.
    public let job: WorkloadID
    /// The due time, with its exceptions and its delay.
    public let due: DueTime
    /// The zone of the first entry of the job's schedule.
    public let zone: Zone
    /// What a clock change or an exception does to it.
    public let note: String?

    /// Whether job and due time are the same; zone and note follow from these.
    public static func == (left: Preview, right: Preview) -> Bool { left.job == right.job && left.due == right.due }

    /// Hashes job and due time.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(job)
        hasher.combine(due)
    }

    /// A job's next due time that is not shown yet.
    private struct Candidate: Comparable {
        let job: WorkloadID
        let schedule: Schedule
        let after: [WorkloadName: AfterCondition]
        let due: DueTime
        /// How many of the job's were shown.
        let shown: Int

        static func < (left: Candidate, right: Candidate) -> Bool { (left.due.at, left.job) < (right.due.at, right.job) }
        static func == (left: Candidate, right: Candidate) -> Bool { left.due.at == right.due.at && left.job == right.job }
    }

    /// The next due times of all jobs of some recipes, or of those of one name, by time. No more than these are worked out, and one of each job.
    ///
    /// - Parameters:
    ///   - count: how many in all
    ///   - each: how many of one job; `nil` is any number
    public static func next(_ recipes: [Recipe], name: String?, from: Timestamp, count: Int, each: Int? = nil) -> [Preview] {
        var heap: Heap<Candidate> = []
        for recipe in recipes {
            for workload in recipe.workloads where name == nil || workload.id.name.description == name {
                guard let policy = workload.jobPolicy, let schedule = policy.schedule, let due = schedule.next(after: from) else { continue }
                heap.insert(Candidate(job: workload.id, schedule: schedule, after: policy.after, due: due, shown: 0))
            }
        }
        var found: [Preview] = []
        while found.count < count, let first = heap.popMin() {
            let zone = first.schedule.entries[0].zone
            found.append(Preview(job: first.job, due: first.due, zone: zone, note: note(first.due, zone, after: first.after)))
            guard each.map({ first.shown + 1 < $0 }) ?? true, let due = first.schedule.next(after: first.due.at) else { continue }
            heap.insert(Candidate(job: first.job, schedule: first.schedule, after: first.after, due: due, shown: first.shown + 1))
        }
        return found
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
