/// The endpoints of the control socket, each once: the server makes its routes of them, checks who may and what is asked by them, and the
/// description in OpenAPI is made of them. An endpoint without a role does not compile.
public enum Endpoint: String, CaseIterable, Sendable {
    case version, status, disk, openAPI, metrics
    case runs, run, runWait, runLog
    case due, events, audit, changes, next, month
    case findWorkload, workload, act
    case plan, apply, takeDown
    case networks, createNetwork, pruneNetworks, removeNetwork
    case volumes, pruneVolumes, readVolume, writeVolume, removeVolume
    case images, pullImages, pruneImages, removeImage
    case signIn, backup

    /// What is said of it, once.
    public var definition: EndpointDefinition {
        switch self {
        case .version: .get(ControlPaths.version, .viewer, "The daemon's release, and where its files are")
        case .status: .get(ControlPaths.status, .viewer, "How all services and jobs stand")
        case .disk: .get(ControlPaths.disk, .viewer, "What is kept, and how much of the disk it takes")
        case .openAPI: .get(ControlPaths.openAPI, .viewer, "This description")
        case .metrics: .get(ControlPaths.metrics, .viewer, "Numbers for Prometheus, in its text format", answer: .text)
        case .runs:
            .get(
                ControlPaths.runs, .viewer, "Runs of the history, newest first",
                ["project", "name", .list("outcome"), "trigger", .time("since"), .time("until"), "id", .number("limit")])
        case .run: .get(ControlPaths.runs + "/{id}", .viewer, "One run; the beginning or end of its id is enough")
        case .runWait: .get(ControlPaths.runs + "/{id}/wait", .viewer, "One run, once it has ended")
        case .runLog: .get(ControlPaths.runs + "/{id}/log", .viewer, "The log of a run, as records", [.flag("follow")], answer: .text)
        case .due:
            .get(
                ControlPaths.due, .viewer, "What became of due times, latest first",
                ["project", "name", .list("result"), .time("since"), .number("limit")])
        case .events: .get(ControlPaths.events, .viewer, "Events of the history, newest first", ["project", "name", .number("limit")])
        case .audit: .get(ControlPaths.audit, .admin, "Who changed what, or was refused, newest first", [.time("since"), .number("limit")])
        case .changes:
            .get(
                ControlPaths.changes, .viewer, "The change feed, as server-sent events; 'after' is the id of the last one that was seen",
                ["project", "name", "after"], answer: .events)
        case .next:
            .get(
                ControlPaths.next, .viewer, "The next due times, ascending",
                ["project", "name", .time("from"), .number("count"), .number("each")])
        case .month: .get(ControlPaths.month, .viewer, "A month's due times of each job", ["project", "name", .needed("month")])
        case .findWorkload: .get(ControlPaths.workloads, .viewer, "The service or job that is called NAME or PROJECT/NAME", [.needed("name")])
        case .workload: .get(ControlPaths.workloads + "/{project}/{name}", .viewer, "All about one service or job")
        case .act:
            .post(ControlPaths.workloads + "/{project}/{name}/{action}", .operator, "Runs, starts, stops, restarts, pauses or resumes it", body: .json)
        case .plan: .post(ControlPaths.plan, .deployer, "What a recipe would change; changes nothing", body: .json)
        case .apply: .post(ControlPaths.recipes, .deployer, "Applies a recipe", body: .json, answer: .lines)
        case .takeDown: .delete(ControlPaths.projects + "/{project}", .deployer, "Takes a project down; answers once its runs have ended")
        case .networks: .get(ControlPaths.networks, .viewer, "Networks, by name")
        case .createNetwork: .post(ControlPaths.networks, .admin, "Makes a network", body: .json)
        case .pruneNetworks: .post(ControlPaths.networks + "/prune", .admin, "Removes the networks that nobody uses")
        case .removeNetwork: .delete(ControlPaths.networks + "/{network}", .admin, "Removes a network")
        case .volumes: .get(ControlPaths.volumes, .viewer, "Volumes, by name")
        case .pruneVolumes: .post(ControlPaths.volumes + "/prune", .admin, "Removes the volumes that nobody has", [.flag("all")])
        case .readVolume: .get(ControlPaths.volumes + "/{volume}/tar", .admin, "What a volume holds, as a tar archive", answer: .tar)
        case .writeVolume: .put(ControlPaths.volumes + "/{volume}/tar", .admin, "Replaces what a volume holds, whole or not at all", body: .tar)
        case .removeVolume: .delete(ControlPaths.volumes + "/{volume}", .admin, "Removes a volume that no service or job has")
        case .images: .get(ControlPaths.images, .viewer, "Images, by name")
        case .pullImages: .post(ControlPaths.images + "/pull", .deployer, "Brings a recipe's images in", body: .json, answer: .lines)
        case .pruneImages: .post(ControlPaths.images + "/prune", .admin, "Removes the images that nothing needs")
        case .removeImage: .delete(ControlPaths.images + "/{image}", .admin, "Removes an image that nothing needs")
        case .signIn: .post(ControlPaths.registries, .admin, "Signs in at a registry", body: .json)
        case .backup: .post(ControlPaths.backup, .admin, "History, recipes, secrets and volumes as one archive", body: .json, answer: .tar)
        }
    }
}

