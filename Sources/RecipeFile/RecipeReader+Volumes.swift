internal import WorkloadModel

/// What a volume of the recipe is.
enum NamedVolume: Hashable {
    /// A directory of the project's.
    case own
    /// One that has a name of its own, which projects share.
    case shared(String, isExternal: Bool)
    /// A directory of the host, which must be there.
    case bind(String)
    /// A file system in memory.
    case memory(TemporaryFileSystem)
}

/// `volumes:` of the recipe, and `volumes:` and `tmpfs:` of a container.
extension RecipeReader {
    enum VolumeKey: String, CaseIterable { case driver, driverOptions = "driver_opts", external, labels, name }

    mutating func readVolumes(_ node: YAMLNode?) {
        guard let node, !node.isNull else { return }
        guard case .mapping(let entries) = node.content else {
            error("'volumes' must be a mapping of names; this is \(node.kindName)", node.place)
            return
        }
        for entry in entries {
            do { _ = try WorkloadName(entry.key) } catch {
                self.error("invalid name of a volume: \(error.description)", entry.keyPlace)
                continue
            }
            volumes[entry.key] = namedVolume(entry)
        }
    }

    private mutating func namedVolume(_ entry: YAMLNode.Entry) -> NamedVolume {
        if entry.value.isNull { return .own }
        guard case .mapping = entry.value.content else {
            error("a volume has no value: write '\(entry.key): {}'", entry.value.place)
            return .own
        }
        let keys = mapping(entry.value, "volume '\(entry.key)'", keys: VolumeKey.self)
        if let node = keys[.labels], !node.isNull { _ = pairs(node, "'labels'") }
        if let node = keys[.driver], !node.isNull, let text = text(node), !text.isEmpty, text != "local" {
            error("the volume driver '\(text)' is not supported: a volume is a directory that Berth keeps (local)", node.place)
        }
        var name = keys[.name].flatMap { $0.isNull ? nil : text($0) }
        if let given = name, !isVolumeName(given) {
            error("'\(given)' is not a name for a volume: use letters, digits, '-', '_' and '.', and begin with a letter or digit", keys[.name]!.place)
            name = nil
        }
        let options = keys[.driverOptions].flatMap { $0.isNull ? nil : $0 }
        if let node = keys[.external], !node.isNull {
            var isExternal = true
            if case .mapping = node.content {
                // An old form: external: { name: x }.
                enum Key: String, CaseIterable { case name }
                name = mapping(node, "'external'", keys: Key.self)[.name].flatMap { text($0) } ?? name
            } else {
                isExternal = bool(node) ?? false
            }
            if isExternal, let options { error("an external volume is made elsewhere: 'driver_opts' has no meaning for it", options.place) }
            if isExternal { return .shared(name ?? entry.key, isExternal: true) }
        }
        if let options, let special = special(pairs(options, "'driver_opts'"), options.place) { return special }
        return name.map { .shared($0, isExternal: false) } ?? .own
    }

    private func isVolumeName(_ text: String) -> Bool {
        text.utf8.count <= 200 && text.first.map { $0.isASCII && ($0.isLetter || $0.isNumber) } ?? false
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
    }

