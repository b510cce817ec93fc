internal import WorkloadModel

/// A recipe that is more than one file: files merged over it, files that it includes, and services that extend others.
extension RecipeReader {
    enum IncludeKey: String, CaseIterable { case path, projectDirectory = "project_directory", envFile = "env_file" }
    enum ExtendsKey: String, CaseIterable { case service, file }

    /// How many files a recipe may be.
    private static let mostSources = 200
    /// How deep files may include others, and services extend others.
    private static let mostIncludes = 20

    /// The whole recipe as one value.
    ///
    /// - Throws: a ``Diagnostic`` of a file that is no YAML
    mutating func tree() throws(Diagnostic) -> YAMLNode? {
        guard var root = try YAMLReader.read(source.text, limits: inputs.limits) else { return nil }
        setProjectVariable(root)
        root = try whole(root, in: source.baseDirectory, after: [])
        for path in source.overlays ?? [] {
            guard let over = try file(path, Place(line: 1, column: 1)) else { continue }
            // Their paths start where the first file's do.
            root = TreeMerge.files(root, try whole(over, in: source.baseDirectory, after: [path]))
        }
        if root.holdsMarks { root = TreeMerge.settled(root) }
        guard root.size <= inputs.limits.nodes else {
            throw Diagnostic(.error, "the recipe's files together have more than \(inputs.limits.nodes) values", at: root.place)
        }
        return root
    }

    /// As in Compose, recipes may name their project.
    private mutating func setProjectVariable(_ root: YAMLNode) {
        let name = "COMPOSE_PROJECT_NAME"
        guard inputs.variables[name] == nil else { return }
        if let node = RecipeReader.value("name", of: root), case .scalar(let raw, _) = node.content {
            interpolation.variables[name] = (try? interpolation.expand(raw)) ?? raw
        } else {
            interpolation.variables[name] = folderName
        }
    }

    /// What a file holds; `nil`, with an error, when it cannot be read, or holds nothing.
    private mutating func file(_ path: String, _ place: Place) throws(Diagnostic) -> YAMLNode? {
        guard let (number, text) = sourceText(path, place) else { return nil }
        if roots[number] == nil { roots[number] = try YAMLReader.read(text, limits: inputs.limits, file: number) }
        return roots[number]
    }

    /// Counts what is taken from another file, so that files which are taken again and again end.
    private mutating func take(_ node: YAMLNode, _ place: Place) throws(Diagnostic) {
        takenValues += node.size
        guard takenValues <= 10 * inputs.limits.nodes else {
            throw Diagnostic(.error, "what is included and extended here comes to more than \(10 * inputs.limits.nodes) values", at: place)
        }
    }

    /// A file's number and text; `nil`, with an error, when it cannot be read.
    private mutating func sourceText(_ path: String, _ place: Place) -> (Int, String)? {
        if let known = sources.firstIndex(where: { $0.file == path }), known > 0 { return (known, sources[known].text) }
        guard sources.count < RecipeReader.mostSources else {
            error("a recipe is at most \(RecipeReader.mostSources) files", place)
            return nil
        }
        do {
            let text = try inputs.readFile(path)
            files[path] = text
            sources.append(SourceText(file: path, text: text))
            return (sources.count - 1, text)
        } catch {
            self.error("\(path) cannot be read: \(error)", place)
            return nil
        }
    }

    /// A file with what it includes, its services with what they extend.
    ///
    /// - Parameter path: the files that led here
    private mutating func whole(_ root: YAMLNode, in base: String, after path: [String]) throws(Diagnostic) -> YAMLNode {
        guard case .mapping(var entries) = root.content else { return root }
        var isChanged = false
        if let index = entries.firstIndex(where: { $0.key == "services" }), case .mapping(let services) = entries[index].value.content,
            services.contains(where: { RecipeReader.value("extends", of: $0.value) != nil })
        {
            var all: [YAMLNode.Entry] = []
            for entry in services {
                let value = try extended(entry.value, entry.key, among: services, in: base, after: []) ?? entry.value
                all.append(YAMLNode.Entry(key: entry.key, keyPlace: entry.keyPlace, value: value))
            }
            entries[index] = YAMLNode.Entry(key: "services", keyPlace: entries[index].keyPlace, value: TreeMerge.node(all, entries[index].value.place))
            isChanged = true
        }
        if let index = entries.firstIndex(where: { $0.key == "include" }) {
            let include = entries.remove(at: index)
            isChanged = true
            try addIncluded(include.value, to: &entries, in: base, after: path)
        }
        return isChanged ? TreeMerge.node(entries, root.place) : root
    }

