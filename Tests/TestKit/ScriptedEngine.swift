public import EngineAPI
public import Schedules
import Synchronization
public import WorkloadModel

/// An engine that does what a test says, and remembers what it was told. Its runs outlive a supervisor, as real ones do.
public final class ScriptedEngine: ContainerEngine {
    /// A call that the engine has had.
    public enum Call: Hashable, Sendable {
        /// One for each method of the same name; a launch has the run's service or job and why it was started.
        case launch(RunID, WorkloadID, Trigger), stop(RunID), settle(RunID)
    }

    private struct State {
        var calls: [Call] = []
        var requests: [RunID: RunRequest] = [:]
        var alive: [RunID: Timestamp] = [:]
        var ended: [RunID: ExitStatus] = [:]
        var starts: [RunID: Int] = [:]
        var failures: [WorkloadName: EngineError] = [:]
        var probes: [WorkloadName: Int] = [:]
        var answers: [WorkloadName: Probe.Result] = [:]
        var sink: AsyncStream<EngineExit>.Continuation?
    }

    /// `scripted`.
    public let name = "scripted"
    /// A new stream for each supervisor: one that is cancelled takes its stream along.
    public var exits: AsyncStream<EngineExit> {
        let (stream, sink) = AsyncStream.makeStream(of: EngineExit.self)
        state.withLock { $0.sink = sink }
        return stream
    }
    private let state = Mutex(State())
    private let now: @Sendable () -> Timestamp

    /// An engine without runs.
    ///
    /// - Parameter now: the civil time that starts and ends are given
    public init(now: @escaping @Sendable () -> Timestamp) {
        self.now = now
    }

    // MARK: What a test asks and says

    /// All launches, stops and settles, in order, also those that failed or changed nothing.
    public var calls: [Call] { state.withLock { $0.calls } }
    /// How often the command of a run was started.
    public var starts: [RunID: Int] { state.withLock { $0.starts } }
    /// The request that a run was last launched by; `nil` when it was not launched.
    public func request(_ run: RunID) -> RunRequest? { state.withLock { $0.requests[run] } }
    /// Runs that live, oldest first.
    public func alive(of name: String) -> [RunID] {
        state.withLock { state in state.alive.keys.filter { state.requests[$0]?.workload.name.description == name }.sorted() }
    }

    /// From now on launches of this workload fail.
    public func fail(_ name: WorkloadName, with error: EngineError?) { state.withLock { $0.failures[name] = error } }

    /// Ends a run.
    public func end(_ run: RunID, _ ending: ExitStatus.Ending, stopRequested: Bool = false) {
        let status = state.withLock { state -> ExitStatus? in
            guard let startedAt = state.alive.removeValue(forKey: run) else { return nil }
            var status = ExitStatus(ending: ending, finishedAt: now())
            status.startedAt = startedAt
            status.stopRequested = stopRequested
            state.ended[run] = status
            return status
        }
        if let status { state.withLock { $0.sink }?.yield(EngineExit(run: run, status: status)) }
    }

    // MARK: ContainerEngine

    /// Does nothing; no container has an image.
    @discardableResult
    public func prepare(_ container: ContainerSpec, pull: PullPolicy, progress: @escaping @Sendable (String) -> Void) async throws(EngineError) -> String? {
        nil
    }
    /// Does nothing.
    public func release(_ images: [String]) {}
    /// Always `nil`.
    public func imageDigest(of container: ContainerSpec, pull: PullPolicy) async throws(EngineError) -> String? { nil }
    /// Always `nil`.
    public func readyImage(of container: ContainerSpec) -> String? { nil }
    /// Does nothing.
    public func removeImages(_ which: ImageRemoval, except containers: @escaping @Sendable () async -> [ContainerSpec]?) async -> [StoredImageStatus] { [] }

    /// Always empty.
    public var notices: [String] { [] }
    /// A stream that ends at once.
    public var frozenRuns: AsyncStream<Set<RunID>> { AsyncStream { $0.finish() } }

    /// Does nothing.
    public func share(_ containers: [ContainerSpec]) async {}

    /// Starts the run at once, unless it was started before.
    ///
    /// - Throws: the error that the test set for this workload (``fail(_:with:)``)
    public func launch(_ run: RunRequest) async throws(EngineError) -> Launched {
        let at = now()
        let failure = state.withLock { state -> EngineError? in
            state.calls.append(.launch(run.id, run.workload, run.trigger))
            state.requests[run.id] = run
            if let failure = state.failures[run.workload.name] { return failure }
            if state.alive[run.id] == nil, state.ended[run.id] == nil {
                state.alive[run.id] = at
                state.starts[run.id, default: 0] += 1
            }
            return nil
        }
        if let failure { throw failure }
        return Launched(at: at, image: nil, health: run.kind == .service ? healthCheck(of: run.container) : nil)
    }

    /// Does nothing.
    public func expectLaunches() async {}

    /// Answers as the test set for this service; without that the service works.
    public func probe(_ run: RunRequest, _ check: HealthCheck) async -> Probe {
        let result = state.withLock { state in
            state.probes[run.workload.name, default: 0] += 1
            return state.answers[run.workload.name] ?? .exited(0)
        }
        return Probe(at: now(), duration: .milliseconds(1), result: result, output: "")
    }

    /// From now on probes of this service come to this.
    public func answer(_ name: WorkloadName, _ result: Probe.Result) { state.withLock { $0.answers[name] = result } }
    /// How often this service was asked.
    public func probes(of name: WorkloadName) -> Int { state.withLock { $0.probes[name] ?? 0 } }

    /// Ends the run at once, by signal 15.
    public func stop(_ run: RunID) async {
        state.withLock { $0.calls.append(.stop(run)) }
        end(run, .signaled(number: 15), stopRequested: true)
    }

    /// Forgets the run's end.
    public func settle(_ run: RunID) async {
        state.withLock { state in
            state.calls.append(.settle(run))
            state.ended[run] = nil
        }
    }

    /// The runs that live, and those whose end is not settled; never throws.
    public func observe() async throws(EngineError) -> [RunID: ObservedRun] {
        state.withLock { state in
            Dictionary(
                uniqueKeysWithValues: state.alive.map { run, at in
                    (run, .alive(startedAt: at, health: state.requests[run].flatMap { healthCheck(of: $0.container) }))
                }
            ).merging(state.ended.mapValues { .exited($0) }) { first, _ in first }
        }
    }

    /// As it was launched, while it lives or its end is not settled.
    public func origin(of run: RunID) async -> Run? {
        state.withLock { $0.alive[run] != nil || $0.ended[run] != nil ? $0.requests[run]?.run : nil }
    }

    /// Always without files.
    public func log(of run: RunID, workload: WorkloadID) async -> RunLog { RunLog(files: [], droppedBytes: 0, droppedLines: 0) }
    /// Does nothing.
    public func forget(_ runs: [(RunID, WorkloadID)]) async {}
}