    /// Options of Docker's local driver, which are those of mount(8).
    private mutating func special(_ options: [String: String], _ place: Place) -> NamedVolume? {
        let words = (options["o"] ?? "").split(separator: ",").map(String.init)
        for name in options.keys.sorted() where !["type", "o", "device", "size"].contains(name) {
            error("the option '\(name)' of a volume is not known: use type, o and device", place)
        }
        switch options["type"] ?? "" {
        case "tmpfs":
            var memory = temporary("", words, "option of a volume in memory", place)
            // It is mounted as it is described, and not as `tmpfs:` of a service is.
            memory.isExecutable = memory.isExecutable ?? !words.contains("noexec")
            return .memory(memory)
        case "none" where words.contains("bind") || words.contains("rbind"), "" where words.contains("bind") || words.contains("rbind"),
            "bind" where options["device"] != nil:
            guard let device = options["device"], device.hasPrefix("/") || device.hasPrefix(".") || device.hasPrefix("~") else {
                error("a volume that is a folder of the host needs its path as 'device'", place)
                return .own
            }
            return .bind(hostPath(device))
        case "" where options.isEmpty || words.isEmpty && options["device"] == nil: return nil
        case let type:
            error("a volume of type '\(type.isEmpty ? "?" : type)' is not supported yet: mount it on the host, and name the folder", place)
            return .own
        }
    }

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
        for target in spec.mounts.map(\.target) + spec.temporaryFileSystems.map(\.target) where DevicePlaces.isInSys(target) && !spec.privileged {
            error("nothing can be mounted on '\(target)': it belongs to the sandbox of a container that is not privileged", place)
        }
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
            case "slave", "rslave": warning("'\(option)' is taken as private: \(RecipeReader.laterMounts)", node.place)
            case "shared", "rshared": error("the mount option '\(option)' is not supported: what a container mounts is not seen on the host", node.place)
            default: error("'\(option)' is not an option of a volume: use ro, rw or nocopy", node.place)
            }
        }
        let isPath = parts[0].hasPrefix("/") || parts[0].hasPrefix(".") || parts[0].hasPrefix("~")
        addMount(isPath ? .bind : .volume, parts[0], parts[1], options, node.place, &spec)
    }

    private static let laterMounts = "what is mounted on the host later is seen by the container's next run"

    struct MountOptions {
        var readOnly = false
        var makesSource = true
        var copiesImage = true
        var subpath: String?
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
            if let source = keys[.source] { error("a tmpfs has no 'source'", source.place) }
            guard let path = mountTarget(target, targetNode.place) else { return }
            var found = TemporaryFileSystem(target: path, sizeBytes: size, mode: mode)
            if let node = keys[.readOnly], bool(node) == true { found.isReadOnly = true }
            spec.temporaryFileSystems.append(found)
            return
        }
        if let options = keys[.tmpfs] { error("'tmpfs' belongs to a volume of type tmpfs", options.place) }
        var options = MountOptions()
        options.readOnly = keys[.readOnly].flatMap { bool($0) } ?? false
        if let node = keys[.bind], !node.isNull {
            if type != .bind { error("'bind' belongs to a volume of type bind", node.place) }
            let values = mapping(node, "'bind'", keys: BindKey.self)
            if let node = values[.createHostPath] { options.makesSource = bool(node) ?? true }
            if let node = values[.propagation], let text = text(node), !["", "private", "rprivate"].contains(text) {
                switch text {
                case "slave", "rslave": warning("'\(text)' is taken as private: \(RecipeReader.laterMounts)", node.place)
                default: error("the propagation '\(text)' is not supported: what a container mounts is not seen on the host", node.place)
                }
            }
            if let node = values[.selinux] { _ = text(node) }
            if let node = values[.recursive], let text = text(node), text != "enabled" { error("'recursive: \(text)' is not supported", node.place) }
        }
        if let node = keys[.volume], !node.isNull {
            if type != .volume { error("'volume' belongs to a volume of type volume", node.place) }
            let values = mapping(node, "'volume'", keys: VolumeOptionKey.self)
            if let node = values[.nocopy] { options.copiesImage = !(bool(node) ?? false) }
            if let node = values[.subpath], !node.isNull, let text = text(node), !text.isEmpty {
                let parts = text.split(separator: "/")
                if text.hasPrefix("/") || parts.contains("..") || parts.isEmpty {
                    error("'subpath' is a path inside the volume, without '..', not '\(text)'", node.place)
                } else {
                    options.subpath = parts.filter { $0 != "." }.joined(separator: "/")
                }
            }
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
            if ["/var/run/docker.sock", "/run/docker.sock"].contains(hostPath(source)) {
                warning(
                    "who has Docker's socket sees Docker's containers and none of Berth's, and is root on this host: give a proxy its routes in a file, and run what is due by 'jobs:'",
                    place)
            }
            spec.mounts.append(VolumeMount(source: .bind(hostPath(source)), target: target, readOnly: options.readOnly, makesSource: options.makesSource))
        } else if let volume = volumes[source] {
            var mount = VolumeMount(source: .volume(source), target: target, readOnly: options.readOnly, copiesImage: options.copiesImage)
            mount.subpath = options.subpath
            switch volume {
            case .own: spec.mounts.append(mount)
            case .shared(let name, let isExternal):
                mount = VolumeMount(source: .shared(name, isExternal: isExternal), target: target, readOnly: options.readOnly, copiesImage: options.copiesImage)
                mount.subpath = options.subpath
                spec.mounts.append(mount)
            case .bind(let path):
                let whole = options.subpath.map { "\(path)/\($0)" } ?? path
                spec.mounts.append(VolumeMount(source: .bind(whole), target: target, readOnly: options.readOnly))
            case .memory(var memory):
                memory.target = target
                if options.readOnly { memory.isReadOnly = true }
                spec.temporaryFileSystems.append(memory)
            }
        } else {
            let hint =
                Suggestion.nearest(to: source, among: volumes.keys).map { "did you mean '\($0)'?" }
                ?? "add '\(source): {}' to 'volumes:', or write './\(source)' for a folder"
            error("there is no volume '\(source)'; \(hint)", place)
        }
    }

    /// Where a mount may go: not over what the sandbox itself mounts.
    private mutating func mountTarget(_ text: String, _ place: Place) -> String? {
        guard let path = containerPath(text, "the target", place) else { return nil }
        // Whether the container may is known once all of its keys are.
        if DevicePlaces.contains(path, privileged: true) { return path }
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
            let words = parts.count == 2 ? parts[1].split(separator: ",", omittingEmptySubsequences: false).map(String.init) : []
            spec.temporaryFileSystems.append(temporary(target, words, "tmpfs option", node.place))
        }
    }

    /// A file system in memory by options of mount(8), as Docker takes them.
    ///
    /// - Parameter what: what an option is called in errors
    private mutating func temporary(_ target: String, _ words: [String], _ what: String, _ place: Place) -> TemporaryFileSystem {
        var found = TemporaryFileSystem(target: target, sizeBytes: nil)
        for word in words {
            let pair = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let value = pair.count == 2 ? pair[1] : ""
            let number = value.allSatisfy { $0.isASCII && $0.isNumber } ? UInt32(value) : nil
            switch (pair[0], pair.count) {
            case ("size", 2) where ByteSize.parse(value) != nil: found.sizeBytes = ByteSize.parse(value)
            case ("mode", 2) where UInt32(value, radix: 8).map { $0 <= 0o7777 } == true: found.mode = UInt32(value, radix: 8) ?? found.mode
            case ("uid", 2) where number.map { $0 < .max } == true: found.owner = number
            case ("gid", 2) where number.map { $0 < .max } == true: found.group = number
            case ("nr_inodes", 2) where number.map { $0 > 0 } == true: found.mostFiles = number.map { Int64($0) }
            case ("exec", 1): found.isExecutable = true
            case ("noexec", 1): found.isExecutable = nil
            case ("ro", 1): found.isReadOnly = true
            case ("rw", 1): found.isReadOnly = nil
            // So it is in any case.
            case ("nosuid", 1), ("nodev", 1): break
            case ("suid", 1), ("dev", 1):
                error("the \(what) '\(word)' is not supported: set-user-id programs and device nodes work nowhere in a sandbox", place)
            default:
                error("the \(what) '\(word)' is not supported: use size=64M, mode=1777, uid=1000, gid=1000, nr_inodes=1000, exec, noexec, ro or rw", place)
            }
        }
        return found
    }
}
