internal import Hummingbird

/// Refuses parameters that an endpoint does not have, and one that is given twice: a question with a misspelt filter is not to be
/// answered as if it had none.
struct QueryCheck: RouterMiddleware {
    typealias Context = ControlContext

    /// What each endpoint takes; one that is not here takes nothing.
    private static let parameters: [String: Set<Substring>] = [
        "/v1/runs": ["project", "name", "outcome", "trigger", "since", "until", "id", "limit"],
        "/v1/runs/{id}/log": ["follow"],
        "/v1/due": ["project", "name", "result", "since", "limit"],
        "/v1/events": ["project", "name", "limit"],
        "/v1/changes": ["project", "name", "after"],
        "/v1/next": ["project", "name", "from", "count", "each"],
        "/v1/month": ["project", "name", "month"],
        "/v1/workloads": ["name"],
        "/v1/volumes/prune": ["all"],
    ]
    /// Those that can be given more than once: any of the words counts.
    private static let lists: Set<Substring> = ["outcome", "result"]

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        if request.uri.query != nil, let path = context.endpointPath {
            let known = QueryCheck.parameters[path] ?? []
            var seen: Set<Substring> = []
            for (name, _) in request.uri.queryParameters {
                guard known.contains(name) else {
                    let has = known.isEmpty ? "it takes none" : "it takes \(known.sorted().joined(separator: ", "))"
                    throw HTTPError(.badRequest, message: "\(path) has no parameter '\(name)': \(has)")
                }
                guard seen.insert(name).inserted || QueryCheck.lists.contains(name) else {
                    throw HTTPError(.badRequest, message: "'\(name)' is given twice")
                }
            }
        }
        return try await next(request, context)
    }
}
