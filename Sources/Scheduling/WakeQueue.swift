internal import HeapModule
internal import Schedules
internal import WorkloadModel

/// What is to be looked at, and when. Each thing has at most one time: a later one takes an earlier one's place.
struct WakeQueue: Sendable {
    enum Subject: Hashable, Comparable, Sendable {
        case job(WorkloadID)
        case service(InstanceID)
        /// The next probe of a service.
        case probe(InstanceID)
    }

    private struct Wake: Comparable, Sendable {
        let at: Timestamp
        let subject: Subject

        static func < (left: Wake, right: Wake) -> Bool { left.at == right.at ? left.subject < right.subject : left.at < right.at }
    }

    private var times: [Subject: Timestamp] = [:]
    /// Holds all of `times`, and what they took the place of: that is passed over when it comes up.
    private var heap = Heap<Wake>()

    /// When something is to be looked at next.
    var next: Timestamp? { heap.min?.at }

    /// When a thing is to be looked at; `nil` when nobody asked.
    subscript(subject: Subject) -> Timestamp? { times[subject] }

    mutating func set(_ subject: Subject, at time: Timestamp?) {
        guard times[subject] != time else { return }
        times[subject] = time
        if let time { heap.insert(Wake(at: time, subject: subject)) }
        tidy()
    }

    /// The next thing whose time has come; it has none after that.
    mutating func takeDue(_ now: Timestamp) -> Subject? {
        guard let first = heap.min, first.at <= now else { return nil }
        heap.removeMin()
        times[first.subject] = nil
        tidy()
        return first.subject
    }

    /// Keeps what is over from being the next, and from outnumbering what is not.
    private mutating func tidy() {
        while let first = heap.min, times[first.subject] != first.at { heap.removeMin() }
        if heap.count > 2 * times.count + 64 { heap = Heap(times.map { Wake(at: $0.value, subject: $0.key) }) }
    }
}
