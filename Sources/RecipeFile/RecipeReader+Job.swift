internal import Schedules
internal import WorkloadModel

/// What only jobs, and only services, have.
extension RecipeReader {
    enum RetryKey: String, CaseIterable { case max, backoff, factor, maxBackoff = "max_backoff", jitter }
    enum KeepKey: String, CaseIterable { case runs, days, log }
    enum MissedKey: String, CaseIterable { case policy, window, max }
    enum ScheduleKey: String, CaseIterable { case cron, every, at, calendar, timezone, jitter, spread, except, between, dst }

    mutating func servicePolicy(_ keys: [String: YAMLNode.Entry]) -> ServicePolicy {
        let deployed = deployedPolicy(keys)
        guard let node = keys[ServiceKey.restart.rawValue]?.value else { return deployed }
        // YAML readers of old take `no` for false; the text is what was written.
        if node.isNull { return deployed }
        guard let text = text(node), !text.isEmpty else { return deployed }
        if let policy = RestartPolicy(text) { return ServicePolicy(restart: policy) }
        let names = ["no", "always", "on-failure", "unless-stopped"]
        let hint = Suggestion.nearest(to: text, among: names).map { "did you mean '\($0)'?" } ?? "use no, on-failure, on-failure:5, always or unless-stopped"
        error("'\(text)' is not a restart policy; \(hint)", node.place)
        return ServicePolicy()
    }

    /// `deploy.restart_policy`, which counts where there is no `restart`, as in Compose.
    private mutating func deployedPolicy(_ keys: [String: YAMLNode.Entry]) -> ServicePolicy {
        guard let node = deployedPolicyNode(keys) else { return ServicePolicy() }
        let keys = mapping(node, "'restart_policy'", keys: RestartPolicyKey.self)
        var limit: Int?
        if let node = keys[.maxAttempts], !node.isNull, let count = integer(node, 0...1_000_000, "'max_attempts'"), count > 0 { limit = Int(count) }
        for key in [RestartPolicyKey.delay, .window] {
            guard let node = keys[key], !node.isNull, duration(node) != nil else { continue }
            warning(
                "'\(key.rawValue)' has no effect: the pause before a restart is 1 s at first, doubles up to 5 min, and is 1 s again after 10 min up", node.place
            )
        }
        guard let node = keys[.condition], !node.isNull, let text = text(node) else { return ServicePolicy(restart: .always) }
        switch text {
        case "none", "no": return ServicePolicy(restart: .no)
        case "on-failure": return ServicePolicy(restart: .onFailure(limit: limit))
        case "any", "always": return ServicePolicy(restart: .always)
        case "unless-stopped": return ServicePolicy(restart: .unlessStopped)
        default:
            error("'\(text)' is not a condition of 'restart_policy': use none, on-failure or any", node.place)
            return ServicePolicy()
        }
    }

    private func deployedPolicyNode(_ keys: [String: YAMLNode.Entry]) -> YAMLNode? {
        guard case .mapping(let entries)? = keys[ContainerKey.deploy.rawValue]?.value.content else { return nil }
        return entries.first { $0.key == DeployKey.restartPolicy.rawValue }.map(\.value).flatMap { $0.isNull ? nil : $0 }
    }

    mutating func jobPolicy(_ keys: [String: YAMLNode.Entry], _ name: WorkloadName) -> JobPolicy {
        func node(_ key: JobKey) -> YAMLNode? { keys[key.rawValue].map(\.value) }
        var policy = JobPolicy()
        if let node = deployedPolicyNode(keys) { error("'restart_policy' is for services: a job has 'retries'", node.place) }
        if let node = node(.schedule) { policy.schedule = schedule(node, seed: "\(projectText)/\(name)") }
        if let node = node(.overlap), let overlap = choice(node, "'overlap'", OverlapPolicy.self) { policy.overlap = overlap }
        if let node = node(.timeout) { policy.timeout = positive(node, "'timeout'") }
        if let node = node(.deadline) { policy.deadline = positive(node, "'deadline'") }
        if let node = node(.retries) { policy.retries = retries(node) }
        if let node = node(.missed) { policy.missed = missed(node) }
        if let node = node(.onLost), let onLost = choice(node, "'on_lost'", LostPolicy.self) { policy.onLost = onLost }
        if let node = node(.successCodes) {
            let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
            let codes = items.compactMap { integer($0, 0...255, "a success code").map { Int32($0) } }
            if items.isEmpty { error("'success_codes' is empty: no run could ever succeed", node.place) }
            policy.successCodes = Set(codes)
        }
        if let node = node(.pool) { policy.pool = pool(node) }
        if let node = node(.after) { policy.after = after(node, of: name) }
        if let node = node(.keep) { policy.keep = keep(node) }
        return policy
    }

    private mutating func positive(_ node: YAMLNode, _ what: String) -> Duration? {
        guard let duration = duration(node) else { return nil }
        if duration <= .zero {
            error("\(what) must be more than nothing", node.place)
            return nil
        }
        return duration
    }

    private mutating func retries(_ node: YAMLNode) -> RetryPolicy {
        var policy = RetryPolicy()
        guard case .mapping = node.content else {
            policy.limit = integer(node, 0...1000, "'retries'").map { Int($0) } ?? 0
            return policy
        }
        let keys = mapping(node, "'retries'", keys: RetryKey.self)
        if let node = keys[.max] {
            policy.limit = integer(node, 0...1000, "'max'").map { Int($0) } ?? 0
        } else {
            error("'retries' needs 'max': how often a failed run is tried again", node.place)
        }
        if let node = keys[.backoff], let backoff = duration(node) { policy.backoff = backoff }
        if let node = keys[.maxBackoff], let most = duration(node) { policy.maximumBackoff = most }
        if let node = keys[.jitter], let jitter = duration(node) { policy.jitter = jitter }
        if let node = keys[.factor], let factor = number(node, "'factor'", above: 0) {
            if factor < 1 { error("'factor' must be at least 1", node.place) }
            policy.factor = factor
        }
        return policy
    }

