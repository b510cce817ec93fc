/// Merges values of one file over those of another, by the Compose Specification's rules ("Merge"): mappings key by key, lists one after the
/// other, single values by the later one, with the exceptions that are named there.
enum TreeMerge {
    /// Where in a recipe a value stands, as far as rules differ.
    private enum Level {
        case file, root, section, workload, healthcheck, other
    }

    /// A whole file over another.
    static func files(_ base: YAMLNode, _ over: YAMLNode) -> YAMLNode { merged(base, over, key: "", .file) }

    /// A service over the one that it extends.
    static func workloads(_ base: YAMLNode, _ over: YAMLNode) -> YAMLNode { merged(base, over, key: "", .section) }

    private static func merged(_ base: YAMLNode, _ over: YAMLNode, key: String, _ level: Level) -> YAMLNode {
        if over.mark != .none || base.mark == .reset || base.isNull { return over }
        // Nothing in their place is the image's own.
        if level == .workload, ["command", "entrypoint"].contains(key) { return over }
        if over.isNull { return base }
        if level == .healthcheck, key == "test" { return over }
        if key == "extra_hosts" { return sequence(hosts(base), hosts(over), over.place, key: key, level) }
        switch (base.content, over.content) {
        case (.mapping(let left), .mapping(let right)):
            if key == "logging", level == .workload, driver(left) != nil, driver(right) != nil, driver(left) != driver(right) { return over }
            return mapping(left, right, over.place, inside(level, key))
        case (.sequence(let left), .sequence(let right)):
            return sequence(left, right, over.place, key: key, level)
        case (.mapping(let left), .sequence), (.sequence, .mapping(let left)):
            guard keyed.contains(key) else { return over }
            if case .mapping = base.content { return mapping(left, entries(over, key), over.place, .other) }
            return mapping(entries(base, key), left, over.place, .other)
        case (.scalar, .sequence(let right)) where lists.contains(key): return sequence([base], right, over.place, key: key, level)
        case (.sequence(let left), .scalar) where lists.contains(key): return sequence(left, [over], over.place, key: key, level)
        case (.scalar, .scalar) where lists.contains(key): return sequence([base], [over], over.place, key: key, level)
        case (.sequence, .scalar), (.mapping, .scalar), (.scalar, _): return over
        }
    }

    /// Keys whose lists are mappings written otherwise.
    private static let keyed: Set<String> = [
        "environment", "labels", "annotations", "sysctls", "args", "depends_on", "networks", "driver_opts", "options", "additional_contexts",
    ]
    /// Keys whose single value is a list of one.
    private static let lists: Set<String> = ["env_file", "dns", "dns_search", "dns_opt", "tmpfs", "label_file"]

    private static func inside(_ level: Level, _ key: String) -> Level {
        switch (level, key) {
        case (.file, _): .root
        case (.root, "services"), (.root, "jobs"): .section
        case (.section, _): .workload
        case (.workload, "healthcheck"): .healthcheck
        default: .other
        }
    }

    private static func driver(_ entries: [YAMLNode.Entry]) -> String? {
        guard case .scalar(let text, _)? = entries.first(where: { $0.key == "driver" })?.value.content else { return nil }
        return text
    }

    private static func mapping(_ left: [YAMLNode.Entry], _ right: [YAMLNode.Entry], _ place: Place, _ level: Level) -> YAMLNode {
        var places: [String: Int] = [:]
        var entries = left
        for (index, entry) in left.enumerated() { places[entry.key] = index }
        for entry in right {
            guard let index = places[entry.key] else {
                places[entry.key] = entries.count
                entries.append(entry)
                continue
            }
            let value = merged(entries[index].value, entry.value, key: entry.key, level)
            entries[index] = YAMLNode.Entry(key: entry.key, keyPlace: entry.keyPlace, value: value)
        }
        return node(entries, place)
    }

    static func node(_ entries: [YAMLNode.Entry], _ place: Place) -> YAMLNode {
        YAMLNode(
            content: .mapping(entries), place: place, size: entries.reduce(1) { $0 + 1 + $1.value.size },
            holdsMarks: entries.contains { $0.value.isMarked })
    }

    static func node(_ items: [YAMLNode], _ place: Place) -> YAMLNode {
        YAMLNode(content: .sequence(items), place: place, size: items.reduce(1) { $0 + $1.size }, holdsMarks: items.contains(where: \.isMarked))
    }

    private static func sequence(_ left: [YAMLNode], _ right: [YAMLNode], _ place: Place, key: String, _ level: Level) -> YAMLNode {
        if keyed.contains(key) {
            return mapping(entries(node(left, place), key), entries(node(right, place), key), place, .other)
        }
        var items = left
        var index = 0
        while index < items.count {
            // Written twice in one file already, as ports may be.
            if key == "ports", level == .workload, let target = target(items[index], key), items[..<index].contains(where: { self.target($0, key) == target }) {
                items.remove(at: index)
            } else {
                index += 1
            }
        }
        for item in right {
            // What has the same target takes the other's place; what is the same is there once.
            if level == .workload, let target = target(item, key), let index = items.firstIndex(where: { self.target($0, key) == target }) {
                items[index] = item
            } else if !items.contains(where: { isSame($0, item) }) {
                items.append(item)
            }
        }
        return node(items, place)
    }

