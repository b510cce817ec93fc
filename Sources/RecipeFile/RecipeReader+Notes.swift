internal import WorkloadModel

/// What a container is called and known by, and what becomes of its output.
extension RecipeReader {
    enum LoggingKey: String, CaseIterable { case driver, options }

    mutating func readNotes(_ keys: [String: YAMLNode.Entry], into spec: inout ContainerSpec) {
        func node(_ key: ContainerKey) -> YAMLNode? { keys[key.rawValue].map(\.value) }
        if let node = node(.containerName), !node.isNull, let text = text(node), !text.isEmpty {
            if isContainerName(text) {
                spec.containerName = text
                // Compose's name of a container is a name on its networks as well.
                for index in spec.attachments.indices where !spec.attachments[index].aliases.contains(text) { spec.attachments[index].aliases.append(text) }
                containerNames.append((text, node.place))
            } else {
                error("'\(text)' is not a name for a container: use letters, digits, '-', '_' and '.', and begin with a letter or digit", node.place)
            }
        }
        if let node = node(.labelFile), !node.isNull { spec.labels = labelsOfFiles(node) }
        // What the recipe itself says counts.
        if let node = node(.labels) { spec.labels.merge(pairs(node, "'labels'")) { _, own in own } }
        if let node = node(.logging), !node.isNull { readLogging(node, into: &spec) }
    }

    func isContainerName(_ text: String) -> Bool {
        text.utf8.count > 1 && isHostName(text, most: 128) && (text.first.map { $0.isLetter || $0.isNumber } ?? false)
    }

    /// Before any service is read: one may name the container of another that comes later.
    mutating func noteContainerNames(_ services: YAMLNode?) {
        guard case .mapping(let entries)? = services?.content else { return }
        for entry in entries {
            serviceNames.insert(entry.key)
            guard case .mapping(let keys) = entry.value.content, let name = try? WorkloadName(entry.key),
                let node = keys.last(where: { $0.key == ContainerKey.containerName.rawValue })?.value, !node.isNull, let text = text(node)
            else { continue }
            serviceOfContainer[text] = name
        }
    }

    /// Labels of files, in the form of `env_file`; of two files the later one counts.
    private mutating func labelsOfFiles(_ node: YAMLNode) -> [String: String] {
        var found: [String: String] = [:]
        let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
        for item in items {
            guard let path = text(item).map({ hostPath($0) }) else { continue }
            do {
                let content = try inputs.readFile(path)
                files[path] = content
                let labels = EnvironmentFile.parse(content, environment: variables)
                for problem in labels.problems { error("line \(problem.line) of \(path): \(problem.message)", item.place) }
                for name in labels.asked { interpolation.use(name) }
                found.merge(labels.values) { _, later in later }
            } catch {
                self.error("the label_file cannot be read: \(error)", item.place)
            }
        }
        return found
    }

    /// Docker's `local` and `json-file` are what Berth does: files on the host, kept within bounds.
    private mutating func readLogging(_ node: YAMLNode, into spec: inout ContainerSpec) {
        let keys = mapping(node, "'logging'", keys: LoggingKey.self)
        if let node = keys[.driver], !node.isNull, let text = text(node) {
            switch text {
            case "", "json-file", "local": break
            case "none": warning("the log driver 'none' has no effect: the output is kept, within bounds, and 'berth logs' shows it", node.place)
            case "journald": spec.logsToJournal = true
            default: error("the log driver '\(text)' is not supported: use json-file, local or journald", node.place)
            }
        }
        guard let options = keys[.options], !options.isNull else { return }
        var (size, files): (Int64?, Int64) = (nil, 1)
        for (name, value) in pairs(options, "'options'").sorted(by: { $0.key < $1.key }) {
            switch name {
            case "max-size":
                size = value == "-1" ? nil : ByteSize.parse(value)
                if size == nil, value != "-1" { error("'\(value)' is not a size: write it as 10m", options.place) }
            case "max-file":
                guard let count = Int64(value), count >= 1 else {
                    error("'max-file' is a whole number from 1, not '\(value)'", options.place)
                    continue
                }
                files = count
            case "compress", "mode", "max-buffer-size", "tag", "labels", "labels-regex", "env", "env-regex", "cache-disabled", "cache-max-size",
                "cache-max-file",
                "cache-compress":
                break
            default: error("the log option '\(name)' is not known: use max-size and max-file", options.place)
            }
        }
        // As much as all of its files together; less would hold neither the beginning nor the end of a run.
        if let size { spec.logBytes = max(65536, size.multipliedReportingOverflow(by: files).overflow ? .max : size * files) }
    }

    /// Whether a service is left out because none of its profiles was asked for (Compose Specification, "Profiles").
    mutating func isLeftOut(_ keys: [String: YAMLNode.Entry]) -> Bool {
        guard let node = keys[ContainerKey.profiles.rawValue]?.value, !node.isNull else { return false }
        let profiles = texts(node)
        for profile in profiles where !isHostName(profile, most: 128) { error("'\(profile)' is not the name of a profile", node.place) }
        let active = Set(source.profiles ?? [])
        return !profiles.isEmpty && !active.contains("*") && active.isDisjoint(with: profiles)
    }

    /// Two containers of one name would be one name for two.
    mutating func checkContainerNames() {
        var seen: Set<String> = []
        for (name, place) in containerNames where !seen.insert(name).inserted { error("two containers have the name '\(name)'", place) }
    }
}
