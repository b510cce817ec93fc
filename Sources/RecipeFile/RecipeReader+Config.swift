internal import Schedules
public import WorkloadModel

/// The recipe as it is in force, in the words of `docker compose config`.
extension RecipeReader {
    /// Reads a recipe and says what it comes to. `nil` where the recipe is refused; the result says why.
    public static func config(_ source: RecipeSource, _ inputs: RecipeInputs) -> (result: Result, value: ConfigValue?) {
        let result = read(source, inputs)
        guard let recipe = result.recipe else { return (result, nil) }
        var reader = RecipeReader(source, inputs)
        guard let root = try? reader.tree() else { return (result, nil) }
        return (result, reader.configValue(root, project: recipe.project.description))
    }

    private mutating func configValue(_ root: YAMLNode, project: String) -> ConfigValue {
        var sections = entries(root)
        var config: [String: ConfigValue] = ["name": .text(project)]
        var used: [String: Set<String>] = [:]
        for section in ["services", "jobs"] {
            guard let node = sections.removeValue(forKey: section) else { continue }
            var all: [String: ConfigValue] = [:]
            for (name, node) in entries(node) {
                let active = Set(source.profiles ?? [])
                let profiles = entries(node)["profiles"].map { strings($0) } ?? []
                guard profiles.isEmpty || active.contains("*") || !active.isDisjoint(with: profiles) else { continue }
                all[name] = .map(workloadConfig(node, &used))
            }
            if !all.isEmpty || section == "services" { config[section] = .map(all) }
        }
        for section in ["networks", "volumes", "secrets", "configs"] {
            var all: [String: ConfigValue] = [:]
            let known = sections.removeValue(forKey: section).map { entries($0) } ?? [:]
            for name in used[section] ?? [] where known[name] != nil || name == "default" && section == "networks" {
                all[name] = .map(resource(known[name], name, section, project: project))
            }
            if !all.isEmpty { config[section] = .map(all) }
        }
        for (name, node) in sections where !["name", "version", "include"].contains(name) { config[name] = plain(node) }
        return ConfigValue.map(config).escaped
    }

    // MARK: Values

    private func entries(_ node: YAMLNode) -> [String: YAMLNode] {
        guard case .mapping(let entries) = node.content else { return [:] }
        return Dictionary(entries.map { ($0.key, $0.value) }) { _, last in last }
    }

    /// A single value as a text, its variables replaced.
    private mutating func string(_ node: YAMLNode) -> String {
        guard case .scalar(let raw, let quoted) = node.content else { return "" }
        if raw.contains("$") { return (try? interpolation.expand(raw)) ?? raw }
        return quoted ? raw : YAMLScalar.text(raw)
    }

    private mutating func strings(_ node: YAMLNode) -> [String] {
        if case .sequence(let items) = node.content { return items.map { string($0) } }
        return node.isNull ? [] : [string(node)]
    }

    /// As YAML has it.
    private mutating func plain(_ node: YAMLNode) -> ConfigValue {
        switch node.content {
        case .scalar(let raw, let quoted):
            if quoted || raw.contains("$") { return .text(string(node)) }
            return YAMLScalar.value(raw)
        case .sequence(let items): return .list(items.map { plain($0) })
        case .mapping(let entries):
            var all: [String: ConfigValue] = [:]
            for entry in entries { all[entry.key] = plain(entry.value) }
            return .map(all)
        }
    }

    /// A number or truth that may be written as a text.
    private mutating func typed(_ node: YAMLNode) -> ConfigValue {
        if node.isNull { return .null }
        guard case .scalar = node.content else { return plain(node) }
        return YAMLScalar.value(string(node))
    }

    /// Texts by name: a mapping, or a list of NAME=VALUE.
    private mutating func pairsConfig(_ node: YAMLNode, absent: ConfigValue = .text("")) -> [String: ConfigValue] {
        var found: [String: ConfigValue] = [:]
        switch node.content {
        case .mapping(let entries): for entry in entries { found[entry.key] = entry.value.isNull ? absent : .text(string(entry.value)) }
        case .sequence(let items):
            for item in items {
                let parts = string(item).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                found[parts[0]] = parts.count == 2 ? .text(parts[1]) : absent
            }
        case .scalar: break
        }
        return found
    }