    /// A list of `NAME=value`, or of names, as a mapping.
    private static func entries(_ node: YAMLNode, _ key: String) -> [YAMLNode.Entry] {
        guard case .sequence(let items) = node.content else {
            if case .mapping(let entries) = node.content { return entries }
            return []
        }
        var found: [YAMLNode.Entry] = []
        for item in items {
            guard case .scalar(let text, _) = item.content else { continue }
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            var value = YAMLNode(content: .scalar(parts.count == 2 ? parts[1] : "", quoted: parts.count == 2), place: item.place, size: 1)
            if key == "depends_on" {
                // The short form says all of it.
                func entry(_ key: String, _ text: String) -> YAMLNode.Entry {
                    YAMLNode.Entry(
                        key: key, keyPlace: item.place, value: YAMLNode(content: .scalar(text, quoted: false), place: item.place, size: 1))
                }
                value = self.node([entry("condition", "service_started"), entry("required", "true")], item.place)
            }
            found.removeAll { $0.key == parts[0] }
            found.append(YAMLNode.Entry(key: parts[0], keyPlace: item.place, value: value))
        }
        return found
    }

    /// Lines of a hosts file as a list of `name=address`.
    private static func hosts(_ node: YAMLNode) -> [YAMLNode] {
        func line(_ name: String, _ address: String, _ place: Place) -> YAMLNode {
            YAMLNode(content: .scalar("\(name)=\(address)", quoted: true), place: place, size: 1)
        }
        switch node.content {
        case .scalar: return [node]
        case .sequence(let items):
            return items.map { item in
                guard case .scalar(let text, _) = item.content, !text.contains("="), let colon = text.firstIndex(of: ":") else { return item }
                return line(String(text[..<colon]), String(text[text.index(after: colon)...]), item.place)
            }
        case .mapping(let entries):
            return entries.flatMap { entry -> [YAMLNode] in
                let values: [YAMLNode] = if case .sequence(let items) = entry.value.content { items } else { [entry.value] }
                return values.compactMap { value in
                    guard case .scalar(let text, _) = value.content else { return nil }
                    return line(entry.key, text, value.place)
                }
            }
        }
    }

    /// A published port in long form, so that the same one is known in either.
    private static func port(_ node: YAMLNode) -> String? {
        switch node.content {
        case .scalar(let text, _):
            let ports = text.contains("$") ? [] : PortConfig.parse(text)
            return ports.isEmpty ? nil : ports.map(\.json).joined()
        case .mapping(let entries):
            var found: [String: ConfigValue] = ["mode": .text("ingress"), "protocol": .text("tcp")]
            for entry in entries {
                guard case .scalar(let text, _) = entry.value.content, !text.contains("$") else { return nil }
                found[entry.key] = entry.key == "target" ? YAMLScalar.value(text) : .text(text)
            }
            return ConfigValue.map(found).json
        case .sequence: return nil
        }
    }

    /// What a mount is known by; `nil` of what has no target.
    private static func target(_ node: YAMLNode, _ key: String) -> String? {
        if key == "ports" { return port(node) }
        guard ["volumes", "secrets", "configs", "devices"].contains(key) else { return nil }
        let folder = key == "secrets" ? "/run/secrets/" : key == "configs" ? "/" : ""
        func whole(_ text: String) -> String {
            let path = folder.isEmpty || text.hasPrefix("/") ? text : folder + text
            return path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        }
        switch node.content {
        case .mapping(let entries):
            for name in ["target", "source"] {
                if case .scalar(let text, _)? = entries.first(where: { $0.key == name })?.value.content { return whole(text) }
            }
            return nil
        case .scalar(let text, _):
            if key == "secrets" || key == "configs" { return whole(text) }
            // A variable's default may hold a colon.
            var (depth, parts) = (0, [""])
            for character in text {
                if character == "{" { depth += 1 }
                if character == "}" { depth -= 1 }
                if character == ":", depth == 0 { parts.append("") } else { parts[parts.count - 1].append(character) }
            }
            return whole(parts.count > 1 ? parts[1] : parts[0])
        case .sequence: return nil
        }
    }

    /// Whether two values say the same, wherever they stand.
    static func isSame(_ left: YAMLNode, _ right: YAMLNode) -> Bool {
        switch (left.content, right.content) {
        case (.scalar(let left, _), .scalar(let right, _)): left == right
        case (.sequence(let left), .sequence(let right)): left.count == right.count && zip(left, right).allSatisfy(isSame)
        case (.mapping(let left), .mapping(let right)):
            left.count == right.count && left.allSatisfy { entry in right.contains { $0.key == entry.key && isSame($0.value, entry.value) } }
        default: false
        }
    }

    /// Without what was reset.
    static func settled(_ node: YAMLNode) -> YAMLNode {
        switch node.content {
        case .scalar: node
        case .sequence(let items): self.node(items.filter { $0.mark != .reset }.map(settled), node.place)
        case .mapping(let entries):
            self.node(
                entries.filter { $0.value.mark != .reset }.map { YAMLNode.Entry(key: $0.key, keyPlace: $0.keyPlace, value: settled($0.value)) }, node.place)
        }
    }
}
