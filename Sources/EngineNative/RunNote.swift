internal import HostOS
internal import WorkloadModel

/// What the daemon writes down about a run beside the shim's facts, for the next daemon.
struct RunNote: Codable {
    /// What the shim keeps of a log when nobody says how much.
    static let usualLogBytes: Int64 = 16 << 20

    /// Its workload, as `project/name`.
    let workload: String
    /// Directories of the host that the run can write to: links in them are not followed by the mounts of other runs.
    var writable: [WritablePlace] = []
    /// Directories and files on the state disk that the run can write to; its own layer first.
    var paths: [String] = []
    /// The digest of its image; empty when it has none, and `nil` in a note of a release that did not write it down.
    var image: String?
    /// How it is stopped when its shim is gone; `nil` in a note of a release that did not write it down.
    var stop: Stop?
    /// How its log is gone on with when its shim is gone; `nil` in a note of a release that did not write it down.
    var log: Log?
    /// The place of its network; `nil` when it has none.
    var place: String?
    /// How it is asked whether it works; `nil` when it is not.
    var health: HealthCheck?
    /// The ids of its volumes; `nil` in a note of a release that did not write it down.
    var volumes: [String]?
    /// The run as it was requested, without what was changed for it by hand; `nil` in a note of a release that did not write it down.
    var run: Run?
    /// Those of the paths in which nothing is when the run begins; not written down.
    var empty: [String] = []

    private enum CodingKeys: CodingKey { case workload, writable, paths, image, stop, log, place, health, volumes, run }

    struct Log: Codable {
        let base: String
        let cap: Int64
        /// Thousandths of a processor that the run may use; `nil` is any number.
        let cpuMillis: Int64?
    }

    struct Stop: Codable {
        let signal: Int32
        let graceMilliseconds: Int64
        /// How long the run may take; `nil` is any time.
        var timeoutMilliseconds: Int64?
    }
}

extension RunDirectory {
    private var notePath: String { "\(path)/note" }

    /// `nil` when there is no note that can be read.
    var note: RunNote? { HostFile.json(notePath) }

    func keep(_ note: RunNote) throws { try HostFile.replace(notePath, json: note, durable: false) }
}
