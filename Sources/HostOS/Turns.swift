internal import Synchronization

/// Lets one piece of asynchronous work at a time go on for each key, in the order in which they came.
package final class Turns<Key: Hashable & Sendable>: Sendable {
    private struct Line {
        /// Ends with the last in the line.
        var last: Task<Void, Never>
        var count: Int
    }

    package init() {}

    private let lines = Mutex<[Key: Line]>([:])

    /// Whether somebody's turn is, or is to come.
    package func isBusy(_ key: Key) -> Bool { lines.withLock { $0[key] != nil } }

    /// - Parameter waits: called when somebody else's turn has to end first
    /// - Throws: what the body throws, or `CancellationError` when it was called off before its turn came
    @discardableResult
    package func run<Value: Sendable>(_ key: Key, waits: @Sendable () -> Void = {}, _ body: @escaping @Sendable () async throws -> Value) async throws -> Value
    {
        let (turn, isFirst) = lines.withLock { lines in
            let before = lines[key]
            let turn = Task {
                await before?.last.value
                try Task.checkCancellation()
                return try await body()
            }
            lines[key] = Line(last: Task { _ = await turn.result }, count: (before?.count ?? 0) + 1)
            return (turn, before == nil)
        }
        if !isFirst { waits() }
        defer {
            lines.withLock { lines in
                lines[key]?.count -= 1
                if lines[key]?.count == 0 { lines[key] = nil }
            }
        }
        return try await withTaskCancellationHandler {
            try await turn.value
        } onCancel: {
            turn.cancel()
        }
    }
}
