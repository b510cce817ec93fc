internal import Schedules
public import WorkloadModel

/// That something in the history is no longer as it was: an entry of the change feed, and a message of the control socket.
///
/// It names the thing and its new state. The rest is asked for by who needs it, one thing at a time.
public struct Change: Codable, Hashable, Sendable {
    /// What kind of thing changed; the name of the server-sent event.
    public enum Subject: String, Codable, Hashable, Sendable, CaseIterable {
        /// A run began, was told to stop, or ended.
        case run
        /// A due time has its result.
        case due
        /// A service or job is in another state, or gone.
        case workload
        /// A recipe came, changed or went.
        case recipe
        /// Something happened that a person may ask about later.
        case event
    }

    /// What kind of thing changed.
    public var subject: Subject
    /// Whose it is; `nil` for what belongs to no project.
    public var project: String?
    /// The service or job; `nil` for what concerns a whole project, or none.
    public var name: String?
    /// Which of a service's copies.
    public var slot: Int?
    /// The run that it is, or is about.
    public var run_id: String?
    /// Of a run: `starting`, `running`, `stopping`, or its outcome. Of a service its phase, of a job `scheduled` or `paused`, of
    /// what is no longer kept `gone`. Of a due time its result, or `caught-up` once a run makes up for it. Of a recipe `applied` or `removed`.
    public var state: String?
    /// Of a due time.
    public var due_at: String?
    /// Of an event, all of it.
    public var event: EventInfo?

    private init(_ subject: Subject, _ workload: WorkloadID?, slot: Int? = nil, run: RunID? = nil, state: String? = nil) {
        self.subject = subject
        project = workload?.project.description
        name = workload?.name.description
        self.slot = slot
        run_id = run?.description
        self.state = state
    }

    /// What a write changes for those who look.
    ///
    /// - Parameter owner: whose a run is
    /// - Returns: `nil` for what nobody sees
    public init?(_ write: Write, owner: (RunID) -> InstanceID?) {
        func run(_ id: RunID, _ state: String) -> Change {
            let instance = owner(id)
            return Change(.run, instance?.workload, slot: instance?.slot, run: id, state: state)
        }
        switch write {
        case .openRun(let opened): self = Change(.run, opened.workload, slot: opened.instance.slot, run: opened.id, state: RunState.starting.rawValue)
        case .runStarted(let id, _, _): self = run(id, RunState.running.rawValue)
        case .stopRequested(let id, _, _, _): self = run(id, "stopping")
        case .closeRun(let id, let outcome, _, _): self = run(id, outcome.rawValue)
        case .due(let record):
            self = Change(.due, record.workload, run: record.runID, state: record.result.rawValue)
            due_at = record.dueAt.description
        case .dueCaughtUp(let workload, let dueAt, let id):
            self = Change(.due, workload, run: id, state: "caught-up")
            due_at = dueAt.description
        case .service(let record): self = Change(.workload, record.id.workload, slot: record.id.slot, run: record.runID, state: record.phase.name)
        case .job(let record): self = Change(.workload, record.id, state: record.paused ? "paused" : "scheduled")
        case .removeService(let id): self = Change(.workload, id.workload, slot: id.slot, state: "gone")
        case .removeJob(let id): self = Change(.workload, id, state: "gone")
        case .event(let record):
            self.init(.event, nil)
            let info = EventInfo(record)
            (project, name, run_id, event) = (info.project, info.name, info.run_id, info)
        case .probe(let id, let run, let probe):
            self = Change(.workload, id.workload, slot: id.slot, run: run, state: probe.isSuccess ? "probe succeeded" : "probe failed")
        case .boot, .era, .copyTakenUp: return nil
        }
    }

    /// That a recipe came or changed, or went.
    public static func recipe(_ project: ProjectName, isRemoved: Bool) -> Change {
        var change = Change(.recipe, nil, state: isRemoved ? "removed" : "applied")
        change.project = project.description
        return change
    }
}
