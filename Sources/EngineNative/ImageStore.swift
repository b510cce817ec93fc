internal import Foundation
internal import Crypto
internal import EngineAPI
internal import Glibc
internal import HostOS
internal import Logging
internal import Schedules
internal import Subprocess
internal import Synchronization
internal import SystemPackage
internal import WorkloadModel

/// What an image says of itself, and where its layers lie.
struct Image: Sendable {
    /// The digest of its configuration.
    let id: String
    /// Where the layers' links are.
    let directory: String
    /// Links in that directory, top layer first; short, so that all of them fit in a mount's options.
    let layers: [String]
    let configuration: ImageConfiguration

    /// The most layers that overlayfs mounts (OVL_MAX_STACK in the kernel's fs/overlayfs).
    static let mostLayers = 500
}

/// Images, unpacked once. skopeo brings them in, in the layout of containers/storage; runs mount the layers read-only.
final class ImageStore: Sendable {
    let directory: String
    private let runDirectory: String
    /// How long bringing an image in may use the processor.
    private let processorSeconds: Int
    let disk: DiskGuard
    private let cgroups: CgroupHost
    /// How long images stay that nothing needs any more.
    let keep: Duration
    /// What nothing needs, and for how long.
    let unneeded = Mutex(UnneededImages())
    let known = Mutex<[ImageSource: Image]>([:])
    let holds = Mutex(ImageHolds())
    /// One removal of images at a time, of whatever images.
    let removals = Turns<String>()
    /// One image at a time of each name.
    private let pulls = Turns<String>()
    static let line = "removals"
    /// Below it, each copy has a folder for what skopeo has not unpacked yet.
    private var unpacking: String { "\(directory)/unpacking" }

    let log: Logger

    init(directory: String, runDirectory: String, processorSeconds: Int, keep: Duration, disk: DiskGuard, cgroups: CgroupHost, log: Logger) {
        self.log = log
        self.processorSeconds = processorSeconds
        self.directory = directory
        self.runDirectory = runDirectory
        self.disk = disk
        self.keep = keep
        self.cgroups = cgroups
        // What an earlier daemon left of copies that it did not finish.
        try? FileManager.default.removeItem(atPath: unpacking)
    }

    /// The image of a source that was brought in: the one with its digest, or the last one when it has none.
    ///
    /// - Throws: ``EngineError`` when it was not
    func image(_ source: ImageSource) throws(EngineError) -> Image {
        if let image = known.withLock({ $0[source] }) { return image }
        guard let image = try find(source) else {
            throw .image("the image \(source)\(source.digest.map { "@sha256:\($0)" } ?? "") is not in the store; 'berth up' brings it in")
        }
        known.withLock { $0[source] = image }
        return image
    }

    /// Brings an image in, when it is not there or its source has changed.
    ///
    /// - Returns: its digest; it stays until it is released
    func bring(_ source: ImageSource, _ pull: PullPolicy, progress: @escaping @Sendable (String) -> Void) async throws(EngineError) -> String {
        let result: Result<String, EngineError>
        do {
            // Two recipes, or two services, that name one image have it brought in once.
            result = try await pulls.run(source.description) { [self] in
                do throws(EngineError) { return .success(try await bringInTurn(source, pull, progress)) } catch { return .failure(error) }
            }
        } catch { throw .image("the image \(source) was not brought in: it was called off") }
        return try result.get()
    }

    private func bringInTurn(_ source: ImageSource, _ pull: PullPolicy, _ progress: @Sendable (String) -> Void) async throws(EngineError) -> String {
        guard let stamp = ImageStore.stamp(source) else {
            throw .image("the image \(source) cannot be read: there is no \(source.path)")
        }
        while !holds.withLock({ $0.beginArrival() }) {
            do { try await removals.run(ImageStore.line) {} } catch { throw .image("the image \(source) cannot be brought in: it was called off") }
        }
        var arrived: String?
        defer { holds.withLock { $0.endArrival(of: arrived) } }
        var latest = source
        latest.digest = nil
        let isHere = try find(latest) != nil
        let isNew = try isDue(source, pull, isHere: isHere, stamp)
        if isNew { try await bringAnew(latest, stamp, progress) }
        guard let image = try find(latest) else { throw .image("the image \(source) was brought in, and is not in the store") }
        known.withLock { $0[latest] = image }
        if isNew {
            for oddity in image.configuration.oddities { progress("the image \(source): \(PlainText.shown(oddity))") }
            progress("brought in \(source), \(image.layers.count) layer\(image.layers.count == 1 ? "" : "s")")
        }
        arrived = image.id
        return image.id
    }

