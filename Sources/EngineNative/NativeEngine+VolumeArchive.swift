internal import CLinux
internal import EngineAPI
internal import Glibc
internal import Foundation
internal import HostOS
internal import Logging
internal import Schedules
internal import Subprocess
internal import WorkloadModel

/// Volumes as tar archives, by GNU tar: owners by number, extended attributes, access lists and holes are kept.
extension NativeEngine {
    private static let kept = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "--sparse"]

    /// An archive ends with two blocks of zeros (tar(5)), in bytes.
    private static let endOfArchive = 1024

    /// Where a volume is.
    ///
    /// - Throws: ``EngineError/sandbox(_:)`` when that is no volume's id
    func volumePath(_ id: String) throws(EngineError) -> String {
        let parts = id.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let name = parts.last ?? ""
        guard (1...2).contains(parts.count), parts.count == 1 || (try? ProjectName(parts[0])) != nil, !name.isEmpty, name != ".", name != "..",
            name.utf8.count <= 200, !name.utf8.contains(0)
        else { throw .sandbox("'\(PlainText.shown(id))' is no volume's name: write it as PROJECT/NAME") }
        return "\(paths.volumes)/\(parts.count == 2 ? parts[0] : NativeEngine.shared)/\(name)"
    }

    /// Writes what a volume holds as a tar archive. Files that change meanwhile are caught as they are just then.
    ///
    /// - Parameter take: gets it piece by piece
    /// - Throws: ``EngineError``, and what `take` throws
    public func readVolume(_ id: String, _ take: ([UInt8]) async throws -> Void) async throws {
        let path = try volumePath(id)
        guard HostFile.isDirectory(path) else { throw EngineError.sandbox("there is no volume \(id)") }
        let words = NativeEngine.kept + ["--warning=no-file-changed", "--create", "--file", "-", "--directory", path, "."]
        let result = try await run(.name("tar"), arguments: Arguments(words), input: .none, output: .sequence, error: .string(limit: 65536)) { tar in
            for try await piece in tar.standardOutput { try await take(piece.withUnsafeBytes { Array($0) }) }
        }
        // 1: a file changed while it was read.
        guard result.terminationStatus.isSuccess || result.terminationStatus == .exited(1) else {
            throw EngineError.sandbox("the volume \(id) cannot be read: \(NativeEngine.reason(result.standardError))")
        }
    }

    /// Replaces what a volume holds by the content of a tar archive, whole or not at all; a volume that is not there is made.
    ///
    /// - Parameters:
    ///   - isFree: asked before the volume is replaced; throws where it is in use
    ///   - pieces: gives the archive to its argument, piece by piece
    /// - Throws: ``EngineError``, and what the bodies throw
    public func writeVolume(
        _ id: String, isFree: () async throws -> Void, _ pieces: (([UInt8]) async throws -> Void) async throws -> Void
    ) async throws {
        let path = try volumePath(id)
        let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        // Of this name, so that it is removed should the daemon die.
        let fresh = "\(folder)/~gone~restore-\(WallClock.now().milliseconds)-\(UInt32.random(in: .min ... .max))"
        try HostFile.makeDirectories(folder)
        try HostFile.makeDirectory(fresh, mode: 0o755)
        var end: [UInt8] = []
        do {
            // Links that the archive makes are made last, and no name leads out of the folder: GNU tar's rules.
            let words = NativeEngine.kept + ["--same-permissions", "--same-owner", "--extract", "--file", "-", "--directory", fresh]
            let result = try await run(.name("tar"), arguments: Arguments(words), input: .inputWriter, output: .discarded, error: .string(limit: 65536)) {
                [disk] tar in
                do {
                    try await pieces { piece in
                        try disk.checkForImport("the volume \(id)")
                        end = Array((end + piece.suffix(NativeEngine.endOfArchive)).suffix(NativeEngine.endOfArchive))
                        _ = try await tar.standardInputWriter.write(piece)
                    }
                } catch is SubprocessError {}  // It has ended, and says why.
                try await tar.standardInputWriter.finish()
            }
            guard result.terminationStatus.isSuccess else {
                throw EngineError.sandbox("the volume \(id) is as it was: the archive cannot be unpacked: \(NativeEngine.reason(result.standardError))")
            }
            // GNU tar takes an archive that breaks off between two files for a whole one.
            guard end.count == NativeEngine.endOfArchive, end.allSatisfy({ $0 == 0 }) else {
                throw EngineError.sandbox("the volume \(id) is as it was: the archive cannot be unpacked: it breaks off before its end")
            }
            try await isFree()
            // In one step: whoever looks finds the old content or the new.
            guard clinux_exchange(fresh, path) == 0 || errno == ENOENT && rename(fresh, path) == 0 else {
                throw EngineError.sandbox("the volume \(id) cannot be replaced: \(String(cString: strerror(errno)))")
            }
            // What was being copied out of an image into the old one is not for the new one.
            removeLater("\(folder)/~seed~\(path.dropFirst(folder.count + 1))")
            log.notice("a volume was restored", metadata: ["volume": "\(id)"])
        } catch {
            removeLater(fresh)
            throw error
        }
        removeLater(fresh)
    }

    private func removeLater(_ path: String) { cleanups.addOperation { [self] in if HostFile.exists(path) { removeTree(path) } } }

    private static func reason(_ text: String) -> String {
        let line = text.split(separator: "\n").first.map(String.init) ?? "tar gave no reason"
        return line.hasPrefix("tar: ") ? String(line.dropFirst(5)) : line
    }
}
