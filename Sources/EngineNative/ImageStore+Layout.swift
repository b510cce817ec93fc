internal import EngineAPI
internal import Foundation
internal import Glibc
internal import HostOS
internal import Schedules
internal import WorkloadModel

/// What lies in the layout of containers/storage.
extension ImageStore {
    struct StoredImage: Decodable {
        let id: String
        let names: [String]?
        let layer: String?
    }

    private struct StoredLayer: Decodable {
        let id: String
        let parent: String?
        let size: Int64?

        private enum CodingKeys: String, CodingKey { case id, parent, size = "diff-size" }
    }

    /// What is there, with how much of the disk it takes: shared layers count for each image that has them.
    func list() throws(EngineError) -> [StoredImageStatus] {
        do {
            let images = try storedImages() ?? []
            let layers = images.isEmpty ? [:] : try storedLayers()
            func chain(_ image: StoredImage) -> [StoredLayer] { ImageStore.chain(from: image.layer, layers).layers }
            var users: [String: Int] = [:]
            for image in images { for layer in chain(image) { users[layer.id, default: 0] += 1 } }
            return images.map { image in
                let own = chain(image)
                let keys = (image.names ?? []).compactMap { $0.split(separator: "/").last?.split(separator: ":").first.map(String.init) }
                let names = keys.map { (try? HostFile.text("\(directory)/sources/\($0).name")) ?? "?" }.sorted()
                let times = keys.compactMap { (try? HostFile.text("\(directory)/sources/\($0)")).flatMap { Int64($0) } }
                return StoredImageStatus(
                    names: names, digest: image.id, broughtIn: times.max().map { Timestamp(seconds: $0) }, bytes: own.compactMap(\.size).reduce(0, +),
                    ownBytes: own.filter { users[$0.id] == 1 }.compactMap(\.size).reduce(0, +))
            }.sorted { ($0.names.first ?? "~", $0.digest) < ($1.names.first ?? "~", $1.digest) }
        } catch { throw .image("the image store at \(directory) cannot be read: \(error)") }
    }

    /// `nil` when there is no store yet.
    func storedImages() throws -> [StoredImage]? {
        guard let bytes = try? HostFile.bytes("\(directory)/overlay-images/images.json", limit: 64 << 20) else { return nil }
        return try JSONDecoder().decode([StoredImage].self, from: Data(bytes))
    }

    /// By their ids.
    private func storedLayers() throws -> [String: StoredLayer] {
        let bytes = try HostFile.bytes("\(directory)/overlay-layers/layers.json", limit: 64 << 20)
        return Dictionary(try JSONDecoder().decode([StoredLayer].self, from: Data(bytes)).map { ($0.id, $0) }) { first, _ in first }
    }

    /// A layer and those below it, top first, and whether all of them are there, and not too many.
    private static func chain(from top: String?, _ layers: [String: StoredLayer]) -> (layers: [StoredLayer], isWhole: Bool) {
        var chain: [StoredLayer] = []
        var next = top
        while let id = next {
            guard let layer = layers[id], chain.count < Image.mostLayers else { return (chain, false) }
            chain.append(layer)
            next = layer.parent.flatMap { $0.isEmpty ? nil : $0 }
        }
        return (chain, true)
    }

    /// `nil` when it was not brought in.
    func find(_ source: ImageSource) throws(EngineError) -> Image? {
        do {
            let name = ImageStore.name(source)
            let images = try storedImages() ?? []
            guard let stored = images.first(where: { image in source.digest.map { $0 == image.id } ?? (image.names?.contains(name) == true) }) else {
                return nil
            }
            let (chain, isWhole) = ImageStore.chain(from: stored.layer, try storedLayers())
            guard isWhole else { throw EngineError.image("its layers are not all there, or more than \(Image.mostLayers)") }
            let file = "=" + Data("sha256:\(stored.id)".utf8).base64EncodedString()
            let bytes = try HostFile.bytes("\(directory)/overlay-images/\(stored.id)/\(file)", limit: 8 << 20)
            let links = "\(directory)/berth-layers/\(stored.id)"
            return Image(id: stored.id, directory: links, layers: try link(chain.map(\.id), in: links), configuration: try ImageConfiguration(json: bytes))
        } catch let error as EngineError { throw .image("the image \(source): \(error)") } catch {
            throw .image("the image store at \(directory) cannot be read: \(error)")
        }
    }

    /// A directory of links to the layers, named by number: the names that containers/storage has would fill the one page
    /// that a mount's options may have with some 130 layers.
    private func link(_ layers: [String], in directory: String) throws -> [String] {
        try HostFile.makeDirectories(directory)
        return try layers.enumerated().map { index, layer in
            let name = String(index, radix: 36)
            let path = "\(directory)/\(name)"
            let target = "../../overlay/\(layer)/diff"
            if symlink(target, path) == 0 { return name }
            // A link that is there may be of an earlier image with the same configuration and other layers.
            guard errno == EEXIST, HostFile.link(path) != target else {
                if errno == EEXIST { return name }
                throw HostFile.Failure(path: path, action: "make", code: errno)
            }
            unlink(path)
            guard symlink(target, path) == 0 else { throw HostFile.Failure(path: path, action: "make", code: errno) }
            return name
        }
    }
}
