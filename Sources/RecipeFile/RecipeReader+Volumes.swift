internal import WorkloadModel

/// `volumes:` and `tmpfs:` of a container.
extension RecipeReader {
    enum MountKey: String, CaseIterable {
        case type, source, target, readOnly = "read_only", tmpfs, bind, volume, consistency
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
        guard (1...3).contains(parts.count), !parts[0].isEmpty else {
            error("'\(text)' is not a volume: write source:target, source:target:ro, or a target alone", node.place)
            return
        }
        if parts.count == 1 {
            guard let target = mountTarget(parts[0], node.place) else { return }
            spec.mounts.append(VolumeMount(source: .anonymous, target: target, readOnly: false))
            return
        }
        var options = MountOptions()
        for option in parts.count == 3 ? parts[2].split(separator: ",").map(String.init) : [] {
            switch option {
            case "ro": options.readOnly = true
            case "rw": options.readOnly = false
            case "nocopy": options.copiesImage = false
            // Labels of SELinux, which Berth sets none of, and how fresh a copy of macOS has to be.
            case "z", "Z", "cached", "delegated", "consistent": break
            case "private", "rprivate": break
            case "shared", "rshared", "slave", "rslave":
                error("the mount option '\(option)' is not supported: what is mounted later on one side is not seen on the other", node.place)
            default: error("'\(option)' is not an option of a volume: use ro, rw or nocopy", node.place)
            }
        }
        let isPath = parts[0].hasPrefix("/") || parts[0].hasPrefix(".") || parts[0].hasPrefix("~")
        addMount(isPath ? .bind : .volume, parts[0], parts[1], options, node.place, &spec)
    }

    struct MountOptions {
        var readOnly = false
        var makesSource = true
        var copiesImage = true
    }

    enum BindKey: String, CaseIterable { case propagation, createHostPath = "create_host_path", selinux, recursive }
    enum VolumeOptionKey: String, CaseIterable { case nocopy, subpath, labels }

    private mutating func readLongMount(_ node: YAMLNode, into spec: inout ContainerSpec) {
        let keys = mapping(node, "a volume", keys: MountKey.self, refused: ["image": "not supported yet"])
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
        var options = MountOptions()
        options.readOnly = keys[.readOnly].flatMap { bool($0) } ?? false
        if let node = keys[.bind], !node.isNull {
            if type != .bind { error("'bind' belongs to a volume of type bind", node.place) }
            let values = mapping(node, "'bind'", keys: BindKey.self)
            if let node = values[.createHostPath] { options.makesSource = bool(node) ?? true }
            if let node = values[.propagation], let text = text(node), text != "private", text != "rprivate" {
                error("the propagation '\(text)' is not supported: what is mounted later on one side is not seen on the other", node.place)
            }
            if let node = values[.selinux] { _ = text(node) }
            if let node = values[.recursive], let text = text(node), text != "enabled" { error("'recursive: \(text)' is not supported", node.place) }
        }
        if let node = keys[.volume], !node.isNull {
            if type != .volume { error("'volume' belongs to a volume of type volume", node.place) }
            let values = mapping(node, "'volume'", keys: VolumeOptionKey.self)
            if let node = values[.nocopy] { options.copiesImage = !(bool(node) ?? false) }
            if let node = values[.subpath], !node.isNull { error("'subpath' is not supported yet", node.place) }
            if let node = values[.labels] { _ = pairs(node, "'labels'") }
        }
        guard let sourceNode = keys[.source], !sourceNode.isNull, let source = text(sourceNode) else {
            guard type == .volume, keys[.source]?.isNull ?? true else {
                error("a \(type.rawValue) needs a 'source'", node.place)
                return
            }
            guard let path = mountTarget(target, targetNode.place) else { return }
            spec.mounts.append(VolumeMount(source: .anonymous, target: path, readOnly: options.readOnly, copiesImage: options.copiesImage))
            return
        }
        addMount(type, source, target, options, node.place, &spec)
    }

    private mutating func addMount(
        _ type: MountType, _ source: String, _ target: String, _ options: MountOptions, _ place: Place, _ spec: inout ContainerSpec
    ) {
        guard let target = mountTarget(target, place) else { return }
        if type == .bind {
            spec.mounts.append(VolumeMount(source: .bind(hostPath(source)), target: target, readOnly: options.readOnly, makesSource: options.makesSource))
        } else if volumes.contains(source) {
            spec.mounts.append(VolumeMount(source: .volume(source), target: target, readOnly: options.readOnly, copiesImage: options.copiesImage))
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
