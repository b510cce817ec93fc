internal import Foundation
internal import Schedules

extension ContainerSpec {
    /// A short text that two specs share only when they are the same, in every process and release of this machine.
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
        let silent = ContainerSpec.keys(ContainerSpec(root: plain.root))
        let body = own.filter { $0.key == "root" || silent[$0.key] != $0.value }.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(
            separator: "|")
        let added = addedCapabilities.map(\.rawValue).sorted().joined(separator: ",")
        let dropped = droppedCapabilities.map(\.rawValue).sorted().joined(separator: ",")
        let hash = StableHash("\(body)|\(added)|\(dropped)").value
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Each key's value as JSON with sorted keys.
    private static func keys(_ spec: ContainerSpec) -> [String: String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(spec), let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any] else { return [:] }
        return object.mapValues { value in
            let data = try? JSONSerialization.data(withJSONObject: value, options: [.sortedKeys, .fragmentsAllowed])
            return data.map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
    }
}
