internal import ControlAPI
internal import EngineAPI
internal import FoundationEssentials
internal import HistoryStore
internal import Hummingbird
internal import NIOCore
internal import Scheduling
internal import Schedules
internal import Supervision
internal import WorkloadModel

extension ControlServer {
    func addActions(_ routes: inout Routes) {
        routes.add(.plan) { request, _ in
            let upload = try await body(RecipeUpload.self, request)
            let recipe = try await recipes.read(upload.source)
            return try json(PlanInfo(try await recipes.plan(recipe, pull: upload.pull?.policy), project: recipe.project))
        }
        routes.add(.apply) { request, context in
            let upload = try await body(RecipeUpload.self, request)
            let recipe = try await recipes.read(upload.source)
            return apply(upload, recipe, context)
        }
        routes.add(.takeDown) { request, context in
            let project: ProjectName
            do { project = try ProjectName(context.parameters.require("project")) } catch let error as NameError {
                throw HTTPError(.badRequest, message: error.description)
            }
            var running: [RunID] = []
            for workload in await supervisor.workloads where workload.id.project == project { running += await supervisor.runs(of: workload.id) }
            let reply = try await recipes.takeDown(project, actor: actor(context))
            if case .refused(let sentence) = reply { throw HTTPError(.notFound, message: sentence) }
            await waitForEnd(of: running, context)
            await waitForNetworks(of: project)
            Task { await recipes.removeImages(.outdated) }
            return try json(ActionInfo(run: nil, queued: false))
        }
        routes.add(.act) { request, context in try await act(request, context) }
    }

    /// A project's networks go soon after its last run: whoever takes it down finds them gone, unless something keeps them for longer than a few seconds.
    private func waitForNetworks(of project: ProjectName) async {
        guard let networks = engine.networks else { return }
        for _ in 0..<250 {
            // What is not listed any more is being removed.
            await networks.settled()
            guard await supervisor.recipe(of: project) == nil, await networks.list().contains(where: { $0.project == project }) else { return }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { return }
        }
    }

    /// Answers line by line while images are brought in and the recipe is applied.
    private func apply(_ upload: RecipeUpload, _ recipe: Recipe, _ context: ControlContext) -> Response {
        let actor = actor(context)
        return lines(context) { say in
            let plan = try await recipes.apply(upload.source, recipe, explicit: true, actor: actor, pull: upload.pull?.policy) {
                say(ProgressLine(progress: $0))
            }
            return ProgressLine(plan: PlanInfo(plan, project: recipe.project))
        }
    }

    /// Answers line by line while something is done. A client that goes away calls it off, unless it is decided.
    ///
    /// - Parameter body: gives the last line
    func lines(_ context: ControlContext, _ body: @escaping @Sendable (@escaping @Sendable (ProgressLine) -> Void) async throws -> ProgressLine) -> Response {
        let (lines, sink) = AsyncStream.makeStream(of: ByteBuffer.self)
        let task = Task {
            @Sendable func say(_ line: ProgressLine) {
                guard let data = try? JSONEncoder().encode(line) else { return }
                sink.yield(ByteBuffer(bytes: data + [0x0A]))
            }
            do { say(try await body(say)) } catch {
                say(ProgressLine(error: error as? ErrorInfo ?? ErrorInfo(error: "\(error)")))
            }
            sink.finish()
        }
        context.channel.closeFuture.whenComplete { _ in task.cancel() }
        return Response(status: .ok, headers: [.contentType: "application/x-ndjson"], body: .init(asyncSequence: lines))
    }

    private func run(_ id: WorkloadID, _ request: Request, actor: String) async throws -> Event {
        let changes = try await changes(request)
        var recorded = false
        if let dueAt = changes.dueAt { recorded = try await store.hasDueTime(id, at: dueAt) }
        return .run(id, changes, recorded: recorded, actor: actor)
    }

    /// What a run by hand is to be like; nothing is changed when the request has no body.
    private func changes(_ request: Request) async throws -> RunChanges {
        let bytes = try await bytes(of: request, limit: 1 << 20)
        guard bytes.readableBytes > 0 else { return RunChanges() }
        let upload: RunUpload
        do { upload = try JSONDecoder().decode(RunUpload.self, from: Data(bytes.readableBytesView)) } catch {
            throw HTTPError(.badRequest, message: "the request's body is not what is to be changed for a run")
        }
        for (name, value) in upload.environment {
            guard !name.isEmpty, !name.contains("="), !name.utf8.contains(0), !value.utf8.contains(0) else {
                throw HTTPError(.badRequest, message: "'\(name)' is not a variable's name, or its value is no text")
            }
        }
        if let command = upload.command, command.isEmpty || command.contains(where: { $0.utf8.contains(0) }) {
            throw HTTPError(.badRequest, message: "the command is empty, or no text")
        }
        var dueAt: Timestamp?
        if let text = upload.dueAt {
            guard let time = Timestamp(rfc3339: text) else { throw HTTPError(.badRequest, message: "'\(text)' is not a time in RFC 3339") }
            dueAt = time
        }
        return RunChanges(environment: upload.environment.mapValues { EnvironmentValue($0) }, command: upload.command, dueAt: dueAt)
    }

    private func act(_ request: Request, _ context: ControlContext) async throws -> Response {
        let id = try workloadID(context)
        let word = try context.parameters.require("action")
        guard let action = WorkloadAction(rawValue: word) else { throw HTTPError(.notFound, message: "there is no action '\(word)'") }
        let who = actor(context)
        let before = await supervisor.runs(of: id)
        let event: Event =
            switch action {
            case .run: try await run(id, request, actor: who)
            case .start: .start(id, actor: who)
            case .stop: .stop(id, actor: who)
            case .restart: .restart(id, actor: who)
            case .pause: .pause(id, actor: who)
            case .resume: .resume(id, actor: who)
            }
        if let degraded = await supervisor.degraded {
            // It would wait for the disk; a stop is begun all the same.
            if action == .stop { Task { await supervisor.take(event) } }
            throw HTTPError(.serviceUnavailable, message: "the history cannot be written\(action == .stop ? "; the stop was begun" : ""): \(degraded)")
        }
        switch await supervisor.take(event) {
        case .refused(let sentence): throw HTTPError(.conflict, message: sentence)
        case .unknown(let id): throw HTTPError(.notFound, message: "there is no service or job '\(id)'")
        case .queued: return try json(ActionInfo(run: nil, queued: true))
        case .run(let run): return try json(ActionInfo(run: run.description, queued: false))
        case .done:
            // "Stopped" is said when it is true.
            if action == .stop || action == .restart { await waitForEnd(of: before, context) }
            return try json(ActionInfo(run: nil, queued: false))
        }
    }
}