    private static func value(_ key: String, of node: YAMLNode) -> YAMLNode? {
        guard case .mapping(let entries) = node.content else { return nil }
        return entries.first { $0.key == key }?.value
    }

    // MARK: Extends

    /// A service over the one that it extends; `nil`, with an error, when that cannot be had.
    private mutating func extended(
        _ node: YAMLNode, _ name: String, among services: [YAMLNode.Entry], in base: String, after path: [String]
    ) throws(Diagnostic) -> YAMLNode? {
        guard case .mapping(let entries) = node.content, let extends = entries.first(where: { $0.key == "extends" })?.value else { return node }
        let own = TreeMerge.node(entries.filter { $0.key != "extends" }, node.place)
        var other: (name: String, file: String?)
        switch extends.content {
        case .scalar:
            guard let text = text(extends) else { return own }
            other = (text, nil)
        default:
            let keys = mapping(extends, "'extends'", keys: ExtendsKey.self)
            guard let service = keys[.service].flatMap({ text($0) }) else {
                error("'extends' needs the 'service' that is extended", extends.place)
                return own
            }
            other = (service, keys[.file].flatMap { $0.isNull ? nil : text($0) })
        }
        var (known, folder) = (services, base)
        if let file = other.file {
            let whole = HostPath.normalized(file.hasPrefix("/") ? file : "\(base)/\(file)")
            let root = try self.file(whole, extends.place)
            if root == nil { return own }
            if case .mapping(let found)? = root.flatMap({ RecipeReader.value("services", of: $0)?.content }) { known = found } else { known = [] }
            folder = HostPath.folder(of: whole)
            other.file = whole
        }
        let step = "\(other.file ?? base)|\(other.name)"
        guard !path.contains(step), path.count < RecipeReader.mostIncludes, other.file != nil || other.name != name else {
            error("'\(name)' extends itself", extends.place)
            return own
        }
        guard let entry = known.first(where: { $0.key == other.name }) else {
            let hint = Suggestion.nearest(to: other.name, among: known.map(\.key)).map { "; did you mean '\($0)'?" } ?? ""
            error("there is no service '\(other.name)'\(other.file.map { " in \($0)" } ?? "")\(hint)", extends.place)
            return own
        }
        try take(entry.value, extends.place)
        guard var parent = try extended(entry.value, other.name, among: known, in: folder, after: path + [step]) else { return own }
        if other.file != nil { parent = placed(expanded(parent), in: folder, isWorkload: true) }
        return TreeMerge.workloads(parent, own)
    }

    // MARK: Include

    private mutating func addIncluded(
        _ node: YAMLNode, to entries: inout [YAMLNode.Entry], in base: String, after path: [String]
    ) throws(Diagnostic) {
        if node.isNull { return }
        guard case .sequence(let items) = node.content else {
            error("'include' must be a list of files; this is \(node.kindName)", node.place)
            return
        }
        guard path.count < RecipeReader.mostIncludes else {
            error("files include others more than \(RecipeReader.mostIncludes) levels deep", node.place)
            return
        }
        for item in items {
            guard let root = try included(item, in: base, after: path), case .mapping(let sections) = root.content else { continue }
            for section in sections where ["services", "jobs", "volumes", "networks", "secrets", "configs", "pools", "calendars"].contains(section.key) {
                add(section, to: &entries)
            }
        }
    }

