internal import CLinux
internal import EngineAPI
internal import Glibc
internal import Synchronization

/// The process that shims come from, by fork (`Sources/berth-shim/forkserver.c` is the other side). One that has ended is started anew
/// by the next launch; it takes no shim along.
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
    /// - Parameter timeout: seconds that each answer of the shim may take
    /// - Returns: our end of its control socket, and its pidfd; both are the caller's to close
    func shim(timeout: Int) throws(EngineError) -> (control: Int32, pidfd: Int32) {
        for _ in 0..<2 {
            var ours: Int32 = -1
            var theirs: Int32 = -1
            guard clinux_socket_pair(&ours, &theirs) == 0 else { throw .host("no socket for the shim: \(ForkServer.reason)") }
            var limit = timeval(tv_sec: timeout, tv_usec: 0)
            setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            do throws(EngineError) { try ask(theirs) } catch {
                close(ours)
                close(theirs)
                throw error
            }
            close(theirs)
            var kind: CChar = 0
            var pidfd: Int32 = -1
            let got = clinux_receive_descriptor(ours, &kind, &pidfd)
            if got == 1, pidfd >= 0 { return (ours, pidfd) }
            let code = errno
            var text = [UInt8](repeating: 0, count: 512)
            let length = got == 1 ? text.withUnsafeMutableBytes { recv(ours, $0.baseAddress, $0.count, 0) } : 0
            close(ours)
            if length > 0 { throw .host(String(decoding: text[..<length], as: UTF8.self)) }
            // The server ended before it had taken the request: nothing was made.
            if got != 0 { throw .host("the shim does not answer: \(String(cString: strerror(code)))") }
        }
        throw .host("the shim ended before it had begun")
    }

    private func ask(_ control: Int32) throws(EngineError) {
        let failure = server.withLock { server -> EngineError? in
            for _ in 0..<2 {
                do throws(EngineError) {
                    let present = if let server { server } else { try start() }
                    server = present
                    if clinux_send_descriptors(present.socket, [control], 1) == 0 { return nil }
                } catch { return error }
                let code = errno
                ForkServer.end(server)
                server = nil
                guard code == EPIPE || code == ECONNRESET else { return .host("the shim cannot be asked for: \(String(cString: strerror(code)))") }
            }
            return .host("the shim's server ends as soon as it is started")
        }
        if let failure { throw failure }
    }

    private func start() throws(EngineError) -> Server {
        var ours: Int32 = -1
        var theirs: Int32 = -1
        guard clinux_socket_pair(&ours, &theirs) == 0 else { throw .host("no socket for the shim: \(ForkServer.reason)") }
        defer { close(theirs) }
        var pid: pid_t = 0
        guard clinux_spawn(program, "berth-forkserver", "forkserver", theirs, errors, &pid) == 0 else {
            let reason = ForkServer.reason
            close(ours)
            throw .host("the shim cannot be started: \(reason)")
        }
        return Server(pid: pid, socket: ours)
    }

    /// Its shims go on.
    private static func end(_ server: Server?) {
        guard let server else { return }
        close(server.socket)
        kill(server.pid, SIGKILL)
        waitpid(server.pid, nil, 0)
    }

    private static var reason: String { String(cString: strerror(errno)) }
}