    private mutating func size(_ node: YAMLNode) -> ConfigValue {
        let text = string(node)
        return .text(ByteSize.parse(text).map { "\($0)" } ?? text)
    }

    /// As Go prints durations: `1m30s`.
    private mutating func time(_ node: YAMLNode) -> ConfigValue {
        let text = string(node)
        guard let duration = try? DurationText.parse(text) else { return .text(text) }
        return .text(GoDuration.print(duration))
    }

    private mutating func map(_ node: YAMLNode, _ change: (inout RecipeReader, String, YAMLNode) -> ConfigValue?) -> ConfigValue {
        var found: [String: ConfigValue] = [:]
        for (key, node) in entries(node) { if let value = change(&self, key, node) { found[key] = value } }
        return .map(found)
    }

    // MARK: Services

    private mutating func workloadConfig(_ node: YAMLNode, _ used: inout [String: Set<String>]) -> [String: ConfigValue] {
        let keys = entries(node)
        var found: [String: ConfigValue] = ["command": .null, "entrypoint": .null]
        for (key, node) in keys where !node.isNull || key == "command" || key == "entrypoint" {
            if let value = workloadValue(key, node, keys) { found[key] = value }
        }
        var own = keys["environment"].map { environmentConfig($0) } ?? [:]
        if let node = keys["env_file"] { own = environmentOfFiles(node, own).merging(own) { _, own in own } }
        if !own.isEmpty { found["environment"] = .map(own) }
        if let node = keys["label_file"], !node.isNull {
            var labels = environmentOfFiles(node, [:])
            if case .map(let own)? = found["labels"] { labels.merge(own) { _, own in own } }
            found["labels"] = .map(labels)
        }
        if keys["network_mode"].map({ string($0).isEmpty }) ?? true {
            if case .map? = found["networks"] {} else { found["networks"] = .map(["default": .null]) }
            found["network_mode"] = nil
        } else {
            found["networks"] = nil
        }
        if case .map(let networks)? = found["networks"] { used["networks", default: []].formUnion(networks.keys) }
        let implied =
            (keys["links"].map { strings($0).map { String($0.prefix { $0 != ":" }) } } ?? [])
            + ["network_mode", "ipc", "pid"].compactMap { keys[$0].map { string($0) } }.filter { $0.hasPrefix("service:") }.map { String($0.dropFirst(8)) }
        if !implied.isEmpty {
            var dependencies: [String: ConfigValue] = if case .map(let given)? = found["depends_on"] { given } else { [:] }
            for name in implied where dependencies[name] == nil {
                dependencies[name] = .map(["condition": .text("service_started"), "required": .bool(true), "restart": .bool(true)])
            }
            found["depends_on"] = .map(dependencies)
        }
        for (section, key) in [("volumes", "volumes"), ("secrets", "secrets"), ("configs", "configs")] {
            guard case .list(let items)? = found[key] else { continue }
            for case .map(let item) in items {
                if section == "volumes", item["type"] != .text("volume") { continue }
                if case .text(let name)? = item["source"] { used[section, default: []].insert(name) }
            }
        }
        return found
    }

    private mutating func environmentConfig(_ node: YAMLNode) -> [String: ConfigValue] {
        pairsConfig(node, absent: .null).reduce(into: [:]) { found, pair in
            found[pair.key] = pair.value == .null ? variables[pair.key].map { .text($0) } ?? .null : pair.value
        }
    }

