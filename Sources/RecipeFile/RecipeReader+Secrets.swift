internal import Schedules
internal import WorkloadModel

/// `secrets:` and `configs:`: files that containers are given at each start.
extension RecipeReader {
    enum GivenFileKey: String, CaseIterable { case file, environment, content, external, name, labels }
    enum GivenUseKey: String, CaseIterable { case source, target, uid, gid, mode }

    /// - Parameter kind: `secret` or `config`
    mutating func givenFiles(_ node: YAMLNode?, _ kind: String) -> [String: GivenFile.Source?] {
        guard let node, !node.isNull else { return [:] }
        guard case .mapping(let entries) = node.content else {
            error("'\(kind)s' must be a mapping of names; this is \(node.kindName)", node.place)
            return [:]
        }
        var found: [String: GivenFile.Source?] = [:]
        for entry in entries { found[entry.key] = .some(givenFile(entry, kind)) }
        return found
    }

    private mutating func givenFile(_ entry: YAMLNode.Entry, _ kind: String) -> GivenFile.Source? {
        let refused = ["driver": "not supported: Berth keeps no secrets of its own", "template_driver": "not supported", "driver_opts": "not supported"]
        let keys = mapping(entry.value, "\(kind) '\(entry.key)'", keys: GivenFileKey.self, refused: refused)
        if let node = keys[.labels], !node.isNull { _ = pairs(node, "'labels'") }
        if let node = keys[.name], !node.isNull { _ = text(node) }
        if let node = keys[.external], !node.isNull {
            var isExternal = true
            if case .scalar = node.content { isExternal = bool(node) ?? false }
            if isExternal {
                error("an external \(kind) is not supported: give its 'file', or the 'environment' variable that holds it", node.place)
                return nil
            }
        }
        let given = [GivenFileKey.file, .environment, .content].filter { keys[$0]?.isNull == false }
        guard given.count == 1, let node = keys[given[0]], let text = text(node) else {
            if given.count != 1 {
                error("a \(kind) has its content from one of 'file', 'environment' and 'content'", entry.keyPlace)
            }
            return nil
        }
        switch given[0] {
        case .file: return .file(hostPath(text))
        case .environment:
            interpolation.use(text)
            if let value = variables[text] { return .text(EnvironmentValue(value)) }
            error("the variable \(text), which the \(kind) '\(entry.key)' is in, is not set", node.place)
            return nil
        default: return .text(EnvironmentValue(text))
        }
    }

    mutating func readGivenFiles(_ secretNode: YAMLNode?, _ configNode: YAMLNode?, into spec: inout ContainerSpec) {
        var files: [GivenFile] = []
        for (node, kind, known) in [(secretNode, "secret", secrets), (configNode, "config", configs)] {
            guard let node, !node.isNull else { continue }
            guard case .sequence(let items) = node.content else {
                error("'\(kind)s' of a container must be a list; this is \(node.kindName)", node.place)
                continue
            }
            for item in items {
                if let file = givenUse(item, kind, known) { files.append(file) }
            }
        }
        guard !files.isEmpty else { return }
        var seen = Set(spec.mounts.map(\.target) + spec.temporaryFileSystems.map(\.target))
        for file in files where !seen.insert(file.target).inserted {
            error("two mounts have the target '\(file.target)'", (secretNode ?? configNode)!.place)
        }
        spec.files = Shared(files)
    }

    private mutating func givenUse(_ node: YAMLNode, _ kind: String, _ known: [String: GivenFile.Source?]) -> GivenFile? {
        var name: String
        var target: String?
        var (uid, gid, mode): (UInt32, UInt32, UInt32) = (0, 0, 0o444)
        if case .mapping = node.content {
            let keys = mapping(node, "a \(kind)", keys: GivenUseKey.self)
            guard let source = keys[.source].flatMap({ text($0) }) else {
                error("a \(kind) in long form needs its 'source'", node.place)
                return nil
            }
            name = source
            target = keys[.target].flatMap { $0.isNull ? nil : text($0) }
            if let node = keys[.uid], !node.isNull { uid = integer(node, 0...4_294_967_294, "'uid'").map { UInt32($0) } ?? 0 }
            if let node = keys[.gid], !node.isNull { gid = integer(node, 0...4_294_967_294, "'gid'").map { UInt32($0) } ?? 0 }
            if let node = keys[.mode], !node.isNull, let text = text(node) {
                if let bits = UInt32(text.hasPrefix("0o") ? String(text.dropFirst(2)) : text, radix: 8), bits <= 0o7777 {
                    mode = bits
                } else {
                    error("'\(text)' is not a mode: write it in octal, as 0440", node.place)
                }
            }
        } else {
            guard let text = text(node) else { return nil }
            name = text
        }
        guard let source = known[name] else {
            let hint = Suggestion.nearest(to: name, among: known.keys).map { "; did you mean '\($0)'?" } ?? ": say under '\(kind)s:' at the top what it is"
            error("there is no \(kind) '\(name)'\(hint)", node.place)
            return nil
        }
        let place = target ?? name
        let path = place.hasPrefix("/") ? place : kind == "secret" ? "/run/secrets/\(place)" : "/\(place)"
        guard let inside = containerPath(path, "the target", node.place) else { return nil }
        if inside == "/" || ["/proc", "/sys", "/dev"].contains(where: { inside == $0 || inside.hasPrefix($0 + "/") }) {
            error("nothing can be put at '\(inside)': it belongs to the sandbox", node.place)
            return nil
        }
        guard let source else { return nil }
        return GivenFile(source: source, target: inside, uid: uid, gid: gid, mode: mode)
    }
}
