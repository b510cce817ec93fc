public import Ledger

/// The change feed: who follows it hears of each change once it is durable.
extension Supervisor {
    /// Begins to follow; to be ended with ``unfollow(_:)``.
    public func follow() -> Int { feed.join() }

    /// Ends what ``follow()`` began; a wait for changes returns.
    public func unfollow(_ follower: Int) { feed.leave(follower) }

    /// The next changes; waits until there are some.
    ///
    /// - Parameter cursor: where the follower stands; `nil` when it knows nothing yet
    /// - Returns: `nil` when the follower has left, the daemon ends, or the task is cancelled
    public func changes(after cursor: FeedCursor?, for follower: Int) async -> FeedPage? {
        while feed.isFollowed(by: follower), !Task.isCancelled {
            if let page = feed.page(after: cursor) { return page }
            await withTaskCancellationHandler {
                await withCheckedContinuation { feed.wait(follower, $0) }
            } onCancel: {
                Task { await self.wake(follower) }
            }
        }
        return nil
    }

    private func wake(_ follower: Int) { feed.wake(follower) }
}
