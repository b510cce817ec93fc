internal import FoundationEssentials

/// Small files of Berth's own that hold one JSON value.
extension HostFile {
    /// - Returns: `nil` when there is no such file, or it does not hold such a value
    package static func json<Value: Decodable>(_ path: String, limit: Int = 1 << 20) -> Value? {
        (try? bytes(path, limit: limit)).flatMap { try? JSONDecoder().decode(Value.self, from: Data($0)) }
    }

    /// Writes the file whole, as ``replace(_:with:mode:durable:)-(_,[UInt8],_,_)`` does.
    package static func replace(_ path: String, json value: some Encodable, durable: Bool = true) throws {
        try replace(path, with: Array(try JSONEncoder().encode(value)), durable: durable)
    }
}
