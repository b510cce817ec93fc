internal import DequeModule
public import Ledger
internal import WorkloadModel

/// What a follower of the change feed gets.
public struct FeedPage: Sendable {
    /// In order.
    public let changes: [Change]
    /// Where they end.
    public let cursor: FeedCursor
    /// Whether changes before these were not told: what the follower knows is to be read anew, after this.
    public let isReset: Bool
}

/// The last changes that are durable, in order, for those who follow them.
///
/// Nobody is waited for: there is one list for all, and each follower says where it stands. One that is slower than the list is
/// long, or that comes from an earlier daemon, is told so and reads the present state. (As Kubernetes' watches do: "410 Gone", then
/// list anew.)
struct ChangeFeed {
    /// How many changes are kept.
    let most: Int
    private let feed: Int64
    private var changes: Deque<Change> = []
    /// How many changes came before the first that is kept.
    private var forgotten: Int64 = 0
    private var owners: [RunID: InstanceID] = [:]
    private var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    private var lastFollower = 0
    private var followers: Set<Int> = []

    /// - Parameter feed: a number that no earlier feed of this history had, as good as surely
    init(feed: Int64, most: Int = 10_000) {
        self.feed = feed
        self.most = most
    }

    var cursor: FeedCursor { FeedCursor(feed: feed, position: forgotten + Int64(changes.count)) }

    /// Runs that go on, from an earlier daemon.
    mutating func know(_ runs: [Run]) { for run in runs { owners[run.id] = run.instance } }

    /// Takes in what became durable.
    mutating func append(_ writes: [Write]) {
        for write in writes {
            if case .openRun(let run) = write { owners[run.id] = run.instance }
            if let change = Change(write, owner: { owners[$0] }) { changes.append(change) }
            if case .closeRun(let run, _, _, _) = write { owners[run] = nil }
        }
        settle()
    }

    mutating func append(_ change: Change) {
        changes.append(change)
        settle()
    }

    private mutating func settle() {
        let surplus = changes.count - most
        if surplus > 0 {
            changes.removeFirst(surplus)
            forgotten += Int64(surplus)
        }
        for waiter in waiters.values { waiter.resume() }
        waiters = [:]
    }

    /// What came after a place; `nil` when that is nothing yet.
    ///
    /// - Parameter cursor: `nil` for who knows nothing yet
    func page(after cursor: FeedCursor?) -> FeedPage? {
        guard let cursor, cursor.feed == feed, cursor.position >= forgotten, cursor.position <= self.cursor.position else {
            return FeedPage(changes: [], cursor: self.cursor, isReset: true)
        }
        let seen = Int(cursor.position - forgotten)
        guard seen < changes.count else { return nil }
        return FeedPage(
            changes: Array(changes[seen...].prefix(1000)), cursor: FeedCursor(feed: feed, position: cursor.position + Int64(min(1000, changes.count - seen))),
            isReset: false)
    }

    // MARK: Followers

    mutating func join() -> Int {
        lastFollower += 1
        followers.insert(lastFollower)
        return lastFollower
    }

    mutating func leave(_ follower: Int) {
        followers.remove(follower)
        wake(follower)
    }

    /// Nobody follows any more.
    mutating func end() { for follower in followers { leave(follower) } }

    mutating func wake(_ follower: Int) { waiters.removeValue(forKey: follower)?.resume() }

    func isFollowed(by follower: Int) -> Bool { followers.contains(follower) }
    var followerCount: Int { followers.count }

    mutating func wait(_ follower: Int, _ continuation: CheckedContinuation<Void, Never>) {
        if followers.contains(follower) { waiters[follower] = continuation } else { continuation.resume() }
    }
}
