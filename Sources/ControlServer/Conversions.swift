internal import ControlAPI
internal import HistoryStore
internal import Scheduling
internal import Schedules
internal import WorkloadModel

// From what modules think in to what travels.

extension WorkloadInfo {
    init(_ status: WorkloadStatus) {
        self.init(
            project: status.id.project.description, name: status.id.name.description, kind: status.kind.rawValue, state: status.state,
            since: status.since?.description, restarts: status.restarts, nextAt: status.nextAt?.description, runs: status.runs.map(\.description),
            lastOutcome: status.lastOutcome?.rawValue, streak: status.streak, policy: status.policy)
    }
}

extension RunInfo {
    init(_ row: RunRow) {
        var duration: Int64?
        if let started = row.startedAt, let finished = row.finishedAt { duration = (finished - started).wholeMilliseconds }
        self.init(
            run_id: row.id, project: row.project, name: row.name, kind: row.kind, trigger: row.trigger, attempt: row.attempt,
            due_at: row.dueAt?.description, started_at: row.startedAt?.description, finished_at: row.finishedAt?.description,
            duration_ms: duration, state: row.state, outcome: row.outcome, exit_code: row.exitCode, signal: row.signal,
            oom_killed: row.oomKilled, reason: row.reason, cpu_ms: row.cpuMicroseconds.map { $0 / 1000 },
            memory_peak_bytes: row.memoryPeakBytes, io_read_bytes: row.ioReadBytes, io_write_bytes: row.ioWriteBytes, log_bytes: row.logBytes,
            log_dropped_bytes: row.logDroppedBytes, image: row.image, recipe_digest: row.recipeDigest, engine: row.engine, caused_by: row.causedBy,
            changes: row.changes)
    }
}

extension DueInfo {
    init(_ row: DueRow) {
        self.init(
            project: row.project, name: row.name, due_at: row.dueAt.description, first_due_at: row.firstDueAt.description, result: row.result,
            reason: row.reason, count: row.count, run_id: row.runID, note: row.note)
    }
}

extension EventInfo {
    init(_ row: EventRow) {
        self.init(at: row.at.description, project: row.project, name: row.name, run_id: row.runID, kind: row.kind, actor: row.actor, text: row.text)
    }
}

extension NextInfo {
    init(_ preview: Preview) {
        self.init(
            job: preview.job.description, due_at: preview.due.at.description, local: preview.due.at.description(in: preview.zone),
            zone: preview.zone.name, note: preview.note)
    }
}

extension MonthInfo {
    init(_ preview: MonthPreview) {
        self.init(job: preview.job.description, zone: preview.zone.name, due: preview.due, excluded: preview.excluded)
    }
}

extension PlanInfo {
    init(_ plan: RecipePlan, project: ProjectName) {
        self.init(
            project: project.description,
            steps: plan.steps.map { step in
                Step(
                    name: step.id.name.description, kind: step.kind.rawValue, action: step.action.rawValue, reasons: step.reasons,
                    nextBefore: step.nextBefore?.description, nextAfter: step.nextAfter?.description)
            }, notes: plan.notes)
    }
}