    /// What a file adds to a section: a name stands for one thing.
    private mutating func add(_ section: YAMLNode.Entry, to entries: inout [YAMLNode.Entry]) {
        guard case .mapping(let added) = section.value.content else { return }
        guard let index = entries.firstIndex(where: { $0.key == section.key }), case .mapping(var known) = entries[index].value.content else {
            entries.removeAll { $0.key == section.key }
            entries.append(section)
            return
        }
        let places = Dictionary(known.enumerated().map { ($1.key, $0) }) { first, _ in first }
        for entry in added {
            if let place = places[entry.key] {
                if !TreeMerge.isSame(known[place].value, entry.value) {
                    error(
                        "'\(entry.key)' of '\(section.key)' is in an included file too, and is something else there: one name is one thing",
                        known[place].keyPlace)
                }
            } else {
                known.append(entry)
            }
        }
        entries[index] = YAMLNode.Entry(key: section.key, keyPlace: entries[index].keyPlace, value: TreeMerge.node(known, entries[index].value.place))
    }

    private mutating func included(_ item: YAMLNode, in base: String, after files: [String]) throws(Diagnostic) -> YAMLNode? {
        func absolute(_ path: String) -> String { HostPath.normalized(path.hasPrefix("/") ? path : "\(base)/\(path)") }
        var paths: [String]
        var (folder, environment): (String?, [String]?) = (nil, nil)
        if case .mapping = item.content {
            let keys = mapping(item, "an include", keys: IncludeKey.self)
            guard let node = keys[.path] else {
                error("an include needs its 'path'", item.place)
                return nil
            }
            paths = texts(node).map(absolute)
            folder = keys[.projectDirectory].flatMap { $0.isNull ? nil : text($0) }.map(absolute)
            environment = keys[.envFile].flatMap { $0.isNull ? nil : $0 }.map { texts($0).map(absolute) }
        } else {
            guard let text = text(item) else { return nil }
            paths = [absolute(text)]
        }
        guard let first = paths.first else { return nil }
        let directory = folder ?? HostPath.folder(of: first)
        let outer = interpolation.variables
        var own: [String: String] = [:]
        for path in environment ?? ["\(directory)/.env"] {
            let found = variablesOf(path, isRequired: environment != nil, item.place, known: own.merging(outer) { _, outer in outer })
            own.merge(found) { _, later in later }
        }
        // What is known outside wins.
        interpolation.variables = own.merging(outer) { _, outer in outer }
        includedVariables.merge(own) { first, _ in first }
        defer { interpolation.variables = outer }
        var root: YAMLNode?
        for path in paths {
            guard !files.contains(path), path != source.file, path != "\(source.baseDirectory)/\(source.file)" else {
                error("the files include one another: \((files + [path]).joined(separator: ", which includes "))", item.place)
                return nil
            }
            guard let node = try file(path, item.place) else { continue }
            try take(node, item.place)
            let whole = try whole(node, in: directory, after: files + [path])
            root = root.map { TreeMerge.files($0, whole) } ?? whole
        }
        return root.map { placed(expanded($0), in: directory, isWorkload: false) }
    }

    /// Variables of a file, for what is included with it.
    private mutating func variablesOf(_ path: String, isRequired: Bool, _ place: Place, known: [String: String]) -> [String: String] {
        guard path != "\(source.baseDirectory)/.env" else { return [:] }
        let text: String
        do { text = try inputs.readFile(path) } catch {
            if isRequired { self.error("the env_file cannot be read: \(error)", place) }
            return [:]
        }
        files[path] = text
        let found = EnvironmentFile.parse(text, environment: known)
        for problem in found.problems { error("line \(problem.line) of \(path): \(problem.message)", place) }
        for name in found.asked { interpolation.use(name) }
        return found.values
    }

    // MARK: Values of other files

    /// With its variables replaced, and what then looks like one kept from being one.
    private mutating func expanded(_ node: YAMLNode) -> YAMLNode {
        switch node.content {
        case .scalar(let raw, _):
            guard raw.contains("$"), let text = text(node) else { return node }
            return YAMLNode(content: .scalar(text.replacing("$", with: "$$"), quoted: true), place: node.place, size: 1, mark: node.mark)
        case .sequence(let items):
            return YAMLNode(content: .sequence(items.map { expanded($0) }), place: node.place, size: node.size, mark: node.mark, holdsMarks: node.holdsMarks)
        case .mapping(let entries):
            return YAMLNode(
                content: .mapping(entries.map { YAMLNode.Entry(key: $0.key, keyPlace: $0.keyPlace, value: expanded($0.value)) }), place: node.place,
                size: node.size, mark: node.mark, holdsMarks: node.holdsMarks)
        }
    }