    /// Whether an image is to be brought in now.
    private func isDue(_ source: ImageSource, _ pull: PullPolicy, isHere: Bool, _ stamp: String) throws(EngineError) -> Bool {
        guard source.transport == .registry else { return !isHere || (try? HostFile.text(stampPath(source))) != stamp }
        switch pull {
        case .always: return true
        case .missing: return !isHere
        case .never:
            guard isHere else { throw .image("the image \(source) is not there, and 'pull_policy: never' keeps it from being brought in") }
            return false
        case .every(let time):
            guard isHere, let last = broughtIn(source) else { return true }
            return WallClock.now() - last >= time
        }
    }

    /// When an image of a registry was brought in last.
    private func broughtIn(_ source: ImageSource) -> Timestamp? {
        (try? HostFile.text(stampPath(source))).flatMap { Int64($0.filter(\.isNumber)) }.map { Timestamp(seconds: $0) }
    }

    private func bringAnew(_ source: ImageSource, _ stamp: String, _ progress: @Sendable (String) -> Void) async throws(EngineError) {
        progress("bringing in \(source)")
        do {
            try HostFile.makeDirectories("\(directory)/sources")
            try HostFile.makeDirectories(runDirectory)
        } catch { throw .image("\(error)") }
        try await inspect(source)
        try await copy(source)
        do {
            try FailPoint.imageFetched.hit()
            try HostFile.replace("\(stampPath(source)).name", with: source.description)
            try FailPoint.imageNamed.hit()
            try HostFile.replace(stampPath(source), with: stamp)
        } catch { throw .image("\(error)") }
    }

    private func stampPath(_ source: ImageSource) -> String { "\(directory)/sources/\(ImageStore.key(source))" }

    /// The digest that the image of a source would have if it were brought in now.
    func digest(_ source: ImageSource, _ pull: PullPolicy) async throws(EngineError) -> String {
        var latest = source
        latest.digest = nil
        guard let stamp = ImageStore.stamp(source) else {
            throw .image("the image \(source) cannot be read: there is no \(source.path)")
        }
        if let image = try find(latest), try !isDue(source, pull, isHere: true, stamp) { return image.id }
        if pull == .never { _ = try isDue(source, pull, isHere: false, stamp) }
        // The store names an image by its configuration, which a copy leaves as it is.
        let configuration = try await skopeo(["inspect", "--config", "--raw", ImageStore.place(source)], source)
        return SHA256.hash(data: configuration).map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
    }

    private struct Inspection: Decodable { let Layers: [String]? }

    /// Refuses an image that could not be run, before it is unpacked.
    private func inspect(_ source: ImageSource) async throws(EngineError) {
        do {
            // A repository may have thousands of tags.
            let output = try await skopeo(["inspect"] + (source.transport == .registry ? ["--no-tags"] : []) + [ImageStore.place(source)], source)
            let layers = try JSONDecoder().decode(Inspection.self, from: Data(output)).Layers ?? []
            guard layers.count <= Image.mostLayers else {
                throw EngineError.image("the image \(source) has \(layers.count) layers, and the kernel mounts at most \(Image.mostLayers)")
            }
        } catch let error as EngineError { throw error } catch {
            throw .image("the image \(source) cannot be read: \(error)")
        }
    }

