internal import Foundation
internal import Ledger
internal import ControlAPI
internal import EngineAPI
internal import HistoryStore
internal import Hummingbird
internal import RecipeFile
internal import Scheduling
internal import Schedules
internal import Supervision
internal import WorkloadModel

extension ControlServer {
    func addQuestions(_ routes: inout Routes) {
        routes.add(.version) { _, _ in try json(version) }
        routes.add(.disk) { _, _ in try json(await disk()) }
        routes.add(.status) { _, _ in try json(await status()) }
        routes.add(.runs) { request, _ in
            try json(try await store.runs(try filter(request)))
        }
        routes.add(.run) { _, context in try json(try await run(context)) }
        routes.add(.runWait) { _, context in
            let found = try await run(context)
            let place = try longAnswers.place()
            defer { withExtendedLifetime(place) {} }
            if let id = RunID(found.run_id) { await waitForEnd(of: [id], context) }
            return try json(try await run(context))
        }
        routes.add(.due) { request, _ in
            let query = request.uri.queryParameters
            let rows = try await store.dueTimes(
                project: query["project"].map(String.init), name: query["name"].map(String.init), results: try choices(query, "result", DueResult.self),
                since: try since(query["since"]), limit: try number(query, "limit") ?? 50)
            return try json(rows)
        }
        routes.add(.events) { request, _ in
            let query = request.uri.queryParameters
            let rows = try await store.events(
                project: query["project"].map(String.init), name: query["name"].map(String.init), limit: try number(query, "limit") ?? 50)
            return try json(rows)
        }
        routes.add(.audit) { request, _ in
            let query = request.uri.queryParameters
            return try json(try await store.audit(since: try since(query["since"]), limit: try number(query, "limit") ?? 50))
        }
        routes.add(.openAPI) { _, _ in try json(OpenAPI(version: version.version)) }
        routes.add(.metrics) { _, _ in try await metrics() }
        routes.add(.next) { request, _ in
            let query = request.uri.queryParameters
            let count = min(10_000, try number(query, "count") ?? 20)
            // A due time exactly at the given instant is one of those that are asked for.
            let from = try since(query["from"]).map { $0 - .milliseconds(1) } ?? SystemClock.now()
            let each = try number(query, "each")
            let recipes = await recipes(of: query["project"].map(String.init))
            return try json(Preview.next(recipes, name: query["name"].map(String.init), from: from, count: count, each: each).map(NextInfo.init))
        }
        routes.add(.month) { request, _ in
            let query = request.uri.queryParameters
            guard let text = query["month"], let month = Month(String(text)) else { throw HTTPError(.badRequest, message: "'month' must be like 2026-12") }
            let recipes = await recipes(of: query["project"].map(String.init))
            return try json(MonthPreview.of(recipes, name: query["name"].map(String.init), month).map(MonthInfo.init))
        }
        routes.add(.findWorkload) { request, _ in
            guard let name = request.uri.queryParameters["name"] else { throw HTTPError(.badRequest, message: "'name' says which service or job") }
            return try json(try await find(name.removingPercentEncoding ?? String(name)))
        }
        routes.add(.workload) { _, context in try json(try await inspect(try workloadID(context))) }
    }

    private func since(_ text: Substring?) throws -> Timestamp? {
        guard let text else { return nil }
        guard let time = Timestamp(rfc3339: text.removingPercentEncoding ?? String(text)) else {
            throw HTTPError(.badRequest, message: "'\(text)' is not a time in RFC 3339")
        }
        return time
    }

    /// A whole number from 1 on; `nil` when it is not given.
    private func number(_ query: Parameters, _ name: Substring) throws -> Int? {
        guard let text = query[name] else { return nil }
        guard let number = Int(text), number >= 1 else { throw HTTPError(.badRequest, message: "'\(name)' must be a whole number from 1 on, and is '\(text)'") }
        return number
    }