    /// With the paths that start at its own folder made absolute.
    private func placed(_ node: YAMLNode, in folder: String, isWorkload: Bool) -> YAMLNode {
        func absolute(_ node: YAMLNode) -> YAMLNode {
            guard case .scalar(let text, _) = node.content, !node.isNull, !text.isEmpty, !text.hasPrefix("/"), !text.hasPrefix("~") else { return node }
            return YAMLNode(content: .scalar(HostPath.normalized("\(folder)/\(text)"), quoted: true), place: node.place, size: 1)
        }
        /// The source of a mount in short form.
        func mount(_ node: YAMLNode) -> YAMLNode {
            guard case .scalar(let text, _) = node.content, text.hasPrefix(".") else {
                guard case .scalar(let kind, _)? = RecipeReader.value("type", of: node)?.content, kind == "bind" else { return node }
                return changed(node, ["source": absolute])
            }
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let path = HostPath.normalized("\(folder)/\(parts[0])")
            return YAMLNode(content: .scalar(([path] + parts.dropFirst()).joined(separator: ":"), quoted: true), place: node.place, size: 1)
        }
        /// The folder of an image, such as `oci:./dir`.
        func image(_ node: YAMLNode) -> YAMLNode {
            guard case .scalar(let text, _) = node.content, let colon = text.firstIndex(of: ":"), text[text.index(after: colon)...].hasPrefix("."),
                ["oci", "oci-archive", "docker-archive"].contains(String(text[..<colon]))
            else { return node }
            let path = HostPath.normalized("\(folder)/\(text[text.index(after: colon)...])")
            return YAMLNode(content: .scalar("\(text[..<colon]):\(path)", quoted: true), place: node.place, size: 1)
        }
        func each(_ change: @escaping (YAMLNode) -> YAMLNode) -> (YAMLNode) -> YAMLNode {
            { node in
                if case .sequence(let items) = node.content { TreeMerge.node(items.map(change), node.place) } else { change(node) }
            }
        }
        func changed(_ node: YAMLNode, _ changes: [String: (YAMLNode) -> YAMLNode]) -> YAMLNode {
            guard case .mapping(let entries) = node.content else { return node }
            return YAMLNode(
                content: .mapping(
                    entries.map { entry in
                        YAMLNode.Entry(key: entry.key, keyPlace: entry.keyPlace, value: changes[entry.key].map { $0(entry.value) } ?? entry.value)
                    }), place: node.place, size: node.size, mark: node.mark, holdsMarks: node.holdsMarks)
        }
        func all(_ change: @escaping (YAMLNode) -> YAMLNode) -> (YAMLNode) -> YAMLNode {
            { node in
                guard case .mapping(let entries) = node.content else { return node }
                return YAMLNode(
                    content: .mapping(entries.map { YAMLNode.Entry(key: $0.key, keyPlace: $0.keyPlace, value: change($0.value)) }), place: node.place,
                    size: node.size, mark: node.mark, holdsMarks: node.holdsMarks)
            }
        }
        func environmentFile(_ node: YAMLNode) -> YAMLNode {
            if case .mapping = node.content { changed(node, ["path": absolute]) } else { absolute(node) }
        }
        func rootfs(_ node: YAMLNode) -> YAMLNode {
            if case .scalar("host", _) = node.content { node } else { absolute(node) }
        }
        func build(_ node: YAMLNode) -> YAMLNode {
            if case .mapping = node.content { changed(node, ["context": absolute]) } else { absolute(node) }
        }
        func workload(_ node: YAMLNode) -> YAMLNode {
            changed(
                node,
                [
                    "env_file": each(environmentFile), "volumes": each(mount), "build": build, "rootfs": rootfs, "image": image, "label_file": each(absolute),
                ])
        }
        if isWorkload { return workload(node) }
        return changed(
            node,
            [
                "services": all(workload), "jobs": all(workload), "secrets": all { changed($0, ["file": absolute]) },
                "configs": all { changed($0, ["file": absolute]) },
                "volumes": all { changed($0, ["driver_opts": { changed($0, ["device": { node in mount(node) }]) }]) },
            ])
    }
}