    /// Copies the image into the store, and ends that when the disk has no room: an archive may hold any number of files, each
    /// within its limit.
    private func copy(_ source: ImageSource) async throws(EngineError) {
        let folder = "\(unpacking)/\(UUID().uuidString)"
        do { try HostFile.makeDirectories(folder) } catch { throw .image("\(error)") }
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var arguments = [
            "--tmpdir", folder, "copy", "--quiet", ImageStore.place(source),
            "\(storage)\(ImageStore.name(source))",
        ]
        // Which signatures count is the host's to say of registries; a file was put here by who may say so.
        if source.transport != .registry { arguments.insert("--insecure-policy", at: 3) }
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [arguments] in _ = try await self.skopeo(arguments, source) }
                group.addTask { try await self.watchRoom(source) }
                defer { group.cancelAll() }
                _ = try await group.next()
            }
        } catch let error as EngineError { throw error } catch { throw .image("the image \(source) was not brought in: \(error)") }
    }

    /// Runs until the disk has no room.
    ///
    /// - Throws: then, or when it is cancelled
    private func watchRoom(_ source: ImageSource) async throws {
        while true {
            try disk.checkForImport("the image \(source)")
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    var storage: String { "containers-storage:[overlay@\(directory)+\(runDirectory)]" }

    private func skopeo(_ arguments: [String], _ source: ImageSource) async throws(EngineError) -> [UInt8] {
        var arguments = arguments
        let parts = (source.platform ?? "").split(separator: "/").map(String.init)
        if parts.count >= 2 {
            arguments = ["--override-os", parts[0], "--override-arch", parts[1]] + (parts.count > 2 ? ["--override-variant", parts[2]] : []) + arguments
        }
        if let registry = source.registry, isSignedIn(registry), let verb = arguments.firstIndex(where: { $0 == "copy" || $0 == "inspect" }) {
            arguments.insert(contentsOf: [arguments[verb] == "copy" ? "--src-authfile" : "--authfile", authorizations], at: verb + 1)
        }
        return try await skopeo(arguments, "the image \(source) cannot be brought in", registry: source.registry)
    }

    /// What skopeo calls it (containers-transports(5)). It takes a tag or a digest, not both.
    private static func place(_ source: ImageSource) -> String {
        guard source.transport == .registry else { return source.description }
        return "docker://\(source.path)" + (source.manifest.map { "@\($0)" } ?? ":\(source.tag ?? "latest")")
    }

    /// The most memory that bringing one image in takes, in bytes, and not more than half of the host's: a manifest may claim to have gigabytes.
    private static let mostMemory = min(1 << 30, Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE))) / 2)

    /// skopeo, in a mount namespace of its own so that nothing it mounts stays behind. An archive may claim anything, so what
    /// it takes of the processor, the memory and the disk is bounded.
    ///
    /// - Parameter failure: what a failure means
    func skopeo(_ arguments: [String], _ failure: String, registry: String? = nil, input: String = "") async throws(EngineError) -> [UInt8] {
        let blocks = max(1, (DiskSpace(of: directory)?.free.bytes ?? 1 << 40) / 512)
        // Directories that a layer only implies are made under the mask; they are for the image's users, not for ours.
        let script =
            "for group in $GROUPS_OF_RUN; do echo $$ > $group/cgroup.procs || exit 125; done; "
            + "umask 022; ulimit -t \(processorSeconds) && ulimit -f \(blocks) && exec skopeo \"$@\""
        // In control groups as those of a run, which a daemon that starts anew removes with all that is in them.
        let place = RunID(now: WallClock.now(), random: .random(in: .min ... .max))
        var limits = ResourceLimits()
        // Where the host counts no memory, nothing bounds it.
        if !cgroups.missing.contains("memory") { limits.memoryBytes = ImageStore.mostMemory }
        defer { _ = cgroups.remove(place.description) }
        do {
            let group = try cgroups.make(place, limits: limits, allDevices: true)
            let groups = ([group.v2] + group.v1.map { $0.split(separator: ":", maxSplits: 1).last.map(String.init) }).compactMap { $0 }
            let result = try await run(
                .name("unshare"), arguments: Arguments(["--mount", "--propagation", "private", "sh", "-c", script, "skopeo"] + arguments),
                environment: .inherit.updating(["GROUPS_OF_RUN": groups.joined(separator: " ")]), input: .string(input), output: .bytes(limit: 8 << 20),
                error: .string(limit: 65536))
            if result.terminationStatus.isSuccess { return result.standardOutput }
            // Go's runtime ends in its own way where it gets no memory.
            let ranOut = ["out of memory", "cannot allocate memory"].contains { result.standardError.contains($0) }
            guard case .exited = result.terminationStatus, !ranOut else {
                throw EngineError.image(
                    "\(failure): it takes more than \(processorSeconds) seconds of the processor, more than \(ImageStore.mostMemory >> 20) MiB of memory, or more disk than is free"
                )
            }
            let words = ImageStore.sentence(result.standardError)
            throw EngineError.image("\(failure): \(registry.map { RegistryFailure.sentence(words, registry: $0) } ?? words)")
        } catch let error as EngineError { throw error } catch let error as HostFile.Failure { throw .host("\(failure): \(error)") } catch is CancellationError
        {
            throw .image("\(failure): it was called off")
        } catch {
            throw .host("skopeo cannot be run (\(error)): install it with 'apt-get install skopeo'")
        }
    }

    /// skopeo's own words, without its log's frame.
    private static func sentence(_ text: String) -> String {
        let line = text.split(separator: "\n").last.map(String.init) ?? "skopeo gave no reason"
        guard let start = line.range(of: "msg=\"") else { return line }
        let words = line[start.upperBound...].replacing("\\\"", with: "\"")
        return String(words.hasSuffix("\"") ? words.dropLast() : words)
    }

    private static func key(_ source: ImageSource) -> String { String(StableHash(source.description).value, radix: 16) }

    static func name(_ source: ImageSource) -> String { "localhost/berth/\(key(source)):latest" }

    /// What changes when a source does: size and time of its archive or index.
    private static func stamp(_ source: ImageSource) -> String? {
        // When it was, and not what: a registry is asked by policy.
        if source.transport == .registry { return String(WallClock.now().milliseconds / 1000) }
        return HostFile.stamp(source.transport == .oci ? "\(source.path)/index.json" : source.path)
    }
}