    /// Words of a list that has an end.
    private func choices<Word: RawRepresentable<String> & CaseIterable>(
        _ query: Parameters, _ name: String, _ type: Word.Type
    ) throws -> [String] {
        try query.getAll(name).map { text in
            guard let word = Word(rawValue: String(text)) else {
                throw HTTPError(
                    .badRequest, message: "there is no \(name) '\(text)': it is one of \(Word.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return word.rawValue
        }
    }

    private func filter(_ request: Request) throws -> RunFilter {
        let query = request.uri.queryParameters
        var filter = RunFilter()
        filter.project = query["project"].map(String.init)
        filter.name = query["name"].map(String.init)
        filter.outcomes = try choices(query, "outcome", Outcome.self)
        filter.trigger = try choices(query, "trigger", Trigger.self).first
        filter.since = try since(query["since"])
        filter.until = try since(query["until"])
        filter.id = query["id"].map(String.init)
        if let limit = try number(query, "limit") { filter.limit = limit }
        return filter
    }

    func status() async -> StatusInfo {
        let delays = await supervisor.startDelays.sorted()
        let summary: StartDelays? = delays.last.map { last in
            StartDelays(
                count: delays.count, medianMilliseconds: delays[delays.count / 2], p99Milliseconds: delays[min(delays.count - 1, delays.count * 99 / 100)],
                maximumMilliseconds: last)
        }
        return StatusInfo(
            degraded: await supervisor.degraded ?? store.misplacement, projects: await supervisor.projects.map(\.description),
            workloads: await supervisor.statuses.map(WorkloadInfo.init), startDelays: summary, notices: engine.notices + store.notices + (await resting()))
    }

    /// What is kept, and how much of the disk it takes.
    private func disk() async throws -> DiskInfo {
        let logs = await engine.logBytes()
        return DiskInfo(
            historyBytes: try await store.usedBytes(), mostHistoryBytes: supervisor.mostBytes, logBytes: logs.used, mostLogBytes: logs.most,
            volumeBytes: await engine.volumes().reduce(0) { $0 + ($1.bytes ?? 0) },
            snapshots: store.snapshots.map { SnapshotInfo(path: $0.path, size: $0.size, at: $0.at.description) })
    }

    /// What still waits for a person since its row in the history could not be read.
    private func resting() async -> [String] {
        var found: [String] = []
        for row in replaced {
            guard let state = await supervisor.status(of: row.workload)?.state, state == "stopped" || state == "paused" else { continue }
            found.append(row.sentence)
        }
        return found
    }

    func run(_ context: ControlContext) async throws -> RunInfo {
        let text = try context.parameters.require("id")
        var filter = RunFilter()
        filter.id = text
        filter.limit = 2
        let found = try await store.runs(filter)
        guard let first = found.first else { throw HTTPError(.notFound, message: "there is no run '\(text)'") }
        if found.count > 1, first.run_id != text { throw HTTPError(.conflict, message: "'\(text)' is the beginning or end of more than one run") }
        return first
    }

    /// The service or job that is called `NAME` or `PROJECT/NAME`.
    private func find(_ text: String) async throws -> WorkloadReference {
        let all = await supervisor.workloads
        let found = all.filter { $0.id.description == text || $0.id.name.description == text }
        if found.count > 1 {
            throw HTTPError(
                .conflict, message: "'\(text)' is in more than one project: write \(found.map(\.id.description).joined(separator: " or "))")
        }
        guard let first = found.first else {
            let names = all.map { text.contains("/") ? $0.id.description : $0.id.name.description }
            let near = (Suggestion.nearest(to: text, among: names) ?? names.first { $0.hasPrefix(text) }).map { "; did you mean '\($0)'?" } ?? ""
            throw HTTPError(.notFound, message: "there is no service or job '\(text)'\(near)")
        }
        return WorkloadReference(project: first.id.project.description, name: first.id.name.description, kind: first.kind.rawValue)
    }

    /// The recipes in force, or that of one project.
    private func recipes(of project: String?) async -> [Recipe] {
        var found: [Recipe] = []
        for name in await supervisor.projects where project == nil || name.description == project {
            if let recipe = await supervisor.recipe(of: name) { found.append(recipe) }
        }
        return found
    }

    private func inspect(_ id: WorkloadID) async throws -> InspectInfo {
        guard let status = await supervisor.status(of: id), let workload = await supervisor.workload(id) else {
            throw HTTPError(.notFound, message: "there is no service or job '\(id)'")
        }
        var filter = RunFilter()
        filter.project = id.project.description
        filter.name = id.name.description
        filter.limit = 10
        let runs = try await store.runs(filter)
        let events = try await store.events(project: id.project.description, name: id.name.description, limit: 10)
        return InspectInfo(
            workload: WorkloadInfo(status), container: Description.of(workload), runs: runs, events: events,
            probes: try await store.probes(of: InstanceID(id)), forgotten: try await store.forgotten(id))
    }
}

/// A container in a recipe's words, without secrets.
enum Description {
    static func of(_ workload: Workload) -> [String: String] {
        let container = workload.container
        var words: [String: String] = [:]
        switch container.root {
        case .image(let source): words["image"] = source.description
        case .host: words["rootfs"] = "host"
        case .directory(let path): words["rootfs"] = path
        }
        if let entrypoint = container.entrypoint { words["entrypoint"] = entrypoint.joined(separator: " ") }
        if let command = container.command { words["command"] = command.joined(separator: " ") }
        if !container.environment.isEmpty { words["environment"] = container.environment.keys.sorted().joined(separator: " ") + " (values hidden)" }
        words["working_dir"] = container.workingDirectory
        words["user"] = container.user
        if !container.mounts.isEmpty {
            words["volumes"] = container.mounts.map { mount in
                let source =
                    switch mount.source {
                    case .bind(let path): path
                    case .volume(let name), .shared(let name, _): name
                    case .anonymous: ""
                    }
                return (source.isEmpty ? "" : "\(source):") + mount.target + (mount.readOnly ? ":ro" : "")
            }.joined(separator: " ")
        }
        words["mem_limit"] = container.limits.memoryBytes.map { "\($0)" }
        words["cpus"] = container.limits.cpuMillis.map { "\(Double($0) / 1000)" }
        words["pids_limit"] = "\(container.limits.pids)"
        if container.network == .networks {
            words["networks"] = container.attachments.map(\.network).joined(separator: " ")
            if !container.ports.isEmpty { words["ports"] = container.ports.map(\.description).joined(separator: " ") }
        } else {
            words["network_mode"] = container.network.rawValue
        }
        if !workload.dependsOn.isEmpty {
            words["depends_on"] = workload.dependsOn.sorted { $0.key < $1.key }.map { $0.value.words(for: $0.key) }.joined(separator: ", ")
        }
        if let check = HealthCheckSpec.resolve(container.healthCheck, image: nil) {
            words["healthcheck"] = check.command.joined(separator: " ") + " every \(DurationText.print(check.interval))"
        }
        words["privileged"] = container.privileged ? "true" : nil
        words["read_only"] = container.readOnlyRoot ? "true" : nil
        words["capabilities"] = container.privileged ? "all" : container.capabilities.map(\.rawValue).sorted().joined(separator: " ")
        words["stop_grace_period"] = DurationText.print(container.stopGracePeriod)
        return words
    }
}
