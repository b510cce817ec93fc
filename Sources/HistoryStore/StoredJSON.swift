internal import FoundationEssentials

/// Values in columns as JSON: `{"v":1,"value":…}`, with the version of their form.
///
/// A form that changes gets another number, and the reader of the old one stays here. Releases of layout 5 and before wrote the
/// value alone, in the first form.
enum StoredJSON {
    private static let first = #"{"v":1,"value":"#
    private static let any = #"{"v":"#

    static func text(_ value: some Encodable) throws -> String { first + String(decoding: try JSONEncoder().encode(value), as: UTF8.self) + "}" }

    /// Most lists are empty: a job's record is written with each of its runs.
    static func text(list: [some Encodable]) throws -> String { list.isEmpty ? first + "[]}" : try text(list) }

    /// - Returns: `nil` for what cannot be read, or is of a form that this release does not know
    static func value<Value: Decodable>(_ text: String) -> Value? {
        let body: Substring
        if text.hasPrefix(first), text.hasSuffix("}") {
            body = text.dropFirst(first.count).dropLast()
        } else if text.hasPrefix(any) {
            return nil
        } else {
            body = text[...]
        }
        return try? JSONDecoder().decode(Value.self, from: Data(body.utf8))
    }
}
