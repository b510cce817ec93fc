internal import WorkloadModel

/// `volumes:` and `tmpfs:` of a container.
extension RecipeReader {
    enum MountKey: String, CaseIterable {
        case type, source, target, readOnly = "read_only", tmpfs
    }

    enum MountTmpfsKey: String, CaseIterable {
        case size, mode
    }

    enum MountType: String, CaseIterable {
        case bind, volume, tmpfs
    }

    mutating func readMounts(_ node: YAMLNode, into spec: inout ContainerSpec) {
        guard case .sequence(let items) = node.content else {
            error("'volumes' of a container must be a list; this is \(node.kindName)", node.place)
            return
        }
        for item in items {
            if case .mapping = item.content { readLongMount(item, into: &spec) } else { readShortMount(item, into: &spec) }
        }
    }

    /// Whatever kinds they are: one would hide the other.
    mutating func checkTargets(_ spec: ContainerSpec, _ place: Place) {
        var seen: Set<String> = []
        for target in spec.mounts.map(\.target) + spec.temporaryFileSystems.map(\.target) where !seen.insert(target).inserted {
            error("two mounts have the target '\(target)'", place)
        }
    }

    private mutating func readShortMount(_ node: YAMLNode, into spec: inout ContainerSpec) {
        guard let text = text(node) else { return }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), !parts[0].isEmpty else {
            error("'\(text)' is not source:target or source:target:ro; anonymous volumes are not supported: name it", node.place)
            return
        }
        var readOnly = false
        for option in parts.count == 3 ? parts[2].split(separator: ",").map(String.init) : [] {
            switch option {
            case "ro": readOnly = true
            case "rw": readOnly = false
            default: error("the mount option '\(option)' is not supported: use ro or rw", node.place)
            }
        }
        let isPath = parts[0].hasPrefix("/") || parts[0].hasPrefix(".") || parts[0].hasPrefix("~")
        addMount(isPath ? .bind : .volume, parts[0], parts[1], readOnly, node.place, &spec)
    }

    private mutating func readLongMount(_ node: YAMLNode, into spec: inout ContainerSpec) {
        let later = "not supported yet"
        let keys = mapping(
            node, "a volume", keys: MountKey.self, refused: ["bind": later, "volume": later, "consistency": "a setting of macOS", "image": later])
        guard let typeNode = keys[.type], let type = choice(typeNode, "'type'", MountType.self) else {
            if keys[.type] == nil { error("a volume in long form needs a 'type': bind, volume or tmpfs", node.place) }
            return
        }
        guard let targetNode = keys[.target], let target = text(targetNode) else {
            error("a volume in long form needs a 'target'", node.place)
            return
        }
        if type == .tmpfs {
            var size: Int64?
            var mode: UInt32 = 0o1777
            if let options = keys[.tmpfs] {
                let values = mapping(options, "'tmpfs'", keys: MountTmpfsKey.self)
                if let node = values[.size] { size = bytes(node, "'size'") }
                if let node = values[.mode], let text = text(node) {
                    if let number = UInt32(text.hasPrefix("0o") ? String(text.dropFirst(2)) : text, radix: 8), number <= 0o7777 {
                        mode = number
                    } else {
                        error("'\(text)' is not a mode: write it in octal, as 1777", node.place)
                    }
                }
            }
            for key in [MountKey.source, .readOnly] where keys[key] != nil { error("a tmpfs has no '\(key.rawValue)'", keys[key]!.place) }
            guard let path = mountTarget(target, targetNode.place) else { return }
            spec.temporaryFileSystems.append(TemporaryFileSystem(target: path, sizeBytes: size, mode: mode))
            return
        }
        if let options = keys[.tmpfs] { error("'tmpfs' belongs to a volume of type tmpfs", options.place) }
        guard let sourceNode = keys[.source], let source = text(sourceNode) else {
            error("a \(type.rawValue) needs a 'source'", node.place)
            return
        }
        addMount(type, source, target, keys[.readOnly].flatMap { bool($0) } ?? false, node.place, &spec)
    }

    private mutating func addMount(
        _ type: MountType, _ source: String, _ target: String, _ readOnly: Bool, _ place: Place, _ spec: inout ContainerSpec
    ) {
        guard let target = mountTarget(target, place) else { return }
        if type == .bind {
            spec.mounts.append(VolumeMount(source: .bind(hostPath(source)), target: target, readOnly: readOnly))
        } else if volumes.contains(source) {
            spec.mounts.append(VolumeMount(source: .volume(source), target: target, readOnly: readOnly))
        } else {
            let hint =
                Suggestion.nearest(to: source, among: volumes).map { "did you mean '\($0)'?" }
                ?? "add '\(source): {}' to 'volumes:', or write './\(source)' for a folder"
            error("there is no volume '\(source)'; \(hint)", place)
        }
    }

    /// Where a mount may go: not over what the sandbox itself mounts.
    private mutating func mountTarget(_ text: String, _ place: Place) -> String? {
        guard let path = containerPath(text, "the target", place) else { return nil }
        if DevicePlaces.contains(path) { return path }
        if path == "/" || ["/proc", "/sys", "/dev"].contains(where: { path == $0 || path.hasPrefix($0 + "/") }) {
            error("nothing can be mounted on '\(path)': it belongs to the sandbox", place)
            return nil
        }
        return path
    }

    mutating func readTmpfs(_ node: YAMLNode, into spec: inout ContainerSpec) {
        for entry in texts(node) {
            let parts = entry.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let first = parts.first, let target = mountTarget(first, node.place) else { continue }
            var size: Int64?
            var mode: UInt32 = 0o1777
            for option in parts.count == 2 ? parts[1].split(separator: ",", omittingEmptySubsequences: false) : [] {
                let pair = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                switch (pair[0], pair.count == 2 ? pair[1] : "") {
                case ("size", let value) where ByteSize.parse(value) != nil: size = ByteSize.parse(value)
                case ("mode", let value) where UInt32(value, radix: 8).map { $0 <= 0o7777 } == true: mode = UInt32(value, radix: 8) ?? mode
                case ("rw", ""): break
                default: error("the tmpfs option '\(option)' is not supported: use size=64M and mode=1777", node.place)
                }
            }
            spec.temporaryFileSystems.append(TemporaryFileSystem(target: target, sizeBytes: size, mode: mode))
        }
    }
}
