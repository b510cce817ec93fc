/// A value of a recipe as it is in force: variables replaced, short forms written long.
public indirect enum ConfigValue: Hashable, Sendable {
    /// Nothing.
    case null
    /// True or false.
    case bool(Bool)
    /// A whole number.
    case int(Int64)
    /// A number.
    case number(Double)
    /// A text.
    case text(String)
    /// Values in order.
    case list([ConfigValue])
    /// Values by name.
    case map([String: ConfigValue])

    /// With each dollar sign doubled, so that what is printed reads back as what it is.
    var escaped: ConfigValue {
        switch self {
        case .text(let text): .text(text.replacing("$", with: "$$"))
        case .list(let items): .list(items.map(\.escaped))
        case .map(let entries): .map(entries.mapValues(\.escaped))
        default: self
        }
    }

    /// As JSON with sorted keys, without a line end.
    public var json: String { json(indent: 0) }

    private func json(indent: Int) -> String {
        let (outer, inner) = (String(repeating: "  ", count: indent), String(repeating: "  ", count: indent + 1))
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .int(let value): return "\(value)"
        case .number(let value): return ConfigValue.print(value)
        case .text(let text): return ConfigValue.quoted(text)
        case .list(let items):
            return items.isEmpty ? "[]" : "[\n" + items.map { inner + $0.json(indent: indent + 1) }.joined(separator: ",\n") + "\n\(outer)]"
        case .map(let entries):
            let lines = entries.sorted { $0.key < $1.key }.map { "\(inner)\(ConfigValue.quoted($0.key)): \($0.value.json(indent: indent + 1))" }
            return entries.isEmpty ? "{}" : "{\n" + lines.joined(separator: ",\n") + "\n\(outer)}"
        }
    }

    /// As YAML with sorted keys; `name` comes first.
    public var yaml: String { lines(indent: 0).joined(separator: "\n") + "\n" }

    private func lines(indent: Int) -> [String] {
        let margin = String(repeating: " ", count: indent)
        switch self {
        case .list(let items) where !items.isEmpty:
            return items.flatMap { item -> [String] in
                var inner = item.lines(indent: indent + 2)
                inner[0] = margin + "- " + inner[0].dropFirst(indent + 2)
                return inner
            }
        case .map(let entries) where !entries.isEmpty:
            let sorted = entries.sorted { left, right in
                let first = indent == 0 ? (left.key == "name" ? 0 : 1, right.key == "name" ? 0 : 1) : (0, 0)
                return (first.0, left.key) < (first.1, right.key)
            }
            return sorted.flatMap { key, value -> [String] in
                let name = margin + ConfigValue.plain(key) + ":"
                switch value {
                case .list(let items) where !items.isEmpty: return [name] + value.lines(indent: indent + 2)
                case .map(let entries) where !entries.isEmpty: return [name] + value.lines(indent: indent + 2)
                default: return [name + " " + value.lines(indent: 0)[0]]
                }
            }
        case .text(let text): return [margin + ConfigValue.plain(text)]
        default: return [margin + json]
        }
    }

    /// A text as YAML: in quotes where it could be taken for something else.
    private static func plain(_ text: String) -> String {
        let isPlain =
            text.first.map { $0.isASCII && ($0.isLetter || $0 == "/" || $0 == "_") } ?? false
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "/_-.@+=".contains($0)) }
            && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(text.lowercased())
        return isPlain ? text : quoted(text)
    }

    /// As Go prints one, which is what Compose does.
    static func print(_ value: Double) -> String {
        if value == value.rounded(), abs(value) < 1e18 { return "\(Int64(value))" }
        return "\(value)"
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 32 || scalar.value == 127:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
