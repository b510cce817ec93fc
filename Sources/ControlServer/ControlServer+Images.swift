internal import ControlAPI
internal import EngineAPI
internal import Foundation
internal import Hummingbird
internal import Schedules
internal import WorkloadModel

extension ControlServer {
    func addImages(_ routes: inout Routes) {
        routes.add(.images) { _, _ in try json(try await recipes.images().map(ImageInfo.init)) }
        routes.add(.pullImages) { request, context in
            let upload = try await body(RecipeUpload.self, request)
            let recipe = try await recipes.read(upload.source)
            return lines(context) { say in
                ProgressLine(images: try await recipes.pull(recipe, upload.pull?.policy) { say(ProgressLine(progress: $0)) })
            }
        }
        routes.add(.pruneImages) { _, _ in try json(RemovedInfo(removed: try await recipes.removeImages(named: nil))) }
        routes.add(.removeImage) { _, context in
            let name = try context.parameters.require("image")
            return try json(RemovedInfo(removed: try await recipes.removeImages(named: name.removingPercentEncoding ?? name)))
        }
        routes.add(.signIn) { request, _ in
            let upload = try await body(SignInUpload.self, request)
            // It becomes an argument of a program: an option is none.
            guard !upload.registry.isEmpty, !upload.registry.hasPrefix("-"), !upload.user.hasPrefix("-"), !upload.registry.utf8.contains(0),
                !upload.user.utf8.contains(0)
            else {
                throw HTTPError(.badRequest, message: "the registry's or the user's name is none")
            }
            do { try await engine.signIn(upload.registry, user: upload.user, password: upload.password) } catch let error as EngineError {
                throw HTTPError(.conflict, message: error.description)
            }
            return try json(ActionInfo(run: nil, queued: false))
        }
    }
}

extension ImageInfo {
    init(_ status: StoredImageStatus, users: [WorkloadID]) {
        self.init(
            names: status.names, digest: status.digest, broughtIn: status.broughtIn?.description, bytes: status.bytes, ownBytes: status.ownBytes,
            users: users.map(\.description).sorted())
    }
}
