internal import ControlAPI
internal import Foundation
internal import HTTPTypes
internal import HistoryStore
internal import Hummingbird
internal import Ledger
internal import Logging
internal import Schedules
internal import Supervision

/// The routes of the control socket, each made of its endpoint's definition: none is there without a role, and what it takes is checked before it is run.
struct Routes {
    private let router: Router<ControlContext>
    private let store: HistoryStore
    private let log: Logger
    private var made: Set<Endpoint> = []

    init(router: Router<ControlContext>, store: HistoryStore, log: Logger) {
        self.router = router
        self.store = store
        self.log = log
    }

    /// Makes the route of an endpoint.
    mutating func add(_ endpoint: Endpoint, _ body: @escaping @Sendable (Request, ControlContext) async throws -> Response) {
        made.insert(endpoint)
        let definition = endpoint.definition
        let method: HTTPRequest.Method =
            switch definition.method {
            case .get: .get
            case .post: .post
            case .put: .put
            case .delete: .delete
            }
        router.on(RouterPath(definition.path), method: method) { [store, log] request, context in
            @Sendable func record(_ status: Int, _ note: String?) async {
                guard definition.changes else { return }
                let entry = AuditRecord(
                    at: SystemClock.now(), who: context.peer?.description ?? "nobody", role: context.role.rawValue, method: definition.method.rawValue,
                    path: request.uri.path.removingPercentEncoding ?? request.uri.path, status: status, note: note)
                do { try await store.record(entry) } catch {
                    log.warning(
                        "a change is not on record",
                        metadata: ["who": "\(entry.who)", "what": "\(entry.method) \(entry.path)", "status": "\(status)", "error": "\(error)"])
                }
            }
            do {
                guard context.role >= definition.role else {
                    throw HTTPError(
                        .forbidden,
                        message: "this needs the role '\(definition.role.rawValue)', and user \(context.peer?.uid ?? 0) has '\(context.role.rawValue)'")
                }
                try Routes.check(request, definition)
                let response = try await body(request, context)
                await record(response.status.code, nil)
                return response
            } catch let error as HTTPError {
                await record(error.status.code, error.body)
                throw error
            } catch let error as ErrorInfo {
                await record(HTTPResponse.Status.unprocessableContent.code, error.error)
                throw error
            } catch {
                await record(HTTPResponse.Status.internalServerError.code, "\(error)")
                throw error
            }
        }
    }

    /// Refuses parameters that an endpoint does not have, one that is given twice, and one that is missing: a question with a misspelt filter is not to
    /// be answered as if it had none.
    private static func check(_ request: Request, _ definition: EndpointDefinition) throws {
        var seen: Set<String> = []
        if request.uri.query != nil {
            for (name, _) in request.uri.queryParameters {
                guard let parameter = definition.parameters.first(where: { $0.name == name }) else {
                    let has = definition.parameters.isEmpty ? "it takes none" : "it takes \(definition.parameters.map(\.name).sorted().joined(separator: ", "))"
                    throw HTTPError(.badRequest, message: "\(definition.path) has no parameter '\(name)': \(has)")
                }
                guard seen.insert(parameter.name).inserted || parameter.isList else { throw HTTPError(.badRequest, message: "'\(name)' is given twice") }
            }
        }
        for parameter in definition.parameters where parameter.isNeeded && !seen.contains(parameter.name) {
            throw HTTPError(.badRequest, message: "\(definition.path) needs the parameter '\(parameter.name)'")
        }
    }

    /// Each endpoint has to have its route before the server listens.
    func check() {
        let missing = Endpoint.allCases.filter { !made.contains($0) }
        precondition(missing.isEmpty, "endpoints without a route: \(missing)")
    }
}
