internal import Ledger
public import Scheduling
internal import Schedules
public import WorkloadModel

// From what is decided and foreseen to what travels.

extension WorkloadInfo {
    /// The status as it travels: names and words as strings, times in RFC 3339.
    public init(_ status: WorkloadStatus) {
        self.init(
            project: status.id.project.description, name: status.id.name.description, slot: status.slot, kind: status.kind.rawValue, state: status.state,
            health: status.health?.rawValue, waitsFor: status.waitsFor, since: status.since?.description, restarts: status.restarts,
            nextAt: status.nextAt?.description, runs: status.runs.map(\.description),
            lastOutcome: status.lastOutcome?.rawValue, streak: status.streak, policy: status.policy)
    }
}

extension NextInfo {
    /// The due time as it travels: in UTC, and on the clock of its zone with the offset.
    public init(_ preview: Preview) {
        self.init(
            job: preview.job.description, due_at: preview.due.at.description, local: preview.due.at.description(in: preview.zone),
            zone: preview.zone.name, note: preview.note)
    }
}

extension MonthInfo {
    /// The counts as they travel.
    public init(_ preview: MonthPreview) {
        self.init(job: preview.job.description, zone: preview.zone.name, due: preview.due, excluded: preview.excluded)
    }
}

extension PlanInfo {
    /// The plan as it travels.
    ///
    /// - Parameter project: the project of the recipe that the plan is of
    public init(_ plan: RecipePlan, project: ProjectName) {
        self.init(
            project: project.description,
            steps: plan.steps.map { step in
                Step(
                    name: step.id.name.description, kind: step.kind.rawValue, action: step.action.rawValue, reasons: step.reasons,
                    nextBefore: step.nextBefore?.description, nextAfter: step.nextAfter?.description)
            }, notes: plan.notes)
    }
}
