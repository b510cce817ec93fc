internal import Foundation
internal import Glibc
internal import HostOS
internal import Schedules

/// Keeps a recipe that ends the daemon from doing so again: what is being read is noted in a file while it is read, and what
/// was noted when the daemon died is set aside at the next start.
///
/// For one reading at a time.
public final class ReadingGuard: Sendable {
    private let marker: String
    private let directory: String
    /// What was set aside when this guard was made; `nil` when nothing was.
    public let setAside: String?

    struct SetAside: Error, CustomStringConvertible {
        let description: String
    }

    /// - Parameter state: the state directory
    public init(state: String) {
        marker = "\(state)/reading"
        directory = "\(state)/set-aside"
        guard let note = try? HostFile.text(marker, limit: 1 << 16), let key = note.split(separator: "\n").first.map(String.init) else {
            setAside = nil
            return
        }
        try? HostFile.makeDirectories(directory)
        setAside = (try? HostFile.replace(ReadingGuard.path(directory, key), with: note)) == nil ? nil : key
        unlink(marker)
    }

    private func path(_ key: String) -> String { ReadingGuard.path(directory, key) }
    private static func path(_ directory: String, _ key: String) -> String { "\(directory)/\(String(StableHash(key).value, radix: 16))" }

    /// Reads something, unless the daemon died when it was last read as it is now.
    ///
    /// - Parameters:
    ///   - key: what it is, in words
    ///   - stamp: what changes when it does
    func read<Value>(_ key: String, stamp: String, _ body: () throws -> Value) throws -> Value {
        let note = "\(key.replacing("\n", with: " "))\n\(stamp)\n"
        if let aside = try? HostFile.text(path(key), limit: 1 << 16) {
            guard aside != note else {
                throw SetAside(description: "\(key) is set aside: the daemon died when it was last read. Change it, or remove \(path(key))")
            }
            unlink(path(key))
        }
        try? HostFile.replace(marker, with: note, durable: false)
        defer { unlink(marker) }
        return try body()
    }
}
