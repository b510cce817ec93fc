import ControlAPI
import FoundationEssentials
import Synchronization

/// Waits until the services of a project are as they are to be.
enum Readiness {
    /// How a service stands, seen by somebody who waits for it.
    private enum Stand {
        case ready
        case coming
        case failed(String)
    }

    private static func stand(_ workload: WorkloadInfo) -> Stand {
        let name = "\(workload.project)/\(workload.name)"
        switch (workload.state, workload.health) {
        case ("running", nil), ("running", "healthy"): return .ready
        case ("running", "unhealthy"): return .failed("\(name) is unhealthy")
        case ("exited", _):
            let outcome = workload.lastOutcome ?? "lost"
            return outcome == "succeeded" ? .ready : .failed("\(name) ended as \(outcome)")
        case ("failed", _): return .failed("\(name) has failed")
        default: return .coming
        }
    }

    /// Returns once every service of the project runs, is healthy where it is asked, or has ended well.
    ///
    /// - Throws: ``CommandFailure`` when one of them has failed, or the time is over
    static func wait(for project: String, limit: Duration?, _ client: ControlClient) async throws {
        let start = ContinuousClock.now
        let (wakes, sink) = AsyncThrowingStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let feed = Task {
            do {
                try await client.changes([("project", project)]) { _ in
                    sink.yield()
                } beginning: {
                    sink.yield()
                }
            } catch {
                sink.finish(throwing: error)
            }
        }
        // What is waited for may change without a change of its own, such as the end of the time.
        let clock = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1))
                sink.yield()
            }
        }
        defer {
            feed.cancel()
            clock.cancel()
        }
        for try await _ in wakes {
            let status: StatusInfo = try await client.get(ControlPaths.status)
            let services = status.workloads.filter { $0.project == project && $0.kind == "service" }
            var coming: [String] = []
            for service in services {
                switch stand(service) {
                case .ready: continue
                case .failed(let sentence): throw CommandFailure(description: "\(sentence): see 'berth inspect \(service.project)/\(service.name)'")
                case .coming: coming.append("\(service.name) is \(Show.state(service))")
                }
            }
            if coming.isEmpty { return }
            if let limit, .now - start > limit { throw CommandFailure(description: "not all of \(project) is up in time: \(coming.joined(separator: ", "))") }
        }
    }
}
