internal import EngineAPI
internal import Synchronization
internal import WorkloadModel

/// What keeps images from being removed.
struct ImageHolds {
    /// The image that each live run runs from; empty when it has none, and `nil` when that is not known.
    private var runs: [RunID: String?] = [:]
    /// How often each image was made ready for a recipe that is not in force yet.
    private var pins: [String: Int] = [:]
    /// How many images are being brought in, or looked for.
    private var arrivals = 0
    private var leaving: Set<String> = []

    mutating func hold(_ image: String?, for run: RunID) { runs[run] = .some(image) }

    mutating func drop(_ run: RunID) { runs[run] = nil }

    /// Nothing is removed from here on until ``endArrival(of:)``.
    ///
    /// - Returns: false while something is being removed
    mutating func beginArrival() -> Bool {
        guard leaving.isEmpty else { return false }
        arrivals += 1
        return true
    }

    /// - Parameter image: what stays until it is unpinned; `nil` when nothing came
    mutating func endArrival(of image: String?) {
        arrivals -= 1
        if let image { pins[image, default: 0] += 1 }
    }

    /// Whether a live run, or a recipe that is being applied, needs it, or that is not known.
    func isHeld(_ image: String) -> Bool { pins[image] != nil || runs.values.contains { $0 == nil || $0 == image } }

    mutating func unpin(_ image: String) {
        guard let count = pins[image] else { return }
        pins[image] = count > 1 ? count - 1 : nil
    }

    /// - Returns: whether it may be removed
    mutating func beginRemoval(of image: String) -> Bool {
        guard arrivals == 0, !isHeld(image) else { return false }
        leaving.insert(image)
        return true
    }

    mutating func endRemoval(of image: String) { leaving.remove(image) }

    func isLeaving(_ image: String) -> Bool { leaving.contains(image) }
}

extension ImageStore {
    /// The image of a source that was brought in, kept for a run until it is dropped.
    ///
    /// - Throws: ``EngineError`` when it is not there, or is being removed
    func image(_ source: ImageSource, for run: RunID) throws(EngineError) -> Image {
        let image = try image(source)
        let isThere = holds.withLock { holds in
            guard !holds.isLeaving(image.id) else { return false }
            holds.hold(image.id, for: run)
            return true
        }
        guard isThere else { throw .image("the image \(source) is being removed; 'berth up' brings it in again") }
        return image
    }

    func hold(_ image: String?, for run: RunID) { holds.withLock { $0.hold(image, for: run) } }

    func drop(_ run: RunID) { holds.withLock { $0.drop(run) } }

    func release(_ images: [String]) { holds.withLock { holds in for image in images { holds.unpin(image) } } }
}
