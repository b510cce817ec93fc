internal import Crypto
internal import Schedules
public import WorkloadModel

/// Reads a recipe: text in, a ``Recipe`` or diagnostics out.
///
/// Everything that is wrong is reported at once, each with its line and column. The keys of `services:` and `volumes:` are
/// the Compose Specification's; `jobs:` takes the same and says when.
public struct RecipeReader {
    /// What reading came to.
    public struct Result {
        /// `nil` when a diagnostic is an error.
        public let recipe: Recipe?
        /// Ascending by line and column.
        public let diagnostics: [Diagnostic]
        /// The source with what its reading used, to be read again elsewhere.
        public let captured: RecipeSource
        /// The files that it was read from, by the number in a place; the first is the recipe itself.
        public let sources: [SourceText]

        /// The diagnostics as compilers print them.
        ///
        /// - Parameter file: what the recipe itself is called
        public func rendered(file: String) -> String {
            var sources = sources
            sources[0].file = file
            return Diagnostic.rendered(diagnostics, sources: sources)
        }

        /// What the file of a diagnostic is called.
        public func file(of diagnostic: Diagnostic) -> String {
            sources.indices.contains(diagnostic.place.file) ? sources[diagnostic.place.file].file : sources[0].file
        }
    }

    /// A file that was read.
    public struct SourceText: Sendable {
        /// What messages call it.
        public var file: String
        /// Its text.
        public let text: String
    }

    /// The files that were read, by the number in a place.
    var sources: [SourceText] = []
    /// What they hold, by the same number.
    var roots: [Int: YAMLNode] = [:]
    /// Values that were taken from files so far, each time that they were.
    var takenValues = 0
    /// Variables of files that are included with recipes, for names that nothing else has.
    var includedVariables: [String: String] = [:]
    /// What names may stand for.
    var variables: [String: String] { inputs.variables.merging(includedVariables) { own, _ in own } }

    let source: RecipeSource
    let inputs: RecipeInputs
    var interpolation: Interpolation
    var diagnostics: [Diagnostic] = []
    private var known: Set<Diagnostic> = []
    var files: [String: String] = [:]
    var project: ProjectName?
    var projectText = ""
    var zone: Zone
    /// The recipe's volumes, and what each of them is.
    var volumes: [String: NamedVolume] = [:]
    /// Where secrets and configs get their content; `nil` where that is told to be wrong.
    var secrets: [String: GivenFile.Source?] = [:]
    var configs: [String: GivenFile.Source?] = [:]
    var networks: [String: NetworkSpec] = [:]
    var pullPolicies: [String: PullPolicy] = [:]
    var networkPlaces: [String: Place] = [:]
    /// Those that a container is on.
    var usedNetworks: Set<String> = []
    /// Where each `network_mode` names a service, `links` another one, and ports of the host are named.
    var networkModes: [(mode: NetworkMode, place: Place)] = []
    var linkPlaces: [(service: WorkloadName, place: Place)] = []
    var containerNames: [(name: String, place: Place)] = []
    /// The recipe's services, and those that say what their containers are called: known before the first of them is read.
    var serviceNames: Set<String> = []
    /// Where each `pid` and `ipc` names a service.
    var namespacePlaces: [(key: String, service: WorkloadName, place: Place)] = []
    var serviceOfContainer: [String: WorkloadName] = [:]
    var portPlaces: [(ports: [PublishedPort], place: Place)] = []
    /// How many jobs of each pool may run at once.
    var pools: [WorkloadName: Int] = [:]
    /// Days by the name of their calendar.
    var calendars: [String: [ClosedRange<CivilDate>]] = [:]
    /// Where each `after` names a job.
    var afterPlaces: [WorkloadName: [WorkloadName: Place]] = [:]
    /// Where each `depends_on` names a service.
    var dependencyPlaces: [WorkloadName: [WorkloadName: Place]] = [:]
    /// Where `links` or `network_mode` names one that is so depended on.
    var impliedPlaces: [WorkloadName: [WorkloadName: Place]] = [:]
    /// Services that none of their profiles was asked for.
    var leftOut: Set<WorkloadName> = []

