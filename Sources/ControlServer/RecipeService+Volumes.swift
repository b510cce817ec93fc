internal import ControlAPI
internal import EngineAPI
internal import Foundation
internal import HostOS
internal import WorkloadModel

/// Volumes as archives.
extension RecipeService {
    /// The id of a volume as ``volumes()`` has it, by that or as `PROJECT_NAME`.
    ///
    /// - Throws: ``ControlAPI/ErrorInfo`` when it is not there, or several are called so
    func volume(named name: String) async throws(ErrorInfo) -> String {
        guard let id = try await known(name) else { throw ErrorInfo(error: "there is no volume '\(PlainText.shown(name))': 'berth volume ls' lists them") }
        return id
    }

    private func known(_ name: String) async throws(ErrorInfo) -> String? {
        let ids = await engine.volumes().map(\.id)
        if ids.contains(name) { return name }
        let found = ids.filter { $0.replacing("/", with: "_") == name }
        guard found.count < 2 else { throw ErrorInfo(error: "'\(PlainText.shown(name))' may be \(found.joined(separator: " or ")): write it so") }
        return found.first
    }

    /// The id that a volume has, or is to have, which an archive is unpacked into.
    ///
    /// - Throws: ``ControlAPI/ErrorInfo`` when no recipe could name it
    func volumeToRestore(_ name: String) async throws(ErrorInfo) -> String {
        if let id = try await known(name) { return id }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, (try? ProjectName(parts[0])) != nil, (try? WorkloadName(parts[1])) != nil else {
            throw ErrorInfo(error: "there is no volume '\(PlainText.shown(name))': write PROJECT/NAME to make one")
        }
        return name
    }
}
