internal import ControlAPI
internal import EngineAPI
internal import Foundation
internal import Hummingbird
internal import WorkloadModel

extension ControlServer {
    func addNetworks(_ routes: inout Routes) {
        routes.add(.networks) { _, _ in try json(await engine.networks?.list().map(NetworkInfo.init) ?? []) }
        routes.add(.createNetwork) { request, _ in
            let upload = try await body(NetworkUpload.self, request)
            let name = upload.network.name ?? upload.network.key
            guard NetworkSpec.isName(name) else {
                throw HTTPError(.badRequest, message: "'\(name)' is no name for a network: use 1 to 63 letters, digits, '-', '_' and '.'")
            }
            do { try await networks().create(upload.network) } catch let error as EngineError { throw HTTPError(.conflict, message: error.description) }
            return try json(RemovedInfo(removed: []))
        }
        routes.add(.pruneNetworks) { _, _ in try json(RemovedInfo(removed: try await removed(nil))) }
        routes.add(.removeNetwork) { _, context in
            let name = try context.parameters.require("network")
            return try json(RemovedInfo(removed: try await removed(name.removingPercentEncoding ?? name)))
        }
    }

    private func removed(_ name: String?) async throws -> [String] {
        do { return try await networks().remove(name) } catch let error as EngineError { throw HTTPError(.conflict, message: error.description) }
    }

    private func networks() throws -> any PlaceProvider {
        guard let networks = engine.networks else { throw HTTPError(.notImplemented, message: "the engine has no networks of its own") }
        return networks
    }
}

extension NetworkInfo {
    init(_ status: NetworkStatus) {
        self.init(
            name: status.name, project: status.project?.description, driver: status.spec.driver.rawValue, interface: status.interface,
            isInternal: status.spec.isInternal, subnets: status.subnets.map(\.range.description),
            gateways: status.subnets.compactMap { $0.gateway?.description },
            members: status.members.sorted { $0.owner < $1.owner }.map { member in
                NetworkMemberInfo(
                    owner: member.owner, addresses: member.addresses.map(\.description), names: member.aliases, ports: member.ports.map(\.description))
            })
    }
}
