internal import HostOS

/// What the daemon writes down about a run beside the shim's facts, for the next daemon.
struct RunNote: Codable {
    /// Its workload, as `project/name`.
    let workload: String
    /// Directories of the host that the run can write to: links in them are not followed by the mounts of other runs.
    var writable: [WritablePlace] = []
    /// Directories and files on the state disk that the run can write to; its own layer first.
    var paths: [String] = []
    /// Those of the paths in which nothing is when the run begins; not written down.
    var empty: [String] = []

    private enum CodingKeys: CodingKey { case workload, writable, paths }
}

extension RunDirectory {
    private var notePath: String { "\(path)/note" }

    /// `nil` when there is no note that can be read.
    var note: RunNote? { HostFile.json(notePath) }

    func keep(_ note: RunNote) throws { try HostFile.replace(notePath, json: note, durable: false) }
}
