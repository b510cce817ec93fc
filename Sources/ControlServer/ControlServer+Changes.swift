internal import ControlAPI
internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import Ledger
internal import NIOCore
internal import Supervision

extension ControlServer {
    /// How often a silent feed says that it still lives, so that who is in between does not end it.
    private static let beat = Duration.seconds(15)

    /// The change feed as server-sent events (HTML, 9.2): each change has the cursor to go on from as its id. A client that gives
    /// none, or one that is no longer known, gets a `reset` first: it reads what it wants to know, and what follows comes after that.
    func addChanges(_ routes: inout Routes) {
        routes.add(.changes) { request, context in
            let query = request.uri.queryParameters
            let asked = query["after"].map(String.init) ?? HTTPField.Name("Last-Event-ID").flatMap { request.headers[$0] }
            let project = query["project"].map(String.init)
            let name = query["name"].map(String.init)
            var start: FeedCursor?
            if let asked {
                guard let cursor = FeedCursor(asked) else { throw HTTPError(.badRequest, message: "'\(asked)' is not a cursor of this feed") }
                start = cursor
            }
            let place = try longAnswers.place()
            let supervisor = supervisor
            let follower = await supervisor.follow()
            context.channel.closeFuture.whenComplete { _ in Task { await supervisor.unfollow(follower) } }
            let from = start
            return Response(
                status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
                body: .init { writer in
                    defer { withExtendedLifetime(place) {} }
                    var cursor = from
                    while let page = await nextPage(after: cursor, for: follower) {
                        switch page {
                        case .beat: try await writer.write(ByteBuffer(string: ":\n\n"))
                        case .changes(let page):
                            cursor = page.cursor
                            if let text = try ControlServer.events(page, project: project, name: name) { try await writer.write(ByteBuffer(string: text)) }
                        }
                    }
                    try await writer.finish(nil)
                })
        }
    }

    private enum Page {
        case changes(FeedPage)
        case beat
    }

    /// - Returns: `nil` when the client has left
    private func nextPage(after cursor: FeedCursor?, for follower: Int) async -> Page? {
        let supervisor = supervisor
        return await withTaskGroup(of: Page?.self) { group in
            group.addTask { await supervisor.changes(after: cursor, for: follower).map(Page.changes) }
            group.addTask {
                try? await Task.sleep(for: ControlServer.beat)
                return Task.isCancelled ? nil : .beat
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    private static func events(_ page: FeedPage, project: String?, name: String?) throws -> String? {
        if page.isReset { return "id: \(page.cursor)\nevent: reset\ndata: {}\n\n" }
        let encoder = JSONEncoder()
        var text = ""
        let first = page.cursor.position - Int64(page.changes.count)
        for (index, change) in page.changes.enumerated() {
            guard project == nil || change.project == project, name == nil || change.name == name else { continue }
            let cursor = FeedCursor(feed: page.cursor.feed, position: first + Int64(index) + 1)
            text += "id: \(cursor)\nevent: \(change.subject.rawValue)\ndata: \(String(decoding: try encoder.encode(change), as: UTF8.self))\n\n"
        }
        return text.isEmpty ? nil : text
    }
}