    init(_ source: RecipeSource, _ inputs: RecipeInputs) {
        self.source = source
        self.inputs = inputs
        interpolation = Interpolation(variables: inputs.variables)
        sources = [SourceText(file: source.file, text: source.text)]
        zone = inputs.hostZone
    }

    /// Reads a recipe's text. What is wrong is in the result; nothing is thrown.
    ///
    /// - Parameters:
    ///   - source: its `variables` and `files` are not read: those of `inputs` count
    ///   - inputs: variables, files and zones
    public static func read(_ source: RecipeSource, _ inputs: RecipeInputs) -> Result {
        var reader = RecipeReader(source, inputs)
        let recipe = reader.read()
        let failed = reader.diagnostics.contains { $0.severity == .error }
        var captured = source
        captured.files = reader.files
        captured.variables = reader.usedVariables
        let sorted = reader.diagnostics.sorted {
            ($0.place.file, $0.place.line, $0.place.column) < ($1.place.file, $1.place.line, $1.place.column)
        }
        return Result(recipe: failed ? nil : recipe, diagnostics: sorted, captured: captured, sources: reader.sources)
    }

    /// The keys at the top of a recipe.
    enum TopKey: String, CaseIterable {
        case name, timezone, services, jobs, volumes, networks, version, pools, calendars, secrets, configs
    }

    private mutating func read() -> Recipe? {
        var root: YAMLNode
        do {
            guard let node = try tree() else {
                error("the recipe is empty: it needs 'services:' or 'jobs:'", Place(line: 1, column: 1))
                return nil
            }
            root = node
        } catch {
            diagnostics.append(error)
            return nil
        }
        var known = mapping(root, "the recipe", keys: TopKey.self, refused: ComposeKeys.topLevel)
        readName(known[.name])
        if let node = known[.timezone], let name = text(node) { zone = zone(named: name, node.place) ?? zone }
        if let entry = known[.version] {
            warning("'version' is obsolete and has no meaning; Compose ignores it as well", entry.place)
        }
        readVolumes(known[.volumes])
        readNetworks(known[.networks])
        secrets = givenFiles(known[.secrets], "secret")
        configs = givenFiles(known[.configs], "config")
        readPools(known[.pools])
        readCalendars(known[.calendars])
        var workloads: [Workload] = []
        var places: [WorkloadName: Int] = [:]
        let place = root.place
        let isEmpty = known[.services] == nil && known[.jobs] == nil
        noteContainerNames(known[.services])
        var sections = [(known.removeValue(forKey: .services), false), (known.removeValue(forKey: .jobs), true)]
        // A large recipe's nodes are let go one by one while its workloads are made.
        root = YAMLNode(content: .mapping([]), place: place, size: 1)
        for index in sections.indices {
            let isJob = sections[index].1
            guard let section = sections[index].0, !section.isNull else { continue }
            sections[index].0 = nil
            guard var entries = RecipeReader.entries(section) else {
                error("'\(isJob ? "jobs" : "services")' must be a mapping of names; this is \(section.kindName)", section.place)
                continue
            }
            while let entry = entries.popLast() {
                guard let name = workloadName(entry) else { continue }
                if let line = places[name] {
                    error("'\(name)' is already a service, on line \(line); names are shared by services and jobs", entry.keyPlace)
                    continue
                }
                places[name] = entry.keyPlace.line
                if let workload = workload(name, entry, isJob: isJob) { workloads.append(workload) }
            }
        }
        if isEmpty { error("the recipe has neither 'services:' nor 'jobs:'", place) }
        checkChains(workloads, known: places.keys)
        checkDependencies(workloads, known: places.keys)
        checkNetworks(workloads, known: workloads.map(\.id.name))
        checkContainerNames()
        guard let project else { return nil }
        return Recipe(
            project: project, workloads: workloads.sorted { $0.id < $1.id }, volumes: volumes.keys.sorted(), pools: pools,
            networks: networks.values.filter { usedNetworks.contains($0.key) }.sorted { $0.key < $1.key }, pullPolicies: pullPolicies, digest: digest)
    }

    /// The values of the variables that were asked for.
    private var usedVariables: [String: String] { inputs.variables.filter { interpolation.used.contains($0.key) } }

