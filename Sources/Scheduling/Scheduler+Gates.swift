internal import Ledger
internal import Schedules
internal import WorkloadModel

/// What services and jobs depend on: they are started once it is as it must be.
extension Scheduler {
    /// Whether what one depends on is as it must be.
    enum Needs: Equatable {
        case met
        /// It may come; the sentence says what is waited for.
        case coming(String)
        /// It does not come by itself.
        case stuck(String)

        /// What is waited for; `nil` when it is nothing.
        var sentence: String? {
            switch self {
            case .met: nil
            case .coming(let sentence), .stuck(let sentence): sentence
            }
        }
    }

    /// - Parameter toBeUp: whether a service that has ended by itself is to be up again, as for a job
    func needs(of workload: Workload, toBeUp: Bool = false) -> Needs {
        guard !workload.dependsOn.isEmpty else { return .met }
        var coming: String?
        for (name, dependency) in workload.dependsOn.sorted(by: { $0.key < $1.key }) {
            switch need(WorkloadID(project: workload.id.project, name: name), dependency, toBeUp: toBeUp) {
            case .met: continue
            case .coming(let sentence): coming = coming ?? sentence
            case .stuck(let sentence) where dependency.required: return .stuck(sentence)
            case .stuck: continue
            }
        }
        return coming.map { .coming($0) } ?? .met
    }

    private func need(_ id: WorkloadID, _ dependency: Dependency, toBeUp: Bool) -> Needs {
        let name = id.name
        guard let service = services[InstanceID(id)], !service.removing else {
            // While a recipe is taken in, its services come one after another.
            return catalogue[id.project]?[id] == nil ? .stuck("there is no service \(name)") : .coming("\(name) is not started yet")
        }
        let phase = service.record.phase
        if dependency.condition == .completed {
            if service.active == nil, service.record.lastOutcome == .succeeded { return .met }
            if let outcome = service.record.lastOutcome, phase == .exited { return .stuck("\(name) ended as \(outcome.rawValue)") }
        } else if let id = service.active, let run = runs[id], run.startedAt != nil, run.stopReason == nil {
            guard dependency.condition == .healthy else { return .met }
            guard run.health != nil, let health = service.record.health else { return .stuck("\(name) has no health check, so it is never healthy") }
            return health.state == .healthy ? .met : .coming("\(name) is \(health.state == .unhealthy ? "unhealthy" : "not healthy yet")")
        } else if dependency.condition == .started, phase == .exited, !toBeUp {
            // As in Compose: it was started, and that it has ended is its own business.
            return .met
        }
        return switch phase {
        case .stopped: .stuck("\(name) is stopped")
        case .failed: .stuck("\(name) has failed")
        case .exited: .stuck("\(name) has ended")
        case .running where dependency.condition == .completed: .coming("\(name) has not ended yet")
        case .waiting: .coming("\(name) is waiting itself")
        case .backoff: .coming("\(name) failed, and is started again")
        case .stopping: .coming("\(name) is being stopped")
        case .starting, .running: .coming("\(name) is not up yet")
        }
    }

    /// Why a service that is to be on is not started; `nil` of one that nothing holds.
    func waitingReason(_ service: Service) -> String? {
        service.record.phase == .waiting ? needs(of: service.workload).sentence : nil
    }

    /// Services have changed: what waited for that is looked at.
    mutating func settleGates(_ now: Timestamp) {
        guard !holds.contains(.gathering) else { return }
        while let id = moved.popFirst() {
            for dependent in catalogue.dependents[id] ?? [] {
                for instance in instances(of: dependent) where services[instance]?.record.phase == .waiting { evaluateService(instance, now) }
                if jobs[dependent]?.record.pending.contains(where: { $0.needsSince != nil }) == true { evaluateJob(dependent, now) }
            }
        }
    }

    /// Starts the services that one depends on and that are not up, with those that they depend on.
    ///
    /// - Parameter byHand: a person asks, so those too that somebody stopped
    mutating func summon(for workload: Workload, byHand: Bool, _ now: Timestamp) {
        for (name, dependency) in workload.dependsOn.sorted(by: { $0.key < $1.key }) {
            let id = WorkloadID(project: workload.id.project, name: name)
            for instance in instances(of: id) {
                guard let service = services[instance], !service.removing, byHand || service.record.wanted else { continue }
                // Unless it is up, it is to be: but one that has done what was to be done.
                if dependency.condition == .completed, service.record.lastOutcome == .succeeded { continue }
                summon(for: service.workload, byHand: byHand, now)
                guard service.active == nil else {
                    services[instance]?.record.wanted = true
                    wantAgain(instance)
                    continue
                }
                guard service.record.phase.rests else { continue }
                event("started", "started for \(workload.id.name), which depends on it", now, workload: id)
                services[instance]?.record.wanted = true
                services[instance]?.record.failures = 0
                startService(instance, trigger: .start, now)
            }
        }
    }
}
