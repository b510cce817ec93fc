internal import FoundationEssentials

/// A value in a column as JSON: `{"v":1,"value":…}`, with the version of its form.
///
/// A form that changes gets another number, and the reader of the old one stays here. Releases of layout 5 and before wrote the
/// value alone, in the first form.
struct StoredJSON<Value: Codable>: Decodable {
    private let value: Value

    static func text(_ value: Value) throws -> String {
        #"{"v":1,"value":\#(String(decoding: try JSONEncoder().encode(value), as: UTF8.self))}"#
    }

    /// - Returns: `nil` for what cannot be read, or is of a form that this release does not know
    static func value(_ text: String) -> Value? {
        let data = Data(text.utf8)
        guard let version = try? JSONDecoder().decode(StoredVersion.self, from: data) else { return try? JSONDecoder().decode(Value.self, from: data) }
        return version.v == 1 ? try? JSONDecoder().decode(Self.self, from: data).value : nil
    }
}

private struct StoredVersion: Decodable { let v: Int }
