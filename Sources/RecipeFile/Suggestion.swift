/// The nearest known word, for "did you mean".
package enum Suggestion {
    package static func nearest(to word: String, among known: some Sequence<String>) -> String? {
        // Nobody misspells a name of more letters than any has.
        guard word.utf8.count <= 64 else { return nil }
        let most = max(1, min(3, word.count / 3))
        return known.map { ($0, distance(word, $0)) }.filter { $0.1 <= most }.min { ($0.1, $0.0) < ($1.1, $1.0) }?.0
    }

    /// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
    static func distance(_ left: String, _ right: String) -> Int {
        let a = Array(left.lowercased())
        let b = Array(right.lowercased())
        if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in 1...a.count {
            var current = [i] + [Int](repeating: 0, count: b.count)
            for j in 1...b.count {
                let cost = a[i - 1] == b[j - 1] ? 0 : 1
                current[j] = min(last[j] + 1, current[j - 1] + 1, last[j - 1] + cost)
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { current[j] = min(current[j], beforeLast[j - 2] + 1) }
            }
            beforeLast = last
            last = current
        }
        return last[b.count]
    }
}
