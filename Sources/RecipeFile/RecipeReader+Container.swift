internal import WorkloadModel

/// The keys that services and jobs share.
extension RecipeReader {
    enum StorageKey: String, CaseIterable { case size }
    enum FileKey: String, CaseIterable { case path, required, format }

    mutating func container(_ keys: [String: YAMLNode.Entry], _ place: Place, _ what: String) -> ContainerSpec? {
        func node(_ key: ContainerKey) -> YAMLNode? { keys[key.rawValue].map(\.value) }
        guard let root = root(keys, place, what) else { return nil }
        var spec = ContainerSpec(root: root)
        if let node = node(.entrypoint) { spec.entrypoint = command(node, "'entrypoint'") }
        if let node = node(.command) { spec.command = command(node, "'command'") }
        if case .image = root {
        } else if (spec.entrypoint ?? []).isEmpty, (spec.command ?? []).isEmpty {
            error("\(what) has no 'command': without an image there is nothing to run", place)
        }
        spec.environment = environment(node(.environment), node(.envFile))
        if let node = node(.workingDir), !node.isNull, let text = text(node), !text.isEmpty {
            // Relative to the root, as Docker takes it.
            let path = text.hasPrefix("/") ? text : "/" + text.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
            spec.workingDirectory = containerPath(path, "'working_dir'", node.place)
        }
        if let node = node(.user), !node.isNull, let text = text(node), !text.isEmpty {
            if text.isEmpty || text.count > 100 || text.filter({ $0 == ":" }).count > 1 || text.contains(where: \.isWhitespace) {
                error("'\(text)' is not a user: write name, uid, name:group or uid:gid", node.place)
            }
            spec.user = text
        }
        if let node = node(.hostname), !node.isNull, let text = text(node), !text.isEmpty {
            if !isHostName(text, most: 63) { error("'\(text)' is not a host name: use 1 to 63 letters, digits, '-', '_' and '.'", node.place) }
            spec.hostname = text
        }
        if let node = node(.privileged) { spec.privileged = bool(node) ?? false }
        if let node = node(.volumes) { readMounts(node, into: &spec) }
        if let node = node(.tmpfs) { readTmpfs(node, into: &spec) }
        if let node = node(.volumes) ?? node(.tmpfs) { checkTargets(spec, node.place) }
        readGivenFiles(node(.secrets), node(.configs), into: &spec)
        if let node = node(.readOnly) { spec.readOnlyRoot = bool(node) ?? false }
        if let node = node(.initProcess) { spec.initProcess = bool(node) ?? false }
        if let node = node(.stopSignal) { spec.stopSignal = signal(node) }
        if let node = node(.stopGracePeriod), let grace = duration(node) { spec.stopGracePeriod = grace }
        if let node = node(.capAdd) { spec.addedCapabilities = capabilities(node) }
        if let node = node(.capDrop) { spec.droppedCapabilities = capabilities(node) }
        if let node = node(.storageOpt), let size = mapping(node, "'storage_opt'", keys: StorageKey.self)[.size], let bytes = bytes(size, "'size'") {
            if bytes < 1 << 20 { error("'size' of 'storage_opt' is less than 1M: nothing could be written", size.place) }
            spec.writableLayerBytes = bytes
        }
        if let node = node(.securityOpt) { readSecurityOptions(node, into: &spec) }
        readNetworking(keys, into: &spec)
        if let node = node(.shmSize), let size = bytes(node, "'shm_size'") { spec.sharedMemoryBytes = size }
        readNotes(keys, into: &spec)
        if let node = node(.healthcheck) { spec.healthCheck = healthCheck(node).map { Shared($0) } }
        readLimits(keys, into: &spec.limits)
        readTuning(keys, into: &spec)
        if let node = node(.ulimits) { spec.resourceLimits = userLimits(node) }
        return spec
    }

    private mutating func root(_ keys: [String: YAMLNode.Entry], _ place: Place, _ what: String) -> RootFileSystem? {
        let image = keys[ContainerKey.image.rawValue]
        let rootfs = keys[ContainerKey.rootfs.rawValue]
        switch (image, rootfs) {
        case (let image?, nil): return self.image(image.value, keys).map { .image($0) }
        case (nil, let rootfs?):
            for key in [ContainerKey.pullPolicy, .platform] {
                if let entry = keys[key.rawValue] { error("'\(key.rawValue)' goes with 'image'", entry.keyPlace) }
            }
            guard let text = text(rootfs.value) else { return nil }
            if text == "host" { return .host }
            let path = hostPath(text)
            guard path != "/" else {
                error("the root file system '/' is the host's: write 'rootfs: host'", rootfs.value.place)
                return nil
            }
            return .directory(path)
        case (_?, let rootfs?):
            error("\(what) has both 'image' and 'rootfs': its files come from one of them", rootfs.keyPlace)
            return nil
        case (nil, nil):
            error("\(what) has no files: give it 'image:', or 'rootfs: host' for the host's own", place)
            return nil
        }
    }

    // MARK: Environment

