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
        // Releases that knew neither launched it without a terminal and the journal: it goes on, and has them from its next start on.
        plain.logsToJournal = nil
        if plain.tuning?.value.hasTerminal != nil {
            var tuning = plain.tuning!.value
            tuning.hasTerminal = nil
            plain.tuning = Shared(tuning)
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
    private static let form = "3:"

    /// Whether a run with this fingerprint may be of this container: not, when it is known to be of another one.
    public func mayBe(_ fingerprint: String) -> Bool { !fingerprint.hasPrefix(ContainerSpec.form) || fingerprint == self.fingerprint }

    /// Each key's value as JSON with sorted keys.
    private static func keys(_ spec: ContainerSpec) -> [String: String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(spec) else { return [:] }
        return members(of: Array(data))
    }

    /// The members of a JSON object that an encoder wrote, each value as it stands there. Nothing is decoded: a decoder that tries
    /// types one after another costs more than all the rest of a fingerprint.
    private static func members(of object: [UInt8]) -> [String: String] {
        var members: [String: String] = [:]
        var (depth, inText, start) = (0, false, 1)
        var key: String?
        var index = 0
        while index < object.count {
            let byte = object[index]
            switch byte {
            case UInt8(ascii: "\\") where inText: index += 1
            case UInt8(ascii: "\""): inText.toggle()
            case _ where inText: break
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
            let isEnd = !inText && (depth == 0 || depth == 1 && byte == UInt8(ascii: ","))
            if !inText, depth == 1, byte == UInt8(ascii: ":"), key == nil {
                // Without its quotes.
                key = String(decoding: object[(start + 1)..<(index - 1)], as: UTF8.self)
                start = index + 1
            } else if isEnd, let name = key {
                members[name] = String(decoding: object[start..<index], as: UTF8.self)
                (key, start) = (nil, index + 1)
            }
            index += 1
        }
        return members
    }
}
