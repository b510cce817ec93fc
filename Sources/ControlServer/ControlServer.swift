public import ControlAPI
public import EngineAPI
internal import FoundationEssentials
internal import Glibc
internal import HTTPTypes
public import HostOS
public import HistoryStore
public import Hummingbird
public import Logging
internal import NIOCore
internal import Scheduling
public import Supervision
internal import WorkloadModel

/// The control socket: HTTP and JSON for `berth` and for whoever else may ask.
public struct ControlServer: Sendable {
    let supervisor: Supervisor
    let store: HistoryStore
    let engine: any ContainerEngine
    let recipes: RecipeService
    let version: VersionInfo
    let log: Logger
    /// Who may ask.
    let access: SocketAccess
    private let limits: ConnectionLimits
    /// Rows of the history that could not be read at the start.
    let replaced: [ReplacedRow]
    /// Decodes the bodies of requests.
    let uploads = WorkQueue(most: 16)
    let longAnswers: LongAnswers
    /// Where recipe files are that the daemon reads by itself.
    let recipeDirectory: String
    private let connections: Int

    /// A server that does not listen yet (``application(socket:onReady:)``).
    ///
    /// - Parameters:
    ///   - version: what is answered to ``ControlAPI/ControlPaths/version``
    ///   - access: who may ask, beside root and the daemon's own user
    ///   - recipeDirectory: where recipe files are that the daemon reads by itself
    ///   - limits: connections are also bounded by a quarter of the descriptors that the process may have
    ///   - replaced: rows of the history that could not be read at the start, for the status
    public init(
        supervisor: Supervisor, store: HistoryStore, engine: any ContainerEngine, recipes: RecipeService, version: VersionInfo, access: SocketAccess,
        recipeDirectory: String, limits: ConnectionLimits = ConnectionLimits(), replaced: [ReplacedRow] = [], log: Logger
    ) {
        self.recipeDirectory = recipeDirectory
        self.replaced = replaced
        self.limits = limits
        // Launches need descriptors too: connections get a quarter of them at most.
        connections = max(8, min(limits.connections, Int(clamping: Descriptors.most / 4)))
        longAnswers = LongAnswers(most: connections * 3 / 4)
        self.supervisor = supervisor
        self.store = store
        self.engine = engine
        self.recipes = recipes
        self.version = version
        self.access = access
        self.log = log
    }

    /// The application that listens on a socket path. What was there, left by an earlier daemon, is replaced.
    public func application(socket: String, onReady: @escaping @Sendable () async -> Void) -> some ApplicationProtocol {
        unlink(socket)
        let table = ConnectionTable(most: connections)
        return Application(
            router: router(), server: .http1(configuration: .init(additionalChannelHandlers: [ConnectionGuard(table: table, limits: self.limits)])),
            configuration: .init(address: .unixDomainSocket(path: socket), serverName: "berth"),
            onServerRunning: { _ in await onReady() }, logger: log)
    }

    func router() -> Router<ControlContext> {
        let router = Router(context: ControlContext.self)
        router.add(middleware: ErrorAnswers())
        router.add(middleware: PeerCheck(ownUser: geteuid(), access: access))
        var routes = Routes(router: router, store: store, log: log)
        addQuestions(&routes)
        addActions(&routes)
        addNetworks(&routes)
        addVolumes(&routes)
        addBackup(&routes)
        addImages(&routes)
        addLogs(&routes)
        addChanges(&routes)
        routes.check()
        return router
    }

    func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let data = try JSONEncoder().encode(value)
        return Response(status: status, headers: [.contentType: "application/json"], body: .init(byteBuffer: ByteBuffer(bytes: data)))
    }

    /// A request's body. One that is announced as too large is refused before any of it is read.
    func body<Value: Decodable & Sendable>(_ type: Value.Type, _ request: Request) async throws -> Value {
        let buffer = try await bytes(of: request, limit: limits.bodyBytes)
        return try await uploads.run {
            do { return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView)) } catch {
                throw HTTPError(.badRequest, message: "the request's body is not what this path takes: \(ControlServer.words(error))")
            }
        }
    }

    func bytes(of request: Request, limit: Int) async throws -> ByteBuffer {
        let tooLarge = HTTPError(.contentTooLarge, headers: [.connection: "close"], message: "the request's body has more than \(limit) bytes")
        if let announced = request.headers[.contentLength].flatMap({ Int($0) }), announced > limit { throw tooLarge }
        do { return try await request.body.collect(upTo: limit) } catch is NIOTooManyBytesError { throw tooLarge }
    }

    /// What is wrong with JSON, without what stands in it.
    private static func words(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "it is not JSON" }
        let context: DecodingError.Context
        switch error {
        case .typeMismatch(_, let found), .valueNotFound(_, let found), .keyNotFound(_, let found), .dataCorrupted(let found): context = found
        @unknown default: return "it is not JSON"
        }
        let path = context.codingPath.map(\.stringValue).joined(separator: ".")
        return path.isEmpty ? context.debugDescription : "\(path): \(context.debugDescription)"
    }

    func workloadID(_ context: ControlContext) throws -> WorkloadID {
        do {
            return WorkloadID(
                project: try ProjectName(context.parameters.require("project")), name: try WorkloadName(context.parameters.require("name")))
        } catch let error as NameError { throw HTTPError(.badRequest, message: error.description) }
    }

    /// Returns once these runs have ended, the client has left, or the daemon ends.
    func waitForEnd(of runs: [RunID], _ context: ControlContext) async {
        let task = Task { for run in runs { await supervisor.waitForEnd(of: run) } }
        context.channel.closeFuture.whenComplete { _ in task.cancel() }
        // The daemon ends, too.
        await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
    }

    func actor(_ context: ControlContext) -> String { context.peer?.description ?? "nobody" }
}

/// Every failure answers with a sentence in JSON.
struct ErrorAnswers: RouterMiddleware {
    typealias Context = ControlContext

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        let info: ErrorInfo
        let status: HTTPResponse.Status
        var headers: HTTPFields = [.contentType: "application/json"]
        do { return try await next(request, context) } catch let error as ErrorInfo {
            (info, status) = (error, .unprocessableContent)
        } catch let error as HTTPError {
            let unknown = error.status == .notFound ? "there is no \(request.uri.path) here" : "\(error.status.reasonPhrase)"
            (info, status) = (ErrorInfo(error: error.body ?? unknown), error.status)
            if let connection = error.headers[.connection] { headers[.connection] = connection }
        } catch is WorkQueue.Busy {
            (info, status) = (ErrorInfo(error: WorkQueue.Busy().description), .serviceUnavailable)
        } catch let error as StoreError {
            (info, status) = (ErrorInfo(error: error.description), .serviceUnavailable)
        } catch {
            (info, status) = (ErrorInfo(error: "\(error)"), .internalServerError)
        }
        let data = (try? JSONEncoder().encode(info)) ?? Data()
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: data)))
    }
}
