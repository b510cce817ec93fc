/// A value of a YAML document, with its place.
struct YAMLNode {
    indirect enum Content {
        case scalar(String, quoted: Bool)
        case sequence([YAMLNode])
        case mapping([Entry])
    }

    struct Entry {
        let key: String
        let keyPlace: Place
        let value: YAMLNode
    }

    /// What a tag says of a value that is merged over another (Compose Specification, "Merge").
    enum Mark: Int32 {
        case none
        /// `!reset`: what was there is taken away.
        case reset
        /// `!override`: it stands in place of what was there.
        case replaces

        init(tag: String?) {
            self = tag == "!reset" ? .reset : tag == "!override" ? .replaces : .none
        }
    }

    let content: Content
    let place: Place
    /// The size in the lowest bits, the mark in the two above them, and in the highest whether something in it has one.
    private let count: Int32

    init(content: Content, place: Place, size: Int, mark: Mark = .none, holdsMarks: Bool = false) {
        self.content = content
        self.place = place
        count = Int32(min(max(size, 0), (1 << 29) - 1)) | mark.rawValue << 29 | (holdsMarks ? Int32.min : 0)
    }

    /// How many nodes it is, with all that aliases bring in.
    var size: Int { Int(count & ((1 << 29) - 1)) }

    var mark: Mark { Mark(rawValue: count >> 29 & 3) ?? .none }

    /// Whether something in it has a mark.
    var holdsMarks: Bool { count < 0 }

    /// Whether it, or something in it, has one.
    var isMarked: Bool { count >> 29 != 0 }

    /// What a message calls it.
    var kindName: String {
        switch content {
        case .scalar(let text, let quoted): !quoted && YAMLNode.isNull(text) ? "nothing" : "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    var isNull: Bool {
        if case .scalar(let text, quoted: false) = content { YAMLNode.isNull(text) } else { false }
    }

    private static func isNull(_ text: String) -> Bool { ["", "~", "null", "Null", "NULL"].contains(text) }
}

/// How much a recipe may be, so that a hostile one is refused at once. Aliases count with what they bring in.
public struct RecipeLimits: Sendable {
    /// The most bytes of UTF-8 text, a byte order mark not counted.
    public var bytes: Int
    /// The most levels of nesting; a single value is one level.
    public var depth: Int
    /// The most nodes: values, lists, mappings and keys of mappings.
    public var nodes: Int

    /// The defaults are 1 MiB, 64 levels and 100,000 nodes.
    public init(bytes: Int = 1 << 20, depth: Int = 64, nodes: Int = 100_000) {
        self.bytes = bytes
        self.depth = depth
        self.nodes = nodes
    }
}
