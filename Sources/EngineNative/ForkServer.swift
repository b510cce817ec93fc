internal import CLinux
internal import EngineAPI
internal import Glibc
internal import Synchronization

/// The fork server: the process that shims are forked from (`Sources/berth-shim/forkserver.c` is the other side). When it has ended, or does not answer, the
/// next launch starts another. Its end does not end its shims.
final class ForkServer: Sendable {
    private struct Server {
        let pid: pid_t
        let socket: Int32
    }

    /// The shim's program, in memory.
    private let program: Int32
    /// What it and its shims write errors to.
    private let errors: Int32
    private let server = Mutex<Server?>(nil)

    /// - Parameters:
    ///   - program: stays the caller's
    ///   - errors: stays the caller's
    init(program: Int32, errors: Int32) {
        self.program = program
        self.errors = errors
    }

    deinit { server.withLock { ForkServer.end($0) } }

    /// `nil` while it does not run, as far as is known.
    var process: pid_t? { server.withLock { $0?.pid } }

    /// Starts it, so that the first launch does not wait for it. Where it cannot be started, a launch says why.
    func begin() { server.withLock { if $0 == nil { $0 = try? start() } } }

    /// Makes a shim.
    ///
    /// - Parameter timeout: how long each answer of the shim may take
    /// - Returns: our end of its control socket, and its pidfd; both are the caller's to close
    func shim(timeout: Duration) throws(EngineError) -> (control: Int32, pidfd: Int32) {
        var reason = ""
        for _ in 0..<2 {
            var ours: Int32 = -1
            var theirs: Int32 = -1
            guard clinux_socket_pair(&ours, &theirs) == 0 else { throw .host("no socket for the shim: \(ForkServer.reason)") }
            var limit = timeval(tv_sec: Int(timeout.components.seconds), tv_usec: 0)
            setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            let asked: Server
            do throws(EngineError) { asked = try ask(theirs) } catch {
                close(ours)
                close(theirs)
                throw error
            }
            close(theirs)
            switch ForkServer.answer(ours) {
            case .shim(let pidfd): return (ours, pidfd)
            case .refused(let sentence):
                close(ours)
                throw .host(sentence)
            case .none(let why):
                // The server has ended, or is stopped: nothing was made, or what was made ends now, as nobody is at the other end.
                close(ours)
                replace(asked)
                reason = why
            }
        }
        throw .host("the fork server of the shims does not answer: \(reason)")
    }

    private enum Answer {
        case shim(pidfd: Int32)
        case refused(String)
        case none(String)
    }

    private static func answer(_ control: Int32) -> Answer {
        var kind: CChar = 0
        var pidfd: Int32 = -1
        let got = clinux_receive_descriptor(control, &kind, &pidfd)
        guard got >= 0 else { return .none(reason) }
        guard got > 0 else { return .none("it has ended") }
        if pidfd >= 0 { return .shim(pidfd: pidfd) }
        guard UInt8(bitPattern: kind) == UInt8(ascii: "E") else { return .refused("the shim cannot be watched: no descriptor is left for it") }
        var text = [UInt8](repeating: 0, count: 1024)
        let length = text.withUnsafeMutableBytes { recv(control, $0.baseAddress, $0.count, 0) }
        return .refused(length > 0 ? String(decoding: text[..<length], as: UTF8.self) : "the shim cannot be started")
    }

    /// - Returns: the server that has the request now
    private func ask(_ control: Int32) throws(EngineError) -> Server {
        let result = server.withLock { server -> Result<Server, EngineError> in
            var reason = ""
            for _ in 0..<2 {
                do throws(EngineError) {
                    let present = if let server { server } else { try start() }
                    server = present
                    if clinux_send_descriptors(present.socket, [control], 1) == 0 { return .success(present) }
                } catch { return .failure(error) }
                // It has ended, or takes nothing any more.
                reason = ForkServer.reason
                ForkServer.end(server)
                server = nil
            }
            return .failure(.host("cannot send a request to the fork server of the shims: \(reason)"))
        }
        return try result.get()
    }

    /// Ends a server, unless another has taken its place.
    private func replace(_ asked: Server) {
        server.withLock { server in
            guard server?.pid == asked.pid else { return }
            ForkServer.end(server)
            server = nil
        }
    }

    private func start() throws(EngineError) -> Server {
        var ours: Int32 = -1
        var theirs: Int32 = -1
        guard clinux_socket_pair(&ours, &theirs) == 0 else { throw .host("no socket for the shim: \(ForkServer.reason)") }
        defer { close(theirs) }
        // Requests wait in the socket for microseconds; when it is full, nobody reads.
        _ = fcntl(ours, F_SETFL, O_NONBLOCK)
        var pid: pid_t = 0
        guard clinux_spawn(program, "berth-forkserver", "forkserver", theirs, errors, &pid) == 0 else {
            let reason = ForkServer.reason
            close(ours)
            throw .host("the shim cannot be started: \(reason)")
        }
        return Server(pid: pid, socket: ours)
    }

    /// Ends a server; its shims live on.
    private static func end(_ server: Server?) {
        guard let server else { return }
        close(server.socket)
        kill(server.pid, SIGKILL)
        waitpid(server.pid, nil, 0)
    }

    private static var reason: String { String(cString: strerror(errno)) }
}
