internal import ControlAPI
internal import EngineAPI
internal import Foundation
internal import HistoryStore
internal import HostOS
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Schedules
internal import Supervision

/// One archive of all that this host's Berth is, made while work goes on.
extension ControlServer {
    func addBackup(_ routes: inout Routes) {
        routes.add(.backup) { request, _ in
            let upload = try await body(BackupUpload.self, request)
            let passphrase: String? = upload.secrets == .encrypted ? upload.passphrase : nil
            guard upload.secrets != .encrypted || passphrase?.isEmpty == false else {
                throw HTTPError(.badRequest, message: "secrets can be encrypted with a passphrase only, and there is none")
            }
            var ids: [String] = []
            if let names = upload.volumes {
                for name in names { ids.append(try await recipes.volume(named: name)) }
            } else {
                ids = await engine.volumes().map(\.id)
            }
            let place = try longAnswers.place()
            let folder = try await gather(upload.secrets, passphrase)
            return Response(
                status: .ok, headers: [.contentType: "application/x-tar"],
                body: .init { [ids] writer in
                    defer {
                        withExtendedLifetime(place) {}
                        try? FileManager.default.removeItem(atPath: folder)
                    }
                    // A failure breaks the answer off, so that nobody takes half of it for the whole.
                    try await engine.readVolumes(ids, with: folder) { try await writer.write(ByteBuffer(bytes: $0)) }
                    try await writer.finish(nil)
                })
        }
    }

    /// Puts what is small, and the copy of the history, into a folder of its own beside the history.
    private func gather(_ secrets: BackupUpload.Secrets, _ passphrase: String?) async throws -> String {
        let state = version.stateDirectory
        let folder = "\(state)/snapshots/backup-\(UUID().uuidString)"
        do {
            let own = "\(folder)/\(BackupNames.folder)"
            try HostFile.makeDirectories(own, mode: 0o700)
            let now = SystemClock.now()
            try HostFile.replace("\(own)/\(BackupNames.about)", with: "berth \(version.version)\n\(now)\n")
            try await store.writeCopy(to: "\(own)/\(BackupNames.history)", now: now)
            if secrets != .none {
                var files: [String: Data] = [:]
                for name in ["seal.key", "images/auth.json"] where HostFile.exists("\(state)/\(name)") {
                    files[name] = Data(try HostFile.bytes("\(state)/\(name)", limit: 1 << 20))
                }
                let written = try BackupSecrets(files: files).written(passphrase: passphrase)
                try HostFile.replace("\(own)/\(BackupNames.secrets)", with: Array(written))
            }
            if HostFile.isDirectory(recipeDirectory) {
                try FileManager.default.copyItem(atPath: recipeDirectory, toPath: "\(own)/\(BackupNames.recipes)")
            }
            return folder
        } catch {
            try? FileManager.default.removeItem(atPath: folder)
            throw ErrorInfo(error: "the backup cannot be made: \(error)")
        }
    }
}
