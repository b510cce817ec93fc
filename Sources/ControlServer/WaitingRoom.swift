public import ControlAPI
internal import FoundationEssentials
internal import Glibc
internal import HTTPTypes
public import HostOS
internal import Hummingbird
public import Logging
internal import NIOCore
import Synchronization

/// The control socket of a daemon whose history cannot be opened yet, because its disk is full or fails. It answers every request with
/// the reason, and the version as ever.
public final class WaitingRoom: Sendable {
    private let reason: Mutex<String>
    private let serving: Mutex<Task<Void, Never>?>
    private let socket: String

    /// Listens from now on.
    public init(socket: String, version: VersionInfo, access: SocketAccess, reason: String, log: Logger) {
        self.socket = socket
        self.reason = Mutex(reason)
        serving = Mutex(nil)
        let router = Router(context: ControlContext.self)
        router.add(middleware: ErrorAnswers())
        router.add(middleware: PeerCheck(ownUser: geteuid(), access: access))
        router.add(middleware: Refusal { [weak self] in self?.reason.withLock { $0 } ?? "" })
        router.get("v1/version") { _, _ in
            Response(status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: ByteBuffer(bytes: try JSONEncoder().encode(version))))
        }
        let table = ConnectionTable(most: 64)
        let application = Application(
            router: router, server: .http1(configuration: .init(additionalChannelHandlers: [ConnectionGuard(table: table, limits: ConnectionLimits())])),
            configuration: .init(address: .unixDomainSocket(path: socket), serverName: "berth"),
            onServerRunning: { _ in
                if let why = access.apply(to: socket) { log.warning("\(why)") }
            }, logger: log)
        serving.withLock {
            $0 = Task {
                do { try await application.run() } catch is CancellationError {} catch {
                    log.critical("the control socket cannot be served", metadata: ["socket": "\(socket)", "error": "\(error)"])
                }
            }
        }
    }

    /// Says something else from now on.
    public func say(_ text: String) { reason.withLock { $0 = text } }

    /// Listens no more; the socket's path is free after it.
    public func close() async {
        let task = serving.withLock { $0 }
        task?.cancel()
        await task?.value
        unlink(socket)
    }

    private struct Refusal: RouterMiddleware {
        typealias Context = ControlContext
        let reason: @Sendable () -> String

        init(_ reason: @escaping @Sendable () -> String) { self.reason = reason }

        func handle(
            _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
        ) async throws -> Response {
            guard request.uri.path != ControlPaths.version else { return try await next(request, context) }
            throw HTTPError(.serviceUnavailable, message: "the history cannot be opened, and nothing is started until it can: \(reason())")
        }
    }
}
