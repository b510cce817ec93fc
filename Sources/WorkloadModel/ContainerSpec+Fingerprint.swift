internal import Foundation
internal import Schedules

extension ContainerSpec {
    /// A short text that two specs share only when they are the same, in every process and release of this machine.
    ///
    /// It tells a daemon that comes back whether a live container is still what the recipe asks for.
    public var fingerprint: String {
        var plain = self
        // A set has no order of its own.
        plain.addedCapabilities = []
        plain.droppedCapabilities = []
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let body = (try? encoder.encode(plain)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let added = addedCapabilities.map(\.rawValue).sorted().joined(separator: ",")
        let dropped = droppedCapabilities.map(\.rawValue).sorted().joined(separator: ",")
        let hash = StableHash("\(body)|\(added)|\(dropped)").value
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
