internal import ControlAPI
internal import EngineAPI
internal import Hummingbird
internal import Schedules
internal import WorkloadModel

extension ControlServer {
    func addImages(_ router: Router<ControlContext>) {
        router.get("v1/images") { _, _ in
            do { return try json(try await engine.imageList().map(ImageInfo.init)) } catch let error as EngineError {
                throw HTTPError(.internalServerError, message: error.description)
            }
        }
        router.post("v1/registries") { request, _ in
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
    init(_ status: StoredImageStatus) {
        self.init(names: status.names, digest: status.digest, broughtIn: status.broughtIn?.description, bytes: status.bytes, ownBytes: status.ownBytes)
    }
}
