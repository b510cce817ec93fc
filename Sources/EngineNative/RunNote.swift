internal import Foundation
internal import HostOS

/// What the daemon writes down about a run beside the shim's facts, for the daemon that comes after it.
struct RunNote: Codable {
    /// In words.
    let workload: String
    /// Directories of the host that the run can write to, for the mounts of others.
    var writable: [WritablePlace] = []
    /// Where it can write on the state disk.
    var paths: [String] = []
}

extension RunDirectory {
    /// What the daemon noted about the run; `nil` when there is no note that can be read.
    var note: RunNote? { (try? HostFile.bytes("\(path)/note", limit: 1 << 20)).flatMap { try? JSONDecoder().decode(RunNote.self, from: Data($0)) } }

    func keep(_ note: RunNote) throws {
        try HostFile.replace("\(path)/note", with: Array(try JSONEncoder().encode(note)), durable: false)
    }
}
