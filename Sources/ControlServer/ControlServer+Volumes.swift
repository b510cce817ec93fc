internal import ControlAPI
internal import EngineAPI
internal import Foundation
internal import Hummingbird
internal import WorkloadModel

extension ControlServer {
    func addVolumes(_ router: Router<ControlContext>) {
        router.get("v1/volumes") { _, _ in
            try json(
                await recipes.volumes().map { volume, users in
                    VolumeInfo(
                        name: volume.id, project: volume.project?.description, isAnonymous: volume.isAnonymous, bytes: volume.bytes,
                        users: users.map(\.description).sorted())
                })
        }
        router.post("v1/volumes/prune") { request, _ in
            let all = request.uri.queryParameters["all"].map { $0 == "1" } ?? false
            return try json(RemovedInfo(removed: try await recipes.removeVolumes(nil, all: all)))
        }
        router.delete("v1/volumes/:volume") { _, context in
            let name = try context.parameters.require("volume")
            return try json(RemovedInfo(removed: try await recipes.removeVolumes(name.removingPercentEncoding ?? name, all: true)))
        }
    }
}