    private mutating func environment(_ node: YAMLNode?, _ fileNode: YAMLNode?) -> [String: EnvironmentValue] {
        var own: [String: EnvironmentValue] = [:]
        if let node, !node.isNull { readEnvironment(node, into: &own) }
        guard let fileNode else { return own }
        // As in Compose, its files may name what the service itself says.
        var values: [String: EnvironmentValue] = [:]
        readEnvironmentFiles(fileNode, own.mapValues(\.revealed), into: &values)
        return values.merging(own) { _, own in own }
    }

    private mutating func readEnvironment(_ node: YAMLNode, into values: inout [String: EnvironmentValue]) {
        switch node.content {
        case .mapping(let entries):
            for entry in entries {
                guard checkVariable(entry.key, entry.keyPlace) else { continue }
                if entry.value.isNull {
                    passOn(entry.key, into: &values)
                } else if let text = looseText(entry.value) {
                    values[entry.key] = EnvironmentValue(text)
                }
            }
        case .sequence(let items):
            for item in items {
                guard let text = text(item) else { continue }
                let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                guard checkVariable(parts[0], item.place) else { continue }
                if parts.count == 2 { values[parts[0]] = EnvironmentValue(parts[1]) } else { passOn(parts[0], into: &values) }
            }
        case .scalar: error("'environment' must be a mapping, or a list of NAME=value; this is \(node.kindName)", node.place)
        }
    }

    /// A name without a value takes the value that the recipe's reader has, or none.
    private mutating func passOn(_ name: String, into values: inout [String: EnvironmentValue]) {
        interpolation.use(name)
        if let text = variables[name] { values[name] = EnvironmentValue(text) }
    }

    private mutating func checkVariable(_ name: String, _ place: Place) -> Bool {
        let valid = !name.isEmpty && !name.contains("=") && !name.utf8.contains(0) && !name.contains(where: \.isWhitespace)
        if !valid { error("'\(name)' is not a variable's name", place) }
        return valid
    }

    private mutating func readEnvironmentFiles(_ node: YAMLNode, _ own: [String: String], into values: inout [String: EnvironmentValue]) {
        let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
        for item in items {
            var (required, isRaw) = (true, false)
            var pathNode = item
            if case .mapping = item.content {
                let keys = mapping(item, "an env_file", keys: FileKey.self)
                if let node = keys[.format], !node.isNull, let text = text(node) {
                    isRaw = text == "raw"
                    if !["raw", "dotenv", ""].contains(text) { error("'\(text)' is not a format: use dotenv or raw", node.place) }
                }
                guard let path = keys[.path] else {
                    error("an env_file needs a 'path'", item.place)
                    continue
                }
                pathNode = path
                if let node = keys[.required] { required = bool(node) ?? true }
            }
            guard let text = text(pathNode) else { continue }
            let path = hostPath(text)
            do {
                let content = try inputs.readFile(path)
                files[path] = content
                let found = isRaw ? EnvironmentFile.raw(content) : EnvironmentFile.parse(content, environment: variables.merging(own) { _, own in own })
                for problem in found.problems { error("line \(problem.line) of \(path): \(problem.message)", pathNode.place) }
                for name in found.asked where own[name] == nil { interpolation.use(name) }
                for (name, value) in found.values { values[name] = EnvironmentValue(value) }
            } catch {
                if required { self.error("the env_file cannot be read: \(error)", pathNode.place) }
            }
        }
    }

    // MARK: Security, signals and capabilities

    /// `security_opt`: what loosens the sandbox, and what it does anyway.
    private mutating func readSecurityOptions(_ node: YAMLNode, into spec: inout ContainerSpec) {
        for option in texts(node) {
            switch option {
            case "seccomp=socketcall", "seccomp:socketcall": spec.allowsSocketcall = true
            // Every container that is not privileged has no new privileges.
            case "no-new-privileges", "no-new-privileges:true", "no-new-privileges=true": break
            // Berth sets neither AppArmor's profiles nor SELinux's labels.
            case "apparmor=unconfined", "apparmor:unconfined", "label=disable", "label:disable": break
            case "no-new-privileges:false", "no-new-privileges=false":
                error("'\(option)' is not supported: only a privileged container may gain privileges", node.place)
            default:
                error(
                    "the security_opt '\(option)' is not supported: no-new-privileges is (and always on), and seccomp=socketcall, for programs for 32 bits whose C library knows no other way to a socket",
                    node.place)
            }
        }
    }

    private mutating func signal(_ node: YAMLNode) -> Int32? {
        guard let text = text(node) else { return nil }
        if let number = SignalName.number(text) { return number }
        let upper = text.uppercased()
        let bare = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
        let hint = Suggestion.nearest(to: bare, among: SignalName.numbers.keys).map { "; did you mean 'SIG\($0)'?" } ?? ""
        error("'\(text)' is not a signal\(hint)", node.place)
        return nil
    }

    private mutating func capabilities(_ node: YAMLNode) -> Set<Capability> {
        var found: Set<Capability> = []
        for text in texts(node) {
            let upper = text.uppercased()
            let bare = upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper
            if bare == "ALL" {
                found.formUnion(Capability.allCases)
            } else if let capability = Capability(rawValue: bare) {
                found.insert(capability)
            } else {
                let hint = Suggestion.nearest(to: bare, among: Capability.allCases.map(\.rawValue)).map { "; did you mean '\($0)'?" } ?? ""
                error("'\(text)' is not a capability\(hint)", node.place)
            }
        }
        return found
    }
}