    /// A hash of all that the recipe was made of: its text, the values of its variables, and the files that it names.
    private var digest: String {
        var hash = SHA256()
        hash.update(data: Array(source.text.utf8))
        let profiles = (source.profiles ?? []).reduce(into: [:]) { $0[$1] = "" }
        let overlays = (source.overlays ?? []).enumerated().reduce(into: [:]) { $0[$1.element] = String($1.offset) }
        for (tag, list) in [("variable", usedVariables), ("file", files), ("profile", profiles), ("overlay", overlays)] {
            for (name, value) in list.sorted(by: { $0.key < $1.key }) {
                // Nothing can stand for something else: each has its length before it.
                for text in [tag, name, value] {
                    hash.update(data: Array("\u{0}\(text.utf8.count)\u{0}".utf8))
                    hash.update(data: Array(text.utf8))
                }
            }
        }
        return hash.finalize().map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
    }

    /// The entries of a mapping, last first.
    private static func entries(_ node: consuming YAMLNode) -> [YAMLNode.Entry]? {
        guard case .mapping(let entries) = node.content else { return nil }
        return entries.reversed()
    }

    /// As Compose: the folder's name, in lower case, without what a name may not hold.
    var folderName: String {
        let folder = source.baseDirectory.split(separator: "/").last.map(String.init) ?? ""
        let cleaned = folder.lowercased().filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        return String(cleaned.drop { $0 == "-" || $0 == "_" }.prefix(63))
    }

    private mutating func readName(_ node: YAMLNode?) {
        // As in Compose, the variable comes before the file.
        interpolation.use("COMPOSE_PROJECT_NAME")
        if let name = inputs.variables["COMPOSE_PROJECT_NAME"], !name.isEmpty {
            do { project = try ProjectName(name) } catch { self.error("COMPOSE_PROJECT_NAME: \(error.description)", node?.place ?? Place(line: 1, column: 1)) }
        } else if let node {
            guard let text = text(node) else { return }
            do { project = try ProjectName(text) } catch { self.error(error.description, node.place) }
        } else {
            project = try? ProjectName(folderName)
            if project == nil { error("the recipe has no 'name:', and the folder's name is none either", Place(line: 1, column: 1)) }
        }
        projectText = project?.description ?? ""
    }

    private mutating func workloadName(_ entry: YAMLNode.Entry) -> WorkloadName? {
        do { return try WorkloadName(entry.key) } catch {
            self.error(error.description, entry.keyPlace)
            return nil
        }
    }

    private mutating func workload(_ name: WorkloadName, _ entry: YAMLNode.Entry, isJob: Bool) -> Workload? {
        let what = "\(isJob ? "job" : "service") '\(name)'"
        let keys: [String: YAMLNode.Entry]
        if case .mapping(let entries) = entry.value.content {
            keys = checkedKeys(entries, what, isJob: isJob)
        } else {
            error("\(what) must be a mapping; this is \(entry.value.kindName)", entry.value.isNull ? entry.keyPlace : entry.value.place)
            return nil
        }
        // Left out as it is, like in Compose: what is wrong in it is told when it is asked for.
        if isLeftOut(keys) {
            leftOut.insert(name)
            return nil
        }
        guard var container = container(keys, entry.keyPlace, what) else { return nil }
        guard let project else { return nil }
        let kind: Workload.Kind
        if isJob {
            var policy = jobPolicy(keys, name)
            policy.dependsOn = dependencies(keys[ContainerKey.dependsOn.rawValue]?.value, of: name)
            addImplied(keys, container, of: name, to: &policy.dependsOn)
            if let entry = keys[ContainerKey.healthcheck.rawValue], !entry.value.isNull {
                warning("a job is not asked whether it works: 'healthcheck' has no meaning for it", entry.keyPlace)
            }
            container.logBytes = policy.keep.logBytes ?? container.logBytes
            kind = .job(policy)
        } else {
            var policy = servicePolicy(keys)
            policy.dependsOn = dependencies(keys[ContainerKey.dependsOn.rawValue]?.value, of: name)
            policy.onUnhealthy = unhealthyPolicy(keys)
            addImplied(keys, container, of: name, to: &policy.dependsOn)
            kind = .service(policy)
        }
        return Workload(id: WorkloadID(project: project, name: name), container: container, kind: kind)
    }

