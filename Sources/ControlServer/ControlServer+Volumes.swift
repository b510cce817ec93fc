internal import ControlAPI
internal import EngineAPI
internal import Foundation
internal import Hummingbird
internal import WorkloadModel

extension ControlServer {
    func addVolumes(_ routes: inout Routes) {
        routes.add(.volumes) { _, _ in
            try json(
                await recipes.volumes().map { volume, users in
                    VolumeInfo(
                        name: volume.id, project: volume.project?.description, isAnonymous: volume.isAnonymous, bytes: volume.bytes,
                        users: users.map(\.description).sorted())
                })
        }
        routes.add(.pruneVolumes) { request, _ in
            let all = request.uri.queryParameters["all"].map { $0 == "1" } ?? false
            return try json(RemovedInfo(removed: try await recipes.removeVolumes(nil, all: all)))
        }
        routes.add(.readVolume) { _, context in
            let name = try context.parameters.require("volume")
            let id = try await recipes.volume(named: name.removingPercentEncoding ?? name)
            let place = try longAnswers.place()
            return Response(
                status: .ok, headers: [.contentType: "application/x-tar"],
                body: .init { writer in
                    defer { withExtendedLifetime(place) {} }
                    // A failure breaks the answer off, so that nobody takes half of it for the whole.
                    try await engine.readVolume(id) { try await writer.write(ByteBuffer(bytes: $0)) }
                    try await writer.finish(nil)
                })
        }
        routes.add(.writeVolume) { request, context in
            let name = try context.parameters.require("volume")
            let id = try await recipes.volumeToRestore(name.removingPercentEncoding ?? name)
            let place = try longAnswers.place()
            defer { withExtendedLifetime(place) {} }
            do {
                try await engine.writeVolume(id) { take in
                    for try await piece in request.body { try await take(Array(piece.readableBytesView)) }
                }
            } catch let error as EngineError { throw ErrorInfo(error: error.description) }
            return try json(VolumeInfo(name: id, project: nil, isAnonymous: false, bytes: nil, users: []))
        }
        routes.add(.removeVolume) { _, context in
            let name = try context.parameters.require("volume")
            return try json(RemovedInfo(removed: try await recipes.removeVolumes(name.removingPercentEncoding ?? name, all: true)))
        }
    }
}
