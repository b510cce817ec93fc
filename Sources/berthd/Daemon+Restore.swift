import ControlAPI
import EngineNative
import Foundation
import Glibc
import HistoryStore
import HostOS
import Schedules

/// `--restore`: a backup's content in the place of what is there, which is put aside.
extension Daemon {
    /// - Throws: ``StartError``; what is there is as it was then, or put aside whole
    func restoreBackup(_ archive: String) throws {
        guard geteuid() == 0 else { throw StartError(description: "a backup is restored by root", code: 77) }
        umask(0o077)
        let state = absolute(stateDir)
        let stateLock: FileLock
        do { stateLock = try Self.lock(state, mode: 0o700) } catch let error as StartError where error.code == 75 {
            throw StartError(description: "\(error): end it first, as by 'systemctl stop berth'; its containers run on", code: 75)
        }
        defer { stateLock.release() }
        let live = NativeEngine.liveRuns(EnginePaths(state: state, runtime: absolute(runtimeDir), shim: ""))
        guard live.isEmpty else {
            throw StartError(
                description: "\(live.count) containers run: stop them first, as by 'systemctl kill --signal=SIGUSR1 berth', which ends the daemon too", code: 75
            )
        }
        let folder = "\(state)/restore-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            for name in HostFile.names(in: state) where name.hasPrefix("restore-") { try? FileManager.default.removeItem(atPath: "\(state)/\(name)") }
            try unpack(absolute(archive), into: folder)
            let own = "\(folder)/\(BackupNames.folder)"
            let runs = try HistoryStore.examineCopy("\(own)/\(BackupNames.history)")
            let secrets = try secrets(own)
            let volumes = Self.volumes(in: "\(folder)/volumes")
            let recipes = HostFile.names(in: "\(own)/\(BackupNames.recipes)").sorted()
            try checkFree(state, volumes)
            let aside = Aside(path: "\(state)/quarantine/replaced-\(WallClock.now().milliseconds / 1000)")
            // The history last: until it is there, an interrupted restore can be begun again.
            for volume in volumes { try aside.move("\(folder)/volumes/\(volume)", to: "\(state)/volumes/\(volume)", as: "volumes/\(volume)") }
            let kept = try putRecipes(recipes, from: "\(own)/\(BackupNames.recipes)", aside)
            for (name, content) in secrets.sorted(by: { $0.key < $1.key }) {
                let fresh = "\(folder)/secret"
                try HostFile.replace(fresh, with: Array(content))
                try aside.move(fresh, to: "\(state)/\(name)", as: name)
            }
            for ending in ["-wal", "-shm"] { try aside.takeAway("\(state)/berth.db\(ending)", as: "berth.db\(ending)") }
            try aside.move("\(own)/\(BackupNames.history)", to: "\(state)/berth.db", as: "berth.db")
            sync()
            let counts = ["\(runs) runs", "\(volumes.count) volumes", "\(recipes.count - kept.count) recipe files"].joined(separator: ", ")
            print("restored: \(counts)" + (aside.isUsed ? "; what was there is in \(aside.path)" : ""))
            for name in kept { print("\(absolute(recipeDir))/\(name) is as it was, and not as in the backup: --replace replaces it") }
            if secrets["seal.key"] == nil { print("without secrets: recipes that this host's key does not open are to be applied again") }
        } catch let error as StartError { throw error } catch {
            throw StartError(description: "\(archive) cannot be restored: \(error)", code: 74)
        }
    }

    private func unpack(_ archive: String, into folder: String) throws {
        try HostFile.makeDirectory(folder, mode: 0o700)
        let tar = Process()
        tar.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        tar.arguments = ["tar"] + NativeEngine.unpacking + ["--file", archive, "--directory", folder]
        let words = Pipe()
        tar.standardError = words
        try tar.run()
        let said = String(decoding: words.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        tar.waitUntilExit()
        let isBackup = HostFile.exists("\(folder)/\(BackupNames.folder)/\(BackupNames.about)")
        guard tar.terminationStatus == 0, isBackup, Self.isWhole(archive) else {
            let reason = said.split(separator: "\n").first.map(String.init) ?? (isBackup ? "it breaks off before its end" : "it is no backup of Berth's")
            throw StartError(description: "\(archive) cannot be restored: \(reason)", code: 65)
        }
    }

    /// An archive ends with two blocks of zeros (tar(5)): GNU tar takes one that breaks off between two files for a whole one.
    private static func isWhole(_ archive: String) -> Bool {
        guard let file = FileHandle(forReadingAtPath: archive), let end = try? file.seekToEnd(), end >= 1024 else { return false }
        try? file.seek(toOffset: end - 1024)
        return (try? file.readToEnd())?.allSatisfy { $0 == 0 } ?? false
    }

    private func secrets(_ own: String) throws -> [String: Data] {
        let path = "\(own)/\(BackupNames.secrets)"
        guard HostFile.exists(path) else { return [:] }
        var passphrase: String?
        if let passphraseFile {
            let text = try HostFile.contentText(absolute(passphraseFile), limit: 4096)
            passphrase = text.hasSuffix("\n") ? String(text.dropLast()) : text
        }
        let files = try BackupSecrets.read(Data(try HostFile.bytes(path, limit: 1 << 24)), passphrase: passphrase).files
        return files.filter { ["seal.key", "images/auth.json"].contains($0.key) }
    }

    /// `PROJECT/NAME` of each.
    private static func volumes(in folder: String) -> [String] {
        HostFile.names(in: folder).sorted().flatMap { project in HostFile.names(in: "\(folder)/\(project)").sorted().map { "\(project)/\($0)" } }
    }

    private func checkFree(_ state: String, _ volumes: [String]) throws {
        guard !replace else { return }
        var there = volumes.filter { HostFile.exists("\(state)/volumes/\($0)") }.map { "the volume \($0)" }
        if HostFile.exists("\(state)/berth.db") { there.insert("a history", at: 0) }
        guard there.isEmpty else {
            throw StartError(description: "\(state) has \(there.joined(separator: ", ")) already: --replace puts that aside", code: 73)
        }
    }

    /// - Returns: those that are there with another content, and stay
    private func putRecipes(_ names: [String], from folder: String, _ aside: Aside) throws -> [String] {
        var kept: [String] = []
        let target = absolute(recipeDir)
        if !names.isEmpty { try HostFile.makeDirectories(target, mode: 0o755) }
        for name in names {
            if HostFile.exists("\(target)/\(name)") {
                if FileManager.default.contentsEqual(atPath: "\(folder)/\(name)", andPath: "\(target)/\(name)") { continue }
                guard replace else {
                    kept.append(name)
                    continue
                }
                try aside.keepCopy(of: "\(target)/\(name)", as: "recipes/\(name)")
                try FileManager.default.removeItem(atPath: "\(target)/\(name)")
            }
            // It may be another disk.
            try FileManager.default.copyItem(atPath: "\(folder)/\(name)", toPath: "\(target)/\(name)")
        }
        return kept
    }
}

