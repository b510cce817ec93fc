internal import FoundationEssentials
internal import Schedules

extension ContainerSpec {
    /// A short text that two specs share only when they are the same. It is the same in every process, and in every release that
    /// makes fingerprints of the same form.
    ///
    /// It tells a daemon that comes back whether a live container is still what the recipe asks for.
    public var fingerprint: String {
        var plain = self
        // Which image it was is written down with the run.
        if var image = plain.image {
            image.digest = nil
            plain.root = .image(image)
        }
        // A set has no order of its own.
        plain.addedCapabilities = []
        plain.droppedCapabilities = []
        // Only what differs from a container that says nothing counts, so that a release with more keys changes no
        // fingerprint of containers that do not use them.
        let own = ContainerSpec.keys(plain)
        let body = own.filter { $0.key == "root" || ContainerSpec.silent[$0.key] != $0.value }.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            .joined(
                separator: "|")
        let added = addedCapabilities.map(\.rawValue).sorted().joined(separator: ",")
        let dropped = droppedCapabilities.map(\.rawValue).sorted().joined(separator: ",")
        let hash = StableHash("\(body)|\(added)|\(dropped)").value
        let digits = String(hash, radix: 16)
        return ContainerSpec.form + String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static let silent = keys(ContainerSpec(root: .host))

    /// How fingerprints are made. One of another form says nothing about a container.
    private static let form = "2:"

    /// Whether a run with this fingerprint may be of this container: not, when it is known to be of another one.
    public func mayBe(_ fingerprint: String) -> Bool { !fingerprint.hasPrefix(ContainerSpec.form) || fingerprint == self.fingerprint }

    /// Each key's value as JSON with sorted keys.
    private static func keys(_ spec: ContainerSpec) -> [String: String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(spec), let object = try? JSONDecoder().decode([String: JSONText].self, from: data) else { return [:] }
        return object.mapValues { value in (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "" }
    }
}

/// Any JSON, to be written again.
private enum JSONText: Codable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case text(String)
    case list([JSONText])
    case object([String: JSONText])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([JSONText].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: JSONText].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .list(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}
