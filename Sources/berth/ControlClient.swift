import ArgumentParser
import ControlAPI
import FoundationEssentials
import Glibc
import HostOS
import Ledger
import NIOCore
import NIOHTTP1
import NIOPosix

/// What every verb that asks the daemon has.
struct ConnectionOptions: ParsableArguments {
    @Option(name: .long, help: "The daemon's socket.", completion: .file()) var socket: String?
    @Flag(name: .long, help: "Print JSON.") var json = false

    var path: String { socket ?? ProcessInfo.processInfo.environment["BERTH_SOCKET"] ?? ControlPaths.defaultSocket }
}

/// A failure that is told in one sentence.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String
    /// A recipe's diagnostics, to stand before it.
    var diagnostics: String?
    /// The same, one by one.
    var problems: [ProblemInfo]?
}

/// Asks the daemon: HTTP/1.1 over its Unix socket, one connection a request.
struct ControlClient {
    let socket: String

    /// Of NIO: this process lives for milliseconds. To be said once, before the first use.
    private static let oneThread: Void = { NIOSingletons.groupLoopCountSuggestion = 1 }()

    /// Makes a client, for the time of a body.
    static func use<Value>(_ options: ConnectionOptions, _ body: (ControlClient) async throws -> Value) async throws -> Value {
        oneThread
        return try await body(ControlClient(socket: options.path))
    }

    func get<Value: Decodable>(_ path: String, _ query: [(String, String?)] = []) async throws -> Value {
        try await answer(.GET, path + ControlClient.queryString(query))
    }

    func post<Value: Decodable>(_ path: String, _ body: (any Encodable)? = nil) async throws -> Value { try await answer(.POST, path, body: body) }

    func delete<Value: Decodable>(_ path: String) async throws -> Value { try await answer(.DELETE, path) }

    /// The answer's body as it comes.
    func stream(
        _ method: HTTPMethod, _ path: String, _ query: [(String, String?)] = [], body: (any Encodable)? = nil, _ take: ([UInt8]) async throws -> Void
    ) async throws {
        try await send(method, path + ControlClient.queryString(query), body: body, take)
    }

    /// Follows the change feed. What a newer daemon tells and this release does not know is passed over.
    ///
    /// - Parameters:
    ///   - take: gets each change
    ///   - beginning: is run before the first, and when changes may have been passed over: the time to read how things stand
    /// - Throws: ``CommandFailure`` when the daemon ends; what the bodies throw
    func changes(_ query: [(String, String?)] = [], _ take: (Change) throws -> Void, beginning: () async throws -> Void = {}) async throws {
        var lines = LineSplitter()
        var data: [UInt8] = []
        var event = ""
        try await send(.GET, ControlPaths.changes + ControlClient.queryString(query), body: nil) { bytes in
            for line in lines.take(bytes) {
                if line.starts(with: "data: ".utf8) { data += line.dropFirst(6) }
                if line.starts(with: "event: ".utf8) { event = String(decoding: line.dropFirst(7), as: UTF8.self) }
                guard line.isEmpty, !event.isEmpty else { continue }
                let change = event == "reset" ? nil : try? JSONDecoder().decode(Change.self, from: Data(data))
                if event == "reset" { try await beginning() } else if let change { try take(change) }
                (data, event) = ([], "")
            }
        }
        throw failure("it has ended")
    }

    private static func queryString(_ query: [(String, String?)]) -> String {
        let pairs = query.compactMap { name, value in value.map { "\(name)=\(percentEncoded($0))" } }
        return pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&")
    }