/// Where what is replaced goes.
private final class Aside {
    let path: String
    private(set) var isUsed = false

    init(path: String) {
        self.path = path
    }

    /// Moves a new file or folder to a place, and what is there aside first.
    func move(_ fresh: String, to place: String, as name: String) throws {
        try takeAway(place, as: name)
        try HostFile.makeDirectories(Aside.parent(of: place))
        guard rename(fresh, place) == 0 else { throw HostFile.Failure(path: place, action: "make", code: errno) }
        try HostFile.syncDirectory(Aside.parent(of: place))
    }

    func takeAway(_ place: String, as name: String) throws {
        guard HostFile.exists(place) else { return }
        isUsed = true
        try HostFile.makeDirectories(Aside.parent(of: "\(path)/\(name)"))
        guard rename(place, "\(path)/\(name)") == 0 else { throw HostFile.Failure(path: place, action: "put aside", code: errno) }
    }

    func keepCopy(of place: String, as name: String) throws {
        isUsed = true
        try HostFile.makeDirectories(Aside.parent(of: "\(path)/\(name)"))
        try FileManager.default.copyItem(atPath: place, toPath: "\(path)/\(name)")
    }

    private static func parent(of path: String) -> String { path.split(separator: "/").dropLast().map { "/\($0)" }.joined() }
}