/// An endpoint: what it is called by, who may, and what it takes.
public struct EndpointDefinition: Sendable, Hashable {
    /// Methods of HTTP.
    public enum Method: String, Sendable, Hashable {
        /// `GET` changes nothing; the others do, but for ``Endpoint/plan``.
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case delete = "DELETE"
    }

    /// A body's kind.
    public enum Content: String, Sendable, Hashable {
        case json = "application/json"
        /// One JSON text a line.
        case lines = "application/x-ndjson"
        case text = "text/plain"
        /// Server-sent events (HTML, 9.2).
        case events = "text/event-stream"
        case tar = "application/x-tar"
    }

    /// Something that may stand in the query.
    public struct Parameter: Sendable, Hashable, ExpressibleByStringLiteral {
        /// What its value is.
        public enum Kind: Sendable, Hashable {
            case text, time, number, flag
        }

        /// As it stands in the query.
        public let name: String
        /// What its value is.
        public var kind = Kind.text
        /// Whether it may be given more than once: any of the words counts.
        public var isList = false
        /// Whether it has to be given.
        public var isNeeded = false

        /// A text that may be left out.
        public init(stringLiteral name: String) { self.name = name }

        static func list(_ name: String) -> Parameter { with(name) { $0.isList = true } }
        static func time(_ name: String) -> Parameter { with(name) { $0.kind = .time } }
        static func number(_ name: String) -> Parameter { with(name) { $0.kind = .number } }
        static func flag(_ name: String) -> Parameter { with(name) { $0.kind = .flag } }
        static func needed(_ name: String) -> Parameter { with(name) { $0.isNeeded = true } }

        private static func with(_ name: String, _ change: (inout Parameter) -> Void) -> Parameter {
            var parameter = Parameter(stringLiteral: name)
            change(&parameter)
            return parameter
        }
    }

    /// The method of HTTP.
    public let method: Method
    /// With `{NAME}` where a part of it is given.
    public let path: String
    /// Who has less is refused.
    public let role: Role
    /// In a sentence.
    public let summary: String
    /// What may stand in the query; anything else is refused.
    public let parameters: [Parameter]
    /// `nil` where none is read.
    public let body: Content?
    /// What a success answers with; failures answer with an ``ErrorInfo``.
    public let answer: Content

    /// Whether it changes something, which is kept on record.
    public var changes: Bool { method != .get && path != ControlPaths.plan || path == ControlPaths.backup }

    static func get(_ path: String, _ role: Role, _ summary: String, _ parameters: [Parameter] = [], answer: Content = .json) -> EndpointDefinition {
        .init(method: .get, path: path, role: role, summary: summary, parameters: parameters, body: nil, answer: answer)
    }

    static func post(
        _ path: String, _ role: Role, _ summary: String, _ parameters: [Parameter] = [], body: Content? = nil, answer: Content = .json
    ) -> EndpointDefinition {
        .init(method: .post, path: path, role: role, summary: summary, parameters: parameters, body: body, answer: answer)
    }

    static func put(_ path: String, _ role: Role, _ summary: String, body: Content) -> EndpointDefinition {
        .init(method: .put, path: path, role: role, summary: summary, parameters: [], body: body, answer: .json)
    }

    static func delete(_ path: String, _ role: Role, _ summary: String) -> EndpointDefinition {
        .init(method: .delete, path: path, role: role, summary: summary, parameters: [], body: nil, answer: .json)
    }
}
