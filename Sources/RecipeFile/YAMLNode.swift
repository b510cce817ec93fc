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

    let content: Content
    let place: Place
    /// How many nodes it is, with all that aliases bring in.
    let size: Int

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
    public var bytes: Int
    public var depth: Int
    public var nodes: Int

    public init(bytes: Int = 1 << 20, depth: Int = 64, nodes: Int = 100_000) {
        self.bytes = bytes
        self.depth = depth
        self.nodes = nodes
    }
}