    private mutating func environmentOfFiles(_ node: YAMLNode, _ own: [String: ConfigValue]) -> [String: ConfigValue] {
        var known = variables
        for case (let name, .text(let text)) in own { known[name] = text }
        var found: [String: ConfigValue] = [:]
        let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
        for item in items {
            let keys = entries(item)
            guard let text = try? inputs.readFile(hostPath(string(keys["path"] ?? item))) else { continue }
            let isRaw = keys["format"].map { string($0) } == "raw"
            let content = isRaw ? EnvironmentFile.raw(text) : EnvironmentFile.parse(text, environment: known)
            for (name, value) in content.values { found[name] = .text(value) }
        }
        return found
    }

    private static let truths: Set<String> = ["init", "privileged", "read_only", "stdin_open", "tty", "attach", "oom_kill_disable", "use_api_socket"]
    private static let numbers: Set<String> = [
        "cpu_shares", "cpu_quota", "cpu_period", "cpu_count", "oom_score_adj", "pids_limit", "scale", "cpus", "cpu_percent",
    ]
    private static let sizes: Set<String> = ["mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "shm_size"]
    private static let listsOfTexts: Set<String> = [
        "cap_add", "cap_drop", "dns", "dns_search", "dns_opt", "tmpfs", "expose", "group_add", "links", "external_links", "profiles", "security_opt",
        "device_cgroup_rules", "volumes_from",
    ]

    private mutating func workloadValue(_ key: String, _ node: YAMLNode, _ keys: [String: YAMLNode]) -> ConfigValue? {
        switch key {
        case "env_file", "environment", "label_file": return nil
        case "command", "entrypoint":
            if node.isNull { return .null }
            if case .scalar = node.content { return .list((ShellWords.split(string(node)) ?? []).map { .text($0) }) }
            return .list(strings(node).map { .text($0) })
        case "privileged", "read_only", "tty", "stdin_open", "oom_kill_disable":
            // As Compose prints it: what is false is left out.
            let value = typed(node)
            return value == .bool(false) ? nil : value
        case "mem_limit", "pids_limit":
            // As Compose prints it: no limit is left out.
            let value = key == "mem_limit" ? size(node) : typed(node)
            return value == .int(0) || value == .text("0") ? nil : value
        case _ where RecipeReader.truths.contains(key) || RecipeReader.numbers.contains(key): return typed(node)
        case _ where RecipeReader.sizes.contains(key): return size(node)
        case _ where RecipeReader.listsOfTexts.contains(key):
            let texts = strings(node)
            // As in Compose, an empty list of these is none.
            return texts.isEmpty ? nil : .list(texts.map { .text($0) })
        case "labels", "annotations", "sysctls", "storage_opt": return .map(pairsConfig(node))
        case "stop_grace_period": return time(node)
        case "gpus":
            if case .scalar = node.content, string(node) == "all" { return .list([.map(["count": .int(-1)])]) }
            return plain(node)
        case "build": return build(node)
        case "depends_on": return dependsOn(node)
        case "deploy": return deploy(node)
        case "devices": return .list(items(node).map { device($0) })
        case "extra_hosts": return extraHostsConfig(node)
        case "healthcheck": return healthcheckConfig(node)
        case "logging":
            return map(node) { reader, key, node in key == "options" ? .map(reader.pairsConfig(node)) : .text(reader.string(node)) }
        case "networks": return networksConfig(node)
        case "ports":
            var ports: [ConfigValue] = []
            var seen: Set<ConfigValue> = []
            for port in items(node).flatMap({ portConfig($0) }) where seen.insert(port).inserted { ports.append(port) }
            return .list(ports)
        case "secrets", "configs":
            let given = items(node).map { givenConfig($0, isSecret: key == "secrets") }
            return given.isEmpty ? nil : .list(given)
        case "pull_policy": return .text(string(node) == "if_not_present" ? "missing" : string(node))
        case "ulimits":
            return map(node) { reader, _, node in
                if case .mapping = node.content { return reader.map(node) { reader, _, node in reader.typed(node) } }
                return reader.typed(node)
            }
        case "volumes": return .list(items(node).map { volumeConfig($0) })
        default:
            guard case .scalar = node.content else { return plain(node) }
            let text = string(node)
            return text.isEmpty ? nil : .text(text)
        }
    }

    private func items(_ node: YAMLNode) -> [YAMLNode] { if case .sequence(let items) = node.content { items } else { node.isNull ? [] : [node] } }

    private mutating func build(_ node: YAMLNode) -> ConfigValue {
        guard case .mapping = node.content else { return .map(["context": .text(hostPath(string(node))), "dockerfile": .text("Dockerfile")]) }
        guard
            case .map(var found) = map(
                node,
                { reader, key, node in
                    switch key {
                    case "context": .text(reader.hostPath(reader.string(node)))
                    case "args": .map(reader.environmentConfig(node).filter { $0.value != .null })
                    case "labels": .map(reader.pairsConfig(node))
                    case "shm_size": reader.size(node)
                    case "extra_hosts": reader.extraHostsConfig(node)
                    case "tags", "cache_from", "cache_to", "platforms": .list(reader.strings(node).map { .text($0) })
                    default: reader.plain(node)
                    }
                })
        else { return .null }
        if found["context"] == nil { found["context"] = .text(source.baseDirectory) }
        if found["dockerfile"] == nil, found["dockerfile_inline"] == nil { found["dockerfile"] = .text("Dockerfile") }
        return .map(found)
    }

    private mutating func dependsOn(_ node: YAMLNode) -> ConfigValue {
        var found: [String: ConfigValue] = [:]
        if case .mapping(let entries) = node.content {
            for entry in entries {
                var one: [String: ConfigValue] = ["condition": .text("service_started"), "required": .bool(true)]
                for (key, node) in self.entries(entry.value) { one[key] = key == "condition" ? .text(string(node)) : typed(node) }
                if one["restart"] == .bool(false) { one["restart"] = nil }
                found[entry.key] = .map(one)
            }
        } else {
            for name in strings(node) { found[name] = .map(["condition": .text("service_started"), "required": .bool(true)]) }
        }
        return .map(found)
    }

    private mutating func deploy(_ node: YAMLNode) -> ConfigValue {
        func resources(_ reader: inout RecipeReader, _ node: YAMLNode) -> ConfigValue {
            reader.map(node) { reader, _, node in
                reader.map(node) { reader, key, node in
                    switch key {
                    case "memory": reader.size(node)
                    case "cpus", "pids": reader.typed(node)
                    case "devices":
                        .list(
                            reader.items(node).map { item in
                                reader.map(item) { reader, key, node in
                                    switch key {
                                    case "count": reader.string(node) == "all" ? .int(-1) : reader.typed(node)
                                    case "options": .map(reader.pairsConfig(node))
                                    default: reader.plain(node)
                                    }
                                }
                            })
                    default: reader.plain(node)
                    }
                }
            }
        }
        guard
            case .map(var found) = map(
                node,
                { reader, key, node in
                    if node.isNull { return nil }
                    switch key {
                    case "resources": return resources(&reader, node)
                    case "labels": return .map(reader.pairsConfig(node))
                    case "replicas": return reader.typed(node)
                    case "restart_policy", "update_config", "rollback_config":
                        return reader.map(node) { reader, key, node in
                            ["delay", "window", "monitor"].contains(key) ? reader.time(node) : reader.typed(node)
                        }
                    default: return reader.plain(node)
                    }
                })
        else { return .null }
        if found["placement"] == nil { found["placement"] = .map([:]) }
        if found["resources"] == nil { found["resources"] = .map([:]) }
        return .map(found)
    }

    private mutating func device(_ node: YAMLNode) -> ConfigValue {
        guard case .scalar = node.content else { return plain(node) }
        var parts = string(node).split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 2, DeviceRule.Access(parts[1]) != nil { parts.insert(parts[0], at: 1) }
        return .map([
            "source": .text(parts[0]), "target": .text(parts.count > 1 ? parts[1] : parts[0]), "permissions": .text(parts.count > 2 ? parts[2] : "rwm"),
        ])
    }

    private mutating func extraHostsConfig(_ node: YAMLNode) -> ConfigValue {
        var found: [(String, String)] = []
        if case .mapping(let entries) = node.content {
            for entry in entries { for address in strings(entry.value) { found.append((entry.key, address)) } }
        } else {
            for text in strings(node) {
                let mark: Character = text.contains("=") ? "=" : ":"
                let parts = text.split(separator: mark, maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                found.append((parts[0], parts.count > 1 ? parts[1] : ""))
            }
        }
        let sorted = found.enumerated().sorted { ($0.element.0, $0.offset) < ($1.element.0, $1.offset) }.map(\.element)
        return .list(
            sorted.map { name, address in
                let bare = address.hasPrefix("[") && address.hasSuffix("]") ? String(address.dropFirst().dropLast()) : address
                return .text("\(name)=\(bare)")
            })
    }

    private mutating func healthcheckConfig(_ node: YAMLNode) -> ConfigValue {
        map(node) { reader, key, node in
            if node.isNull { return nil }
            switch key {
            case "test":
                if case .scalar = node.content { return .list([.text("CMD-SHELL"), .text(reader.string(node))]) }
                let words = reader.strings(node)
                return words.isEmpty ? nil : .list(words.map { .text($0) })
            case "interval", "timeout", "start_period", "start_interval": return reader.time(node)
            default: return reader.typed(node)
            }
        }
    }

    private mutating func networksConfig(_ node: YAMLNode) -> ConfigValue {
        guard case .mapping(let entries) = node.content else {
            let names = strings(node)
            return names.isEmpty ? .null : .map(Dictionary(names.map { ($0, .null) }) { first, _ in first })
        }
        var found: [String: ConfigValue] = [:]
        for entry in entries {
            found[entry.key] =
                entry.value.isNull
                ? .null
                : map(entry.value) { reader, key, node in
                    switch key {
                    case "aliases", "link_local_ips": .list(reader.strings(node).map { .text($0) })
                    case "driver_opts": .map(reader.pairsConfig(node))
                    case "priority", "gw_priority": reader.typed(node)
                    default: .text(reader.string(node))
                    }
                }
        }
        return found.isEmpty ? .null : .map(found)
    }

    private mutating func portConfig(_ node: YAMLNode) -> [ConfigValue] {
        if case .mapping = node.content {
            guard
                case .map(var found) = map(
                    node,
                    { reader, key, node in
                        switch key {
                        case "target": reader.typed(node)
                        default: .text(reader.string(node))
                        }
                    })
            else { return [] }
            if found["mode"] == nil { found["mode"] = .text("ingress") }
            if found["protocol"] == nil { found["protocol"] = .text("tcp") }
            return [.map(found)]
        }
        return PortConfig.parse(string(node))
    }

    private mutating func givenConfig(_ node: YAMLNode, isSecret: Bool) -> ConfigValue {
        guard case .mapping = node.content else {
            let name = string(node)
            return .map(isSecret ? ["source": .text(name), "target": .text("/run/secrets/\(name)")] : ["source": .text(name)])
        }
        guard
            case .map(var found) = map(
                node,
                { reader, key, node in
                    if key == "mode" {
                        let text = reader.string(node)
                        // A number of YAML is decimal here already.
                        if case .scalar(let raw, quoted: false) = node.content,
                            let bits = UInt32(raw.hasPrefix("0o") ? String(raw.dropFirst(2)) : raw, radix: 8), raw.hasPrefix("0")
                        {
                            return .text("0" + String(bits, radix: 8))
                        }
                        return .text(UInt32(text).map { "0" + String($0, radix: 8) } ?? text)
                    }
                    return .text(reader.string(node))
                })
        else { return .null }
        if isSecret, found["target"] == nil, case .text(let name)? = found["source"] { found["target"] = .text("/run/secrets/\(name)") }
        return .map(found)
    }

    private mutating func volumeConfig(_ node: YAMLNode) -> ConfigValue {
        guard case .mapping = node.content else { return shortVolume(string(node)) }
        let type = entries(node)["type"].map { string($0) } ?? ""
        guard
            case .map(var found) = map(
                node,
                { reader, key, node in
                    switch key {
                    case "source": return .text(type == "bind" ? reader.hostPath(reader.string(node)) : reader.string(node))
                    case "read_only": return reader.typed(node) == .bool(true) ? .bool(true) : nil
                    case "tmpfs":
                        return reader.map(node) { reader, key, node in
                            if key == "size" { return reader.size(node) }
                            if case .scalar(let raw, quoted: false) = node.content { return YAMLScalar.value(raw) }
                            return reader.typed(node)
                        }
                    case "bind", "volume":
                        return reader.map(node) { reader, key, node in key == "labels" ? .map(reader.pairsConfig(node)) : reader.plain(node) }
                    default: return .text(reader.string(node))
                    }
                })
        else { return .null }
        // As Compose prints it: what is false is left out.
        if case .map(var bind)? = found["bind"] {
            if bind["create_host_path"] == .bool(false) { bind["create_host_path"] = nil }
            found["bind"] = .map(bind)
        }
        if type == "volume", found["volume"] == nil, found["source"] != nil { found["volume"] = .map([:]) }
        return .map(found)
    }

    private mutating func shortVolume(_ text: String) -> ConfigValue {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count > 1 else { return .map(["type": .text("volume"), "target": .text(parts[0]), "volume": .map([:])]) }
        let isPath = parts[0].hasPrefix("/") || parts[0].hasPrefix(".") || parts[0].hasPrefix("~")
        var found: [String: ConfigValue] = ["type": .text(isPath ? "bind" : "volume"), "target": .text(parts[1])]
        found["source"] = .text(isPath ? hostPath(parts[0]) : parts[0])
        var special: [String: ConfigValue] = isPath ? ["create_host_path": .bool(true)] : [:]
        for option in parts.count > 2 ? parts[2].split(separator: ",").map(String.init) : [] {
            switch option {
            case "ro": found["read_only"] = .bool(true)
            case "nocopy": if isPath { found["volume"] = .map(["nocopy": .bool(true)]) } else { special["nocopy"] = .bool(true) }
            case "z", "Z": if isPath { special["selinux"] = .text(option) }
            case "private", "rprivate", "slave", "rslave", "shared", "rshared": if isPath { special["propagation"] = .text(option) }
            default: break
            }
        }
        found[isPath ? "bind" : "volume"] = .map(special)
        return .map(found)
    }

    // MARK: Networks, volumes, secrets, configs

    private mutating func resource(_ node: YAMLNode?, _ key: String, _ section: String, project: String) -> [String: ConfigValue] {
        var found: [String: ConfigValue] = [:]
        var isExternal = false
        var name: String?
        let own: [String: YAMLNode] = node.map { entries($0) } ?? [:]
        for (key, node) in own where !node.isNull {
            switch key {
            case "name": name = string(node)
            case "external":
                isExternal = true
                if case .scalar = node.content { isExternal = typed(node) == .bool(true) }
                name = entries(node)["name"].map { string($0) } ?? name
                if isExternal { found["external"] = .bool(true) }
            case "driver_opts", "labels":
                var pairs = pairsConfig(node)
                if case .text(let device)? = pairs["device"], device.hasPrefix(".") { pairs["device"] = .text(hostPath(device)) }
                if !pairs.isEmpty { found[key] = .map(pairs) }
            case "file": found[key] = .text(hostPath(string(node)))
            case "internal", "attachable", "enable_ipv6", "enable_ipv4":
                let value = typed(node)
                if value != .bool(false) || key == "enable_ipv6" || key == "enable_ipv4" { found[key] = value }
            case "driver", "content", "environment": found[key] = .text(string(node))
            default: found[key] = plain(node)
            }
        }
        if section == "networks", found["ipam"] == nil { found["ipam"] = .map([:]) }
        found["name"] = .text(name ?? (isExternal ? key : "\(project)_\(key)"))
        return found
    }
}
