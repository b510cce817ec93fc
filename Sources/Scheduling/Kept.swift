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

/// The services, or the jobs. A record that was changed, and one that is gone, are written with the decision that changed them.
struct Kept<Value: Recorded>: Sendable {
    private(set) var all: [Value.ID: Value] = [:]
    private var changed: Set<Value.ID> = []

    var keys: Dictionary<Value.ID, Value>.Keys { all.keys }
    var values: Dictionary<Value.ID, Value>.Values { all.values }

    subscript(id: Value.ID) -> Value? {
        get { all[id] }
        _modify {
            let before = all.index(forKey: id) != nil
            defer {
                if let index = all.index(forKey: id) {
                    if all.values[index].isChanged { changed.insert(id) }
                } else if before {
                    changed.insert(id)
                }
            }
            yield &all[id]
        }
    }

    /// The writes that are due since this was last asked, ascending by name.
    mutating func takeWrites() -> [Write] {
        guard !changed.isEmpty else { return [] }
        defer { changed = [] }
        return changed.sorted().map { id in
            guard let index = all.index(forKey: id) else { return Value.removal(of: id) }
            all.values[index].isChanged = false
            return all.values[index].write
        }
    }
}
