import ArgumentParser
import AsyncHTTPClient
import ControlAPI
import Foundation
import HostOS
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

/// Asks the daemon.
struct ControlClient {
    let socket: String
    private let client: HTTPClient

    /// Opens a client for the time of a body.
    static func use<Value>(_ options: ConnectionOptions, _ body: (ControlClient) async throws -> Value) async throws -> Value {
        try checkSocket(options.path)
        var configuration = HTTPClient.Configuration()
        configuration.timeout = .init(connect: .seconds(5))
        // One connection, one thread: this process lives for milliseconds.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let client = HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
        do {
            let value = try await body(ControlClient(socket: options.path, client: client))
            try await client.shutdown()
            return value
        } catch {
            try? await client.shutdown()
            throw error
        }
    }

    func get<Value: Decodable>(_ path: String, _ query: [(String, String?)] = []) async throws -> Value {
        try await decode(await send(.GET, path + ControlClient.queryString(query), body: nil))
    }

    func post<Value: Decodable>(_ path: String, _ body: (any Encodable)? = nil) async throws -> Value {
        try await decode(await send(.POST, path, body: body))
    }

    func delete<Value: Decodable>(_ path: String) async throws -> Value { try await decode(await send(.DELETE, path, body: nil)) }

    /// The answer's body as it comes.
    func stream(_ method: HTTPMethodName, _ path: String, _ query: [(String, String?)] = [], body: (any Encodable)? = nil, _ take: ([UInt8]) throws -> Void)
        async throws
    {
        let response = try await send(method, path + ControlClient.queryString(query), body: body)
        for try await chunk in response.body { try take(Array(chunk.readableBytesView)) }
    }

    enum HTTPMethodName: String { case GET, POST, DELETE }

    private static func queryString(_ query: [(String, String?)]) -> String {
        let pairs = query.compactMap { name, value -> String? in
            guard let value else { return nil }
            return "\(name)=\(value.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? value)"
        }
        return pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&")
    }

    private func send(_ method: HTTPMethodName, _ path: String, body: (any Encodable)?) async throws -> HTTPClientResponse {
        let host = socket.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? socket
        var request = HTTPClientRequest(url: "http+unix://\(host)\(path)")
        request.method = .init(rawValue: method.rawValue)
        if let body { request.body = .bytes(try JSONEncoder().encode(body)) }
        let response: HTTPClientResponse
        do { response = try await client.execute(request, deadline: .distantFuture) } catch { throw failure(error) }
        guard response.status.code < 400 else {
            let bytes = try await response.body.collect(upTo: 64 << 20)
            let info = try? JSONDecoder().decode(ErrorInfo.self, from: Data(bytes.readableBytesView))
            throw CommandFailure(description: info?.error ?? "the daemon answered \(response.status)", diagnostics: info?.diagnostics, problems: info?.problems)
        }
        return response
    }

    private func decode<Value: Decodable>(_ response: HTTPClientResponse) async throws -> Value {
        let bytes = try await response.body.collect(upTo: 256 << 20)
        return try JSONDecoder().decode(Value.self, from: Data(bytes.readableBytesView))
    }

    /// Whether somebody listens, at once: the HTTP client would try again for seconds.
    private static func checkSocket(_ path: String) throws {
        do { close(try UnixSocket.open(path, .connect)) } catch {
            switch error.code {
            case ENAMETOOLONG:
                throw CommandFailure(description: "the socket's path has \(path.utf8.count) bytes, and the kernel takes \(UnixSocket.mostBytes): \(path)")
            case EACCES, EPERM: throw CommandFailure(description: "\(path) is not yours to use: run berth as root, or as a member of the group 'berth'")
            case ENOENT, ENOTDIR, ECONNREFUSED:
                throw CommandFailure(description: "no daemon listens at \(path): start berthd, or name another socket with --socket or BERTH_SOCKET")
            default: throw CommandFailure(description: "the daemon at \(path) cannot be reached: \(String(cString: strerror(error.code)))")
            }
        }
    }

    private func failure(_ error: any Error) -> CommandFailure {
        CommandFailure(description: "the daemon at \(socket) does not answer (\(error)); is berthd running?")
    }

    /// Finds a service or job by `NAME` or `PROJECT/NAME`.
    func find(_ name: String) async throws -> WorkloadReference { try await get(ControlPaths.workloads, [("name", name)]) }

    func act(_ action: WorkloadAction, _ name: String, body: (any Encodable)? = nil) async throws -> (WorkloadReference, ActionInfo) {
        let workload = try await find(name)
        let info: ActionInfo = try await post("\(ControlPaths.workloads)/\(workload.project)/\(workload.name)/\(action.rawValue)", body)
        return (workload, info)
    }
}
