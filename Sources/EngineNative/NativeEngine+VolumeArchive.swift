internal import CLinux
internal import EngineAPI
internal import Foundation
internal import Glibc
internal import HostOS
internal import Logging
internal import Schedules
internal import Subprocess
internal import Synchronization
internal import SystemPackage
public import WorkloadModel

/// Volumes as tar archives, by GNU tar: owners by number, extended attributes, access lists and holes are kept.
extension NativeEngine {
    private static let kept = [
        "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "--sparse", "--warning=no-unknown-keyword", "--warning=no-timestamp",
    ]
    /// What unpacks an archive of volumes: a file and a directory are to be named.
    public static let unpacking = kept + ["--same-permissions", "--same-owner", "--extract"]

    /// The runs whose shim or container lives, as an engine that does not run left them; ascending.
    public static func liveRuns(_ paths: EnginePaths) -> [RunID] {
        HostFile.names(in: paths.runs).compactMap { RunID($0) }.sorted().filter { run in
            let directory = RunDirectory(path: paths.run(run))
            return directory.isLocked || directory.facts.map { HostProcess.isAlive($0.container, start: $0.containerStart) } ?? false
        }
    }

    /// An archive ends with two blocks of zeros (tar(5)), in bytes.
    private static let endOfArchive = 1024

    /// Where a volume is.
    ///
    /// - Throws: ``EngineError/sandbox(_:)`` when that is no volume's id
    func volumePath(_ id: String) throws(EngineError) -> (folder: String, name: String) {
        let parts = id.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let name = parts.last ?? ""
        guard (1...2).contains(parts.count), parts.count == 1 || (try? ProjectName(parts[0])) != nil, !name.isEmpty, name != ".", name != "..",
            name.utf8.count <= 200, !name.utf8.contains(0), !HiddenVolume.isOne(name)
        else { throw .sandbox("'\(PlainText.shown(id))' is no volume's name: write it as PROJECT/NAME") }
        return ("\(paths.volumes)/\(parts.count == 2 ? parts[0] : NativeEngine.shared)", name)
    }

    /// Writes what a volume holds as a tar archive. Files that change meanwhile are caught as they are just then.
    ///
    /// - Parameter take: gets it piece by piece
    /// - Throws: ``EngineError``, and what `take` throws
    public func readVolume(_ id: String, _ take: ([UInt8]) async throws -> Void) async throws {
        let (folder, name) = try volumePath(id)
        guard HostFile.isDirectory("\(folder)/\(name)") else { throw EngineError.sandbox("there is no volume \(id)") }
        try beginWork(onVolume: id)
        defer { endWork(onVolume: id) }
        try await archive(["--directory", "\(folder)/\(name)", "."], "the volume \(id)", take)
    }

    /// Writes a folder of the host's and what volumes hold as one tar archive. Files that change meanwhile are caught as they are just then.
    ///
    /// - Parameters:
    ///   - ids: of the volumes
    ///   - take: gets it piece by piece
    /// - Throws: ``EngineError``, and what `take` throws
    public func readVolumes(_ ids: [String], with folder: String, _ take: ([UInt8]) async throws -> Void) async throws {
        var places: [String] = []
        var busy: [String] = []
        defer { for id in busy { endWork(onVolume: id) } }
        for id in ids {
            let (parent, name) = try volumePath(id)
            guard HostFile.isDirectory("\(parent)/\(name)") else { throw EngineError.sandbox("there is no volume \(id)") }
            try beginWork(onVolume: id)
            busy.append(id)
            places.append(String("\(parent)/\(name)".dropFirst(paths.state.utf8.count + 1)))
        }
        try await archive(["--directory", folder, "."] + (places.isEmpty ? [] : ["--directory", paths.state] + places), "the backup", take)
    }

    private func archive(_ places: [String], _ what: String, _ take: ([UInt8]) async throws -> Void) async throws {
        let words = try TarWords(in: paths.runtime)
        let arguments = NativeEngine.kept + ["--warning=no-file-changed", "--create", "--file", "-"] + places
        let result = try await run(.name("tar"), arguments: Arguments(arguments), input: .none, output: .sequence, error: words.output) { tar in
            for try await piece in tar.standardOutput { try await take(piece.withUnsafeBytes { Array($0) }) }
        }
        // 1: a file changed, or was removed, while it was read, as it may be where a run has the volume.
        guard result.terminationStatus.isSuccess || result.terminationStatus == .exited(1) else {
            log.error("an archive could not be made whole", metadata: ["of": "\(what)", "error": "\(words.first)"])
            throw EngineError.sandbox("\(what) cannot be read: \(words.first)")
        }
    }