    private mutating func missed(_ node: YAMLNode) -> MissedPolicy {
        guard case .mapping = node.content else { return MissedPolicy(kind: choice(node, "'missed'", MissedPolicy.Kind.self) ?? .last) }
        let keys = mapping(node, "'missed'", keys: MissedKey.self)
        var policy = MissedPolicy()
        if let node = keys[.policy] { policy.kind = choice(node, "'policy'", MissedPolicy.Kind.self) ?? .last }
        if let node = keys[.window] { policy.window = positive(node, "'window'") }
        if let node = keys[.max] { policy.limit = integer(node, 1...100, "'max'").map { Int($0) } ?? 100 }
        if let node = keys[.max], policy.kind != .all { error("'max' goes with 'policy: all'", node.place) }
        return policy
    }

    // MARK: Schedules

    private mutating func schedule(_ node: YAMLNode, seed: String) -> Schedule? {
        let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
        if items.isEmpty { error("the schedule is an empty list: leave the key out for a job that runs by hand only", node.place) }
        let entries = items.compactMap { scheduleEntry($0, seed: seed) }
        return entries.isEmpty ? nil : Schedule(entries)
    }

    private mutating func scheduleEntry(_ node: YAMLNode, seed: String) -> ScheduleEntry? {
        guard case .mapping = node.content else {
            guard let text = text(node) else { return nil }
            return rule(text, node, seed: seed).flatMap { entry(text, $0, zone, seed, node) }
        }
        let keys = mapping(node, "a schedule", keys: ScheduleKey.self)
        let given = [ScheduleKey.cron, .every, .at, .calendar].filter { keys[$0] != nil }
        guard given.count == 1, let form = given.first, let ruleNode = keys[form], let body = text(ruleNode) else {
            if given.count != 1 { error("a schedule needs exactly one of cron, every, at and calendar; this has \(given.count)", node.place) }
            return nil
        }
        var ownZone = zone
        if let node = keys[.timezone], let name = text(node), let named = zone(named: name, node.place) { ownZone = named }
        let isCron = form == .cron
        guard let rule = rule(isCron ? body : "\(form.rawValue) \(body)", ruleNode, seed: seed, shift: isCron ? 0 : form.rawValue.count + 1) else {
            return nil
        }
        var between: TimeWindow?
        if let node = keys[.between], let text = text(node) {
            do { between = try TimeWindow(text) } catch { self.error(error.message, node.place) }
        }
        let clockChanges = keys[.dst].flatMap { choice($0, "'dst'", ClockChangeRule.self) } ?? .cron
        let jitter = keys[.jitter].flatMap { duration($0) } ?? .zero
        let spread = keys[.spread].flatMap { duration($0) } ?? .zero
        let except = keys[.except].map { exceptions($0) } ?? []
        let text = isCron ? body : "\(form.rawValue) \(body)"
        return entry(
            text, rule, ownZone, seed, ruleNode, clockChanges: clockChanges, jitter: jitter, spread: spread, except: except, between: between)
    }

    private mutating func entry(
        _ text: String, _ rule: ScheduleRule, _ zone: Zone, _ seed: String, _ node: YAMLNode, clockChanges: ClockChangeRule = .cron,
        jitter: Duration = .zero, spread: Duration = .zero, except: [ClosedRange<CivilDate>] = [], between: TimeWindow? = nil
    ) -> ScheduleEntry? {
        var zone = zone
        if case .calendar(let calendar) = rule, let name = calendar.zoneName {
            guard let named = self.zone(named: name, node.place) else { return nil }
            zone = named
        }
        if zone.isUnavailable, !inputs.acceptsUnavailableZones {
            error("the host's time zone '\(zone.name)' is not to be found: name one with 'timezone', or install tzdata", node.place)
        }
        let entry = ScheduleEntry(
            text: text, rule: rule, zone: zone, seed: seed, clockChanges: clockChanges, jitter: jitter, spread: spread, except: except,
            between: between)
        if between != nil, Schedule([entry]).next(after: Timestamp(seconds: 0)) == nil {
            error("this never matches: no due time of '\(text)' lies in the window of 'between'", node.place)
        }
        return entry
    }

    private mutating func rule(_ text: String, _ node: YAMLNode, seed: String, shift: Int = 0) -> ScheduleRule? {
        do { return try ScheduleRule(text, seed: seed) } catch {
            self.error(error.message, scalarPlace(node).part(offset: max(0, error.offset - shift), length: error.length))
            return nil
        }
    }

    /// Days, ranges of days, and names of calendars.
    private mutating func exceptions(_ node: YAMLNode) -> [ClosedRange<CivilDate>] {
        let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
        var ranges: [ClosedRange<CivilDate>] = []
        for item in items {
            guard let text = text(item) else { continue }
            if let calendar = calendars[text] {
                ranges += calendar
            } else if text.first?.isNumber == true {
                if let range = dates(text, item.place) { ranges.append(range) }
            } else {
                let hint = Suggestion.nearest(to: text, among: calendars.keys).map { "did you mean '\($0)'?" } ?? "name it under 'calendars:' at the top"
                error("there is no calendar '\(text)'; \(hint)", item.place)
            }
        }
        return ranges
    }
}
