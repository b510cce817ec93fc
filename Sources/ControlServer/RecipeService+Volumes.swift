internal import ControlAPI
internal import EngineAPI
internal import Foundation
internal import HostOS
internal import Supervision
internal import WorkloadModel

/// Volumes as archives.
extension RecipeService {
    /// The id of a volume as ``volumes()`` has it, by that or as `PROJECT_NAME`.
    ///
    /// - Throws: ``ControlAPI/ErrorInfo`` when it is not there
    func volume(named name: String) async throws(ErrorInfo) -> String {
        guard let id = await known(name) else { throw ErrorInfo(error: "there is no volume '\(PlainText.shown(name))': 'berth volume ls' lists them") }
        return id
    }

    private func known(_ name: String) async -> String? {
        let ids = await volumes().map(\.volume.id)
        return ids.first { $0 == name } ?? ids.first { $0.replacing("/", with: "_") == name }
    }

    /// The id that a volume has or is to have which an archive is unpacked into.
    ///
    /// - Throws: ``ControlAPI/ErrorInfo`` while a run has it
    func volumeToRestore(_ name: String) async throws(ErrorInfo) -> String {
        let id = await known(name) ?? name
        try await checkIsFree(id)
        return id
    }

    /// Refuses to replace what a run has before it.
    func checkIsFree(_ id: String) async throws(ErrorInfo) {
        for user in await volumes().first(where: { $0.volume.id == id })?.users ?? [] {
            guard await supervisor.runs(of: user).isEmpty else {
                throw ErrorInfo(error: "the volume \(id) is as it was: \(user) runs and has it; 'berth stop \(user)' ends that")
            }
        }
    }
}
