internal import Dispatch
internal import Synchronization

/// Work that takes the processor for long, such as reading a recipe: one piece after the other, on a thread of its own, so
/// that no due time waits for it, and so many waiting at most.
final class WorkQueue: Sendable {
    private let queue = DispatchQueue(label: "berth.recipes", qos: .utility)
    private let waiting = Mutex(0)
    private let most: Int

    init(most: Int) {
        self.most = most
    }

    /// Does a piece of work in its turn.
    ///
    /// - Throws: what the work throws, or ``Busy`` when too much is waiting
    func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        let admitted = waiting.withLock { count in
            guard count < most else { return false }
            count += 1
            return true
        }
        guard admitted else { throw Busy() }
        defer { waiting.withLock { $0 -= 1 } }
        return try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try work() }) }
        }
    }

    struct Busy: Error, CustomStringConvertible {
        var description: String { "the daemon is reading as many recipes as it takes at once; try again" }
    }
}
