import Ledger
import EngineAPI
@testable import Scheduling
import Schedules
import WorkloadModel

/// What a scheduler holds that must not be lost with it, made comparable.
struct Essence: Equatable, CustomStringConvertible {
    struct Service: Equatable {
        let record: ServiceRecord
        let active: RunID?
        let removing: Bool
    }

    struct Job: Equatable {
        let record: JobRecord
        let active: Set<RunID>
        let removing: Bool
    }

    let services: [InstanceID: Service]
    let jobs: [WorkloadID: Job]
    let runs: [RunID: Run]
    let followers: [WorkloadID: [WorkloadID]]
    let waitingForPlace: [WorkloadID: Timestamp]
    let takenPlaces: [WorkloadID: Int]
    let unreadable: Set<ProjectName>
    let era: Int
    let restedServices: [InstanceID: ServiceRecord]
    let restedJobs: [WorkloadID: JobRecord]

    init(_ scheduler: Scheduler) {
        services = scheduler.services.table.mapValues { Service(record: $0.record, active: $0.active, removing: $0.removing) }
        jobs = scheduler.jobs.table.mapValues { Job(record: $0.record, active: Set($0.active), removing: $0.removing) }
        runs = scheduler.runs.mapValues(\.run)
        followers = scheduler.catalogue.followers
        let keys = scheduler.jobs.keys
        // One that waits for other runs too now is passed over when a place is free.
        waitingForPlace = Dictionary(
            uniqueKeysWithValues: keys.compactMap { id in
                guard let since = scheduler.pools.waitsSince(id), let job = scheduler.jobs[id] else { return nil }
                return job.record.pending.contains { $0.notBefore == since && scheduler.isTurn(of: $0, job) } ? (id, since) : nil
            })
        takenPlaces = scheduler.jobs.table.filter { !$0.value.removing }.compactMapValues { job in
            scheduler.pool(of: job).map { scheduler.pools.taken(of: $0.key) }
        }
        unreadable = scheduler.catalogue.unreadable
        era = scheduler.era
        restedServices = scheduler.catalogue.restedServices
        restedJobs = scheduler.catalogue.restedJobs
    }

    /// The parts that differ, as text.
    func differences(from other: Essence) -> [String] {
        var found: [String] = []
        func compare<Key: Hashable & CustomStringConvertible, Value: Equatable>(_ what: String, _ left: [Key: Value], _ right: [Key: Value]) {
            for key in Set(left.keys).union(right.keys) where left[key] != right[key] {
                found.append("\(what) \(key): \(left[key].map { "\($0)" } ?? "none") and \(right[key].map { "\($0)" } ?? "none")")
            }
        }
        compare("service", services, other.services)
        compare("job", jobs, other.jobs)
        compare("run", runs, other.runs)
        compare("followers of", followers, other.followers)
        compare("taken places of the pool of", takenPlaces, other.takenPlaces)
        compare("waiting for a place", waitingForPlace, other.waitingForPlace)
        compare("rested service", restedServices, other.restedServices)
        compare("rested job", restedJobs, other.restedJobs)
        if era != other.era { found.append("era: \(era) and \(other.era)") }
        if unreadable != other.unreadable { found.append("unreadable: \(unreadable) and \(other.unreadable)") }
        return found
    }

    var description: String { "\(jobs.count) jobs, \(services.count) services, \(runs.count) runs" }
}

extension World {
    /// How the scheduler that a restart would make now differs from the one that lives; none where nothing would be lost.
    func lostByRestart() -> [String] {
        var rebuilt = Scheduler(bootID: bootID, seed: seed &* 31)
        let decision = rebuilt.restore(stored, observed: observed(), at: moment)
        var found = Essence(scheduler).differences(from: Essence(rebuilt))
        for write in decision.writes { if case .event = write {} else { found.append("a restart writes \(write)") } }
        // Both are to be woken for the same, the living one perhaps before. A daemon that starts asks services at once.
        var living = scheduler
        for id in living.services.keys {
            living.wakes.set(.probe(id), at: nil)
            rebuilt.wakes.set(.probe(id), at: nil)
        }
        if let next = rebuilt.nextWake, living.nextWake.map({ $0 > next }) ?? true {
            found.append("the next wake is \(living.nextWake.map(\.description) ?? "none"), and \(next) after a restart")
        }
        return found
    }

    /// A service that is wanted is up, or has a next time, or has a reason; a run that is to end ends.
    func restless() -> [String] {
        var found: [String] = []
        for (id, service) in scheduler.services.table where service.active == nil && !service.removing && service.record.wanted {
            switch service.record.phase {
            case .backoff(let next):
                if scheduler.nextWake.map({ $0 <= max(next, now) }) != true { found.append("\(id) waits for a start that never comes") }
            case .exited, .failed:
                // One that was to give way to another did not end by itself: the other one was to follow.
                // Nor does one that was unhealthy, but there it was to.
                if let last = service.record.runID.flatMap({ runs[$0] }), last.open.stopReason?.hasPrefix("it was unhealthy") == false {
                    found.append("\(id) is wanted, its last run was told to end (\(last.open.stopReason ?? "")), and no other followed")
                }
            case .starting, .running, .stopping:
                // A job had its name, and its last run is ending.
                if scheduler.jobs[id.workload]?.active.isEmpty ?? true { found.append("\(id) is wanted, is \(service.record.phase), and does not run") }
            case .waiting:
                if scheduler.needs(of: service.workload) == .met, scheduler.holds.isEmpty { found.append("\(id) waits for what is there") }
            case .stopped: found.append("\(id) is wanted and stopped")
            }
        }
        for (id, run) in scheduler.runs where run.stopReason != nil {
            guard let container = containers[id] else { continue }
            if container.endsAt ?? now + .seconds(1_000_000_000) > now + stopTakes { found.append("\(id) is to end and goes on") }
        }
        return found
    }
}

extension Kept {
    fileprivate var table: [Value.ID: Value] { keys.reduce(into: [:]) { $0[$1] = self[$1] } }
}
