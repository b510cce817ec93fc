internal import Glibc
internal import HostOS
internal import Schedules
internal import Synchronization

/// Keeps a recipe that ends the daemon from doing so again: what is being read is noted in a file while it is read, and what
/// was noted when the daemon died is set aside at the next start.
public final class ReadingGuard: Sendable {
    /// A file for each reading that is under way.
    private let underWay: String
    private let directory: String
    private let counter = Mutex(0)
    /// What was set aside when this guard was made.
    public let setAside: [String]

    struct SetAside: Error, CustomStringConvertible {
        let description: String
    }

    /// A recipe that is being read, or in whose reading the daemon died.
    private struct Note: Codable {
        let key: String
        let stamp: String
        /// How many deaths set it aside.
        let most: Int
        var deaths = 0
    }

    /// - Parameter state: the state directory
    public init(state: String) {
        underWay = "\(state)/being-read"
        directory = "\(state)/set-aside"
        var found: Set<String> = []
        var counted: Set<String> = []
        for name in HostFile.names(in: underWay) {
            let path = "\(underWay)/\(name)"
            // Several readings of one recipe at once are one death.
            if var note: Note = HostFile.json(path), counted.insert(note.key).inserted {
                let aside = ReadingGuard.path(directory, note.key)
                if let earlier: Note = HostFile.json(aside), earlier.stamp == note.stamp { note.deaths = earlier.deaths }
                note.deaths += 1
                try? HostFile.makeDirectories(directory)
                if (try? HostFile.replace(aside, json: note)) != nil, note.deaths >= note.most { found.insert(note.key) }
            }
            unlink(path)
        }
        setAside = found.sorted()
        try? HostFile.makeDirectories(underWay)
    }

    private static func path(_ directory: String, _ key: String) -> String { "\(directory)/\(String(StableHash(key).value, radix: 16))" }

    /// Reads something, unless the daemon died when it was last read as it is now.
    ///
    /// - Parameters:
    ///   - key: what it is, in words
    ///   - stamp: what changes when it does
    ///   - deaths: how many deaths of the daemon set it aside
    func read<Value>(_ key: String, stamp: String, deaths: Int = 1, _ body: () throws -> Value) throws -> Value {
        let aside = ReadingGuard.path(directory, key)
        if let earlier: Note = HostFile.json(aside), earlier.stamp == stamp, earlier.deaths >= earlier.most {
            throw SetAside(description: "\(key) is set aside: the daemon died when it was last read. Change it, or remove \(aside)")
        }
        let number = counter.withLock { count in
            count += 1
            return count
        }
        let marker = "\(underWay)/\(number)"
        try? HostFile.replace(marker, json: Note(key: key, stamp: stamp, most: deaths), durable: false)
        defer { unlink(marker) }
        let value = try body()
        // It can be read, so an earlier death had another cause, or it has changed since.
        unlink(aside)
        return value
    }
}