    private static let jobKeys = Set(ContainerKey.allCases.map(\.rawValue) + JobKey.allCases.map(\.rawValue))
    private static let serviceKeys = Set(ContainerKey.allCases.map(\.rawValue) + ServiceKey.allCases.map(\.rawValue))

    /// The entries by key, after unknown, misplaced and refused ones are reported.
    private mutating func checkedKeys(_ entries: [YAMLNode.Entry], _ what: String, isJob: Bool) -> [String: YAMLNode.Entry] {
        let known = isJob ? RecipeReader.jobKeys : RecipeReader.serviceKeys
        var found: [String: YAMLNode.Entry] = [:]
        for entry in entries where !entry.key.hasPrefix("x-") {
            if known.contains(entry.key) {
                found[entry.key] = entry
            } else if !isJob, JobKey(rawValue: entry.key) != nil {
                error("'\(entry.key)' belongs to a job: put \(what) under 'jobs:' to run it at its time", entry.keyPlace)
            } else if isJob, ServiceKey(rawValue: entry.key) != nil {
                error("'\(entry.key)' belongs to a service; a job that failed is run again by 'retries'", entry.keyPlace)
            } else if isJob, ScheduleKey(rawValue: entry.key) != nil {
                error("'\(entry.key)' belongs into the schedule: write schedule: { cron: \"0 2 * * *\", \(entry.key): ... }", entry.keyPlace)
            } else if let reason = ComposeKeys.container[entry.key] {
                error("'\(entry.key)' of \(what) is \(reason)", entry.keyPlace)
            } else {
                unknown(entry, known: known.union(ComposeKeys.container.keys))
            }
        }
        return found
    }

    mutating func unknown(_ entry: YAMLNode.Entry, known: @autoclosure () -> some Sequence<String>) {
        // Beyond those that are told, looking for the nearest key of each would take time for nothing.
        guard diagnostics.count <= RecipeReader.mostDiagnostics else { return }
        let hint = Suggestion.nearest(to: entry.key, among: known()).map { "; did you mean '\($0)'?" } ?? ""
        error("unknown key '\(entry.key)'\(hint)", entry.keyPlace)
    }

    /// The values of a mapping by key, after unknown and refused keys are reported.
    mutating func mapping<Key: RawRepresentable<String> & CaseIterable & Hashable>(
        _ node: YAMLNode, _ what: String, keys: Key.Type, refused: [String: String] = [:]
    ) -> [Key: YAMLNode] {
        guard case .mapping(let entries) = node.content else {
            error("\(what) must be a mapping; this is \(node.kindName)", node.place)
            return [:]
        }
        var found: [Key: YAMLNode] = [:]
        for entry in entries where !entry.key.hasPrefix("x-") {
            if let key = Key(rawValue: entry.key) {
                found[key] = entry.value
            } else if let reason = refused[entry.key] {
                error("'\(entry.key)' is \(reason)", entry.keyPlace)
            } else {
                unknown(entry, known: Key.allCases.map(\.rawValue) + refused.keys)
            }
        }
        return found
    }

    mutating func error(_ message: String, _ place: Place) {
        add(Diagnostic(.error, message, at: place))
    }

    mutating func warning(_ message: String, _ place: Place) {
        add(Diagnostic(.warning, message, at: place))
    }

    /// An anchor's value is read once for each alias, and its mistake is one mistake. Beyond a hundred, one more says so.
    private mutating func add(_ diagnostic: Diagnostic) {
        guard diagnostics.count <= RecipeReader.mostDiagnostics, known.insert(diagnostic).inserted else { return }
        let isLast = diagnostics.count == RecipeReader.mostDiagnostics
        diagnostics.append(isLast ? Diagnostic(.error, "there are more mistakes than these \(RecipeReader.mostDiagnostics)", at: diagnostic.place) : diagnostic)
    }

    static let mostDiagnostics = 100

    mutating func zone(named name: String, _ place: Place) -> Zone? {
        do { return try inputs.zone(name) } catch {
            self.error("\(error)", place)
            return nil
        }
    }
}
