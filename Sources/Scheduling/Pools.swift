internal import Schedules
internal import WorkloadModel

/// Pools: how many of their places are taken, and who waits for one. First come, first served.
struct Pools: Sendable {
    struct Key: Hashable, Sendable {
        let project: ProjectName
        let name: WorkloadName
    }

    /// A start that waits for nothing but a place.
    private struct Waiter: Hashable, Comparable, Sendable {
        let since: Timestamp
        let job: WorkloadID

        static func < (left: Waiter, right: Waiter) -> Bool { left.since == right.since ? left.job < right.job : left.since < right.since }
    }

    private var taken: [Key: Int] = [:]
    /// In the order in which they began to wait.
    private var waiters: [Key: [Waiter]] = [:]
    /// Whose free places are being offered.
    private var offered: Set<Key> = []
    private var waiting: [WorkloadID: (key: Key, since: Timestamp)] = [:]

    func taken(of key: Key) -> Int { taken[key] ?? 0 }

    mutating func take(_ key: Key) { taken[key, default: 0] += 1 }

    mutating func giveBack(_ key: Key) {
        guard let count = taken[key] else { return }
        taken[key] = count > 1 ? count - 1 : nil
    }

    /// Counts anew, after recipes changed which jobs are of which pool.
    mutating func recount(_ project: ProjectName, _ running: [Key: Int]) {
        for key in taken.keys where key.project == project { taken[key] = nil }
        taken.merge(running) { _, new in new }
    }

    /// Since when a job's start waits for a place; `nil` when none does.
    func waitsSince(_ job: WorkloadID) -> Timestamp? { waiting[job]?.since }

    mutating func wait(_ job: WorkloadID, for key: Key, since: Timestamp) {
        if let known = waiting[job], known == (key, since) { return }
        stopWaiting(job)
        waiting[job] = (key, since)
        let waiter = Waiter(since: since, job: job)
        let list = waiters[key] ?? []
        waiters[key, default: []].insert(waiter, at: Pools.place(of: waiter, in: list))
    }

    mutating func stopWaiting(_ job: WorkloadID) {
        guard let (key, since) = waiting.removeValue(forKey: job) else { return }
        let waiter = Waiter(since: since, job: job)
        guard let list = waiters[key] else { return }
        let place = Pools.place(of: waiter, in: list)
        guard place < list.count, list[place] == waiter else { return }
        if list.count == 1 { waiters[key] = nil } else { waiters[key]?.remove(at: place) }
    }

    /// Whether another job's start has waited longer for a place.
    func isBehindOthers(_ job: WorkloadID, in key: Key, since: Timestamp) -> Bool {
        guard let first = waiters[key]?.first(where: { $0.job != job }) else { return false }
        return first < Waiter(since: since, job: job)
    }

    /// Who waits, the longest first.
    func waiting(for key: Key) -> [WorkloadID] { waiters[key]?.map(\.job) ?? [] }

    /// Begins to offer a pool's free places; false when that is under way.
    mutating func beginOffer(_ key: Key) -> Bool { offered.insert(key).inserted }

    mutating func endOffer(_ key: Key) { offered.remove(key) }

    private static func place(of waiter: Waiter, in list: [Waiter]) -> Int {
        var (low, high) = (0, list.count)
        while low < high {
            let middle = (low + high) / 2
            if list[middle] < waiter { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
