internal import Schedules
internal import WorkloadModel

/// `image:`, and when it is brought in.
extension RecipeReader {
    mutating func image(_ node: YAMLNode, _ keys: [String: YAMLNode.Entry]) -> ImageSource? {
        guard let text = text(node) else { return nil }
        guard var image = source(text, node) else { return nil }
        if let node = keys[ContainerKey.platform.rawValue]?.value, !node.isNull, let platform = self.text(node), !platform.isEmpty {
            image.platform = self.platform(platform, node)
            if image.transport != .registry { error("'platform' goes with images of registries", node.place) }
        }
        if let node = keys[ContainerKey.pullPolicy.rawValue]?.value, !node.isNull, let policy = pullPolicy(node) {
            if image.transport != .registry { warning("'pull_policy' means nothing here: the image lies on this host, and is looked at each time", node.place) }
            // Of two that differ, the one that looks more often.
            if pullPolicies[image.description] != .always { pullPolicies[image.description] = policy }
        }
        image.digest = source.images?[image.description]
        return image
    }

    private mutating func source(_ text: String, _ node: YAMLNode) -> ImageSource? {
        let parts = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        // `oci` may be an image of a registry as well: one with a path is meant here.
        let isPath = parts.count >= 2 && (parts[1].hasPrefix("/") || parts[1].hasPrefix(".") || parts[1].contains("/") || parts[0].contains("-archive"))
        if parts.count >= 2, let transport = ImageSource.Transport(rawValue: parts[0]), transport != .registry, isPath || parts[1].isEmpty || transport == .oci
        {
            guard !parts[1].isEmpty else {
                error("after '\(parts[0]):' must stand a path", node.place)
                return nil
            }
            return ImageSource(transport: transport, path: hostPath(parts[1]), tag: parts.count == 3 && !parts[2].isEmpty ? parts[2] : nil)
        }
        let bare = text.hasPrefix("docker://") ? String(text.dropFirst("docker://".count)) : text
        do { return try ImageSource.registry(bare) } catch {
            let words = ImageSource.Transport.allCases.map(\.rawValue).filter { $0 != "docker" }
            if parts.count >= 2, isPath, Suggestion.nearest(to: parts[0], among: words) != nil {
                self.error("'\(parts[0])' is not a kind of image: use oci:DIR, oci-archive:FILE or docker-archive:FILE", node.place)
            } else {
                self.error(text.isEmpty ? "'image' is empty: name one, as postgres:16" : error.description, node.place)
            }
            return nil
        }
    }

    /// `linux/arm64`, `linux/arm/v7`, or the machine alone (containerd's platforms, "Specifiers").
    private mutating func platform(_ text: String, _ node: YAMLNode) -> String? {
        let parts = text.lowercased().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let known = [
            "amd64": "amd64", "x86_64": "amd64", "arm64": "arm64", "aarch64": "arm64", "386": "386", "arm": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le",
            "s390x": "s390x",
        ]
        let words = parts.first == "linux" ? Array(parts.dropFirst()) : parts
        guard words.count <= 2, let first = words.first ?? (parts == ["linux"] ? RecipeReader.machine : nil), let machine = known[first] else {
            error("'\(text)' is not a platform that can run here: write it as linux/amd64", node.place)
            return nil
        }
        let variant = words.count == 2 && !(machine == "arm64" && words[1] == "v8") ? "/\(words[1])" : ""
        return machine == RecipeReader.machine && variant.isEmpty ? nil : "linux/\(machine)\(variant)"
    }

    /// This machine, as images call it.
    private static var machine: String {
        #if arch(arm64)
            "arm64"
        #elseif arch(x86_64)
            "amd64"
        #else
            "other"
        #endif
    }

    private mutating func pullPolicy(_ node: YAMLNode) -> PullPolicy? {
        guard let text = text(node) else { return nil }
        switch text {
        case "always": return .always
        case "missing", "if_not_present", "": return .missing
        case "never": return .never
        case "daily": return .every(.seconds(86400))
        case "weekly": return .every(.seconds(7 * 86400))
        case "build":
            error("'pull_policy: build' is not supported yet: images are not built here", node.place)
            return nil
        default:
            if text.hasPrefix("every_"), let duration = try? DurationText.parse(text.dropFirst(6)), duration > .zero { return .every(duration) }
            error("'\(text)' is not a pull_policy: use always, missing, never, daily, weekly or every_12h", node.place)
            return nil
        }
    }
}