    /// All but letters and digits as `%XX` (RFC 3986, 2.1).
    static func percentEncoded(_ text: String) -> String {
        text.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                String(UnicodeScalar(byte))
            default: "%" + String(byte >> 4, radix: 16, uppercase: true) + String(byte & 15, radix: 16, uppercase: true)
            }
        }.joined()
    }

    private func answer<Value: Decodable>(_ method: HTTPMethod, _ path: String, body: (any Encodable)? = nil) async throws -> Value {
        var bytes: [UInt8] = []
        try await send(method, path, body: body) { bytes += $0 }
        do { return try JSONDecoder().decode(Value.self, from: Data(bytes)) } catch {
            throw failure("it answers what this release (\(BerthVersion.current)) does not understand: is it another one?")
        }
    }

    /// Sends bytes as they come from a file, a pipe or a terminal.
    func upload<Value: Decodable>(_ path: String, from file: Int32) async throws -> Value {
        var bytes: [UInt8] = []
        try await send(.PUT, path, body: nil, file: file) { bytes += $0 }
        do { return try JSONDecoder().decode(Value.self, from: Data(bytes)) } catch { throw failure("it does not say what came of it") }
    }

    private func send(
        _ method: HTTPMethod, _ path: String, body: (any Encodable)?, file: Int32? = nil, _ take: ([UInt8]) async throws -> Void
    ) async throws {
        let content = try body.map { ByteBuffer(bytes: try JSONEncoder().encode($0)) }
        let fd = try connect()
        let channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>
        do {
            channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).withConnectedSocket(fd) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                }
            }
        } catch { throw failure("\(error)") }
        try await channel.executeThenClose { incoming, outgoing in
            var headers: HTTPHeaders = ["host": "berth", "connection": "close"]
            if let content {
                headers.add(name: "content-type", value: "application/json")
                headers.add(name: "content-length", value: String(content.readableBytes))
            } else if file != nil {
                headers.add(name: "content-type", value: "application/x-tar")
                headers.add(name: "transfer-encoding", value: "chunked")
            } else if method == .POST {
                headers.add(name: "content-length", value: "0")
            }
            // A daemon that refuses a body answers before it has all of it: what it says is read in any case.
            try? await outgoing.write(.head(HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)))
            if let content { try? await outgoing.write(.body(.byteBuffer(content))) }
            var broken: Int32 = 0
            if let file {
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                while true {
                    let count = Glibc.read(file, &buffer, buffer.count)
                    if count < 0, errno == EINTR { continue }
                    if count < 0 { broken = errno }
                    guard count > 0, (try? await outgoing.write(.body(.byteBuffer(ByteBuffer(bytes: buffer[..<count]))))) != nil else { break }
                }
            }
            // Half of an archive is not to be taken for the whole: without its end the daemon drops it.
            if broken != 0 { throw CommandFailure(description: "the archive cannot be read: \(String(cString: strerror(broken)))") }
            try? await outgoing.write(.end(nil))
            try await read(incoming, take)
        }
    }

    /// - Throws: ``CommandFailure`` for an answer that is an error, and for one that breaks off
    private func read(_ incoming: NIOAsyncChannelInboundStream<HTTPClientResponsePart>, _ take: ([UInt8]) async throws -> Void) async throws {
        var status: HTTPResponseStatus?
        var complaint: [UInt8] = []
        var iterator = incoming.makeAsyncIterator()
        while true {
            let part: HTTPClientResponsePart?
            do { part = try await iterator.next() } catch { throw failure(status == nil ? "\(error)" : "it has ended, or broke off its answer") }
            switch part {
            case .head(let head): status = head.status
            case .body(let buffer):
                let bytes = Array(buffer.readableBytesView)
                if let status, status.code < 400 { try await take(bytes) } else { complaint += bytes }
            case .end:
                guard let status, status.code >= 400 else { return }
                let info = try? JSONDecoder().decode(ErrorInfo.self, from: Data(complaint))
                throw CommandFailure(description: info?.error ?? "the daemon answered \(status)", diagnostics: info?.diagnostics, problems: info?.problems)
            case nil: throw failure(status == nil ? "it closed the connection" : "it has ended, or broke off its answer")
            }
        }
    }

    /// A connection with the daemon.
    ///
    /// - Throws: ``CommandFailure`` when nobody listens
    private func connect() throws -> Int32 {
        do { return try UnixSocket.open(socket, .connect) } catch {
            switch error.code {
            case ENAMETOOLONG:
                throw CommandFailure(description: "the socket's path has \(socket.utf8.count) bytes, and the kernel takes \(UnixSocket.mostBytes): \(socket)")
            case EACCES, EPERM:
                throw CommandFailure(
                    description: "\(socket) is not yours to use: run berth as root, or as a member of the group 'berth' ('berth-view' to look only)")
            case ENOENT, ENOTDIR, ECONNREFUSED:
                throw CommandFailure(description: "no daemon listens at \(socket): start berthd, or name another socket with --socket or BERTH_SOCKET")
            default: throw CommandFailure(description: "the daemon at \(socket) cannot be reached: \(String(cString: strerror(error.code)))")
            }
        }
    }

    private func failure(_ why: String) -> CommandFailure {
        CommandFailure(description: "the daemon at \(socket) does not answer: \(why)")
    }

    /// Finds a service or job by `NAME` or `PROJECT/NAME`.
    func find(_ name: String) async throws -> WorkloadReference { try await get(ControlPaths.workloads, [("name", name)]) }

    func act(_ action: WorkloadAction, _ name: String, body: (any Encodable)? = nil) async throws -> (WorkloadReference, ActionInfo) {
        let workload = try await find(name)
        let info: ActionInfo = try await post("\(ControlPaths.workloads)/\(workload.project)/\(workload.name)/\(action.rawValue)", body)
        return (workload, info)
    }
}