    /// Replaces what a volume holds by the content of a tar archive, whole or not at all; a volume that is not there is made.
    ///
    /// - Parameter pieces: gives the archive to its argument, piece by piece
    /// - Throws: ``EngineError``, also while a run has the volume, and what the body throws
    public func writeVolume(_ id: String, _ pieces: (([UInt8]) async throws -> Void) async throws -> Void) async throws {
        let (folder, name) = try volumePath(id)
        try beginWork(onVolume: id)
        defer { endWork(onVolume: id) }
        try volumeUses.withLock { uses throws(EngineError) in try NativeEngine.checkIsFree(id, uses) }
        // Of this name, so that it is removed should the daemon die.
        let fresh = "\(folder)/\(HiddenVolume.gone)restore-\(WallClock.now().milliseconds)-\(UInt32.random(in: .min ... .max))"
        try HostFile.makeDirectories(folder)
        try HostFile.makeDirectory(fresh, mode: 0o755)
        // What was being copied out of an image into the old content is not for the new one.
        let oldSeed = "\(fresh)-seed"
        // These two only: beside them others may be unpacked.
        defer { for path in [fresh, oldSeed] { cleanups.addOperation { [self] in if HostFile.exists(path) { removeTree(path) } } } }
        try await unpack(into: fresh, id, pieces)
        let path = "\(folder)/\(name)"
        let seed = "\(folder)/\(HiddenVolume.seed)\(name)"
        // A run that starts notes first which volumes it has, and opens them after that.
        try volumeUses.withLock { uses throws(EngineError) in
            try NativeEngine.checkIsFree(id, uses)
            if HostFile.exists(seed) { rename(seed, oldSeed) }
            // In one step: whoever looks finds the old content or the new.
            guard clinux_exchange(fresh, path) == 0 || errno == ENOENT && rename(fresh, path) == 0 else {
                throw .sandbox("the volume \(id) cannot be replaced: \(String(cString: strerror(errno)))")
            }
        }
        try HostFile.syncDirectory(folder)
        log.notice("a volume was restored", metadata: ["volume": "\(id)"])
    }

    /// Returns once all of the archive is on the disk.
    private func unpack(into folder: String, _ id: String, _ pieces: (([UInt8]) async throws -> Void) async throws -> Void) async throws {
        // Links that the archive makes are made last, and no name leads out of the folder: GNU tar's rules.
        let words = try TarWords(in: paths.runtime)
        let arguments = NativeEngine.unpacking + ["--file", "-", "--directory", folder]
        var end: [UInt8] = []
        let result = try await run(.name("tar"), arguments: Arguments(arguments), input: .inputWriter, output: .discarded, error: words.output) { tar in
            do {
                try await pieces { piece in
                    try disk.checkForImport("the volume \(id)")
                    end = Array((end + piece.suffix(NativeEngine.endOfArchive)).suffix(NativeEngine.endOfArchive))
                    guard try await tar.standardInputWriter.write(piece) == piece.count else { throw Ended() }
                }
            } catch is SubprocessError {
            } catch is Ended {}  // tar has ended, and says why.
            try await tar.standardInputWriter.finish()
        }
        guard result.terminationStatus.isSuccess else {
            throw EngineError.sandbox("the volume \(id) is as it was: the archive cannot be unpacked: \(words.first)")
        }
        // GNU tar takes an archive that breaks off between two files for a whole one.
        guard end.count == NativeEngine.endOfArchive, end.allSatisfy({ $0 == 0 }) else {
            throw EngineError.sandbox("the volume \(id) is as it was: the archive cannot be unpacked: it breaks off before its end")
        }
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(descriptor) }
        guard descriptor >= 0, clinux_sync_disk(descriptor) == 0 else {
            throw EngineError.sandbox("the volume \(id) is as it was: the disk does not take it: \(String(cString: strerror(errno)))")
        }
    }

    private struct Ended: Error {}

    // MARK: Who has a volume

    /// Which volumes a live run has; `nil` when an earlier release started it and did not write that down.
    struct VolumeUse: Sendable {
        let workload: String
        let volumes: Set<String>?
    }

    /// - Throws: while a run has the volume, or may have it
    static func checkIsFree(_ id: String, _ uses: [RunID: VolumeUse]) throws(EngineError) {
        for use in uses.values.sorted(by: { $0.workload < $1.workload }) {
            guard let volumes = use.volumes else {
                throw .sandbox(
                    "the volume \(id) stays as it is: which volumes \(use.workload) has is not known, since an earlier release started it; restart it")
            }
            if volumes.contains(id) {
                throw .sandbox("the volume \(id) stays as it is: \(use.workload) runs and has it; 'berth stop \(use.workload)' ends that")
            }
        }
    }

    /// One piece of work at a time on each volume: a copy of what is being removed would be half.
    func beginWork(onVolume id: String) throws(EngineError) {
        guard busyVolumes.withLock({ $0.insert(id).inserted }) else {
            throw .sandbox("the volume \(id) is being saved, restored or removed just now: try again when that is done")
        }
    }

    func endWork(onVolume id: String) { busyVolumes.withLock { _ = $0.remove(id) } }
}

/// Names of folders beside volumes that are none.
enum HiddenVolume {
    /// What is to be removed.
    static let gone = "~gone~"
    /// What is being copied out of an image.
    static let seed = "~seed~"

    static func isOne(_ name: String) -> Bool { [gone, seed, "~part~"].contains { name.hasPrefix($0) } }
}

/// What tar says, however much it is.
private struct TarWords: ~Copyable {
    private let file: FileDescriptor

    init(in directory: String) throws {
        let path = "\(directory)/tar-\(UInt64.random(in: .min ... .max))"
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw HostFile.Failure(path: path, action: "make", code: errno) }
        unlink(path)
        file = FileDescriptor(rawValue: descriptor)
    }

    deinit { try? file.close() }

    var output: FileDescriptorOutput { .fileDescriptor(file, closeAfterSpawningProcess: false) }

    /// The first line.
    var first: String {
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = pread(file.rawValue, &bytes, bytes.count, 0)
        let line = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").first.map(String.init) ?? "tar gave no reason"
        return line.hasPrefix("tar: ") ? String(line.dropFirst(5)) : line
    }
}
