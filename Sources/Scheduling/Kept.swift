internal import HashTreeCollections
internal import Ledger

/// What a ``Kept`` table holds: something with a record of its own in the store.
protocol Recorded: Sendable {
    /// Whether the record differs from the one that is stored.
    var isChanged: Bool { get set }
    associatedtype ID: Hashable & Comparable & Sendable
    var write: Write { get }
    /// The write of one that is gone.
    static func removal(of id: ID) -> Write
}

/// The services, or the jobs, in a tree that a copy of it shares: what `plan` decides on, and what `up` compares with, costs what the recipe
/// changes, not what there is. A record that was changed, and one that is gone, are written with the decision that changed them.
struct Kept<Value: Recorded>: Sendable {
    private var all: TreeDictionary<Value.ID, Value> = [:]
    private var changed: Set<Value.ID> = []

    var keys: some Collection<Value.ID> { all.keys }
    var values: some Collection<Value> { all.values }

    subscript(id: Value.ID) -> Value? {
        get { all[id] }
        _modify {
            let before = all.index(forKey: id) != nil
            defer {
                if all[id]?.isChanged ?? before { changed.insert(id) }
            }
            yield &all[id]
        }
    }

    /// The writes that are due since this was last asked, ascending by name.
    mutating func takeWrites() -> [Write] {
        guard !changed.isEmpty else { return [] }
        defer { changed = [] }
        return changed.sorted().map { id in
            all[id]?.isChanged = false
            return all[id]?.write ?? Value.removal(of: id)
        }
    }
}
