internal import Glibc
public import Schedules
internal import Synchronization

/// The zones of this host: TZif files, as the tz database's own tools install them.
///
/// A zone is read once and read again when its file has changed, so that an update of the tz database counts without a
/// restart.
public final class SystemZones: Sendable {
    /// Why there is no such zone.
    public enum Failure: Error, Equatable, CustomStringConvertible {
        /// There is no file of that name, or the text cannot be a zone's name; with the nearest name of the database, if there is one.
        case unknown(String, didYouMean: String?)
        /// The directory of the tz database at this path does not exist.
        case noDatabase(String)
        /// The zone's file cannot be opened, is larger than 1 MiB, or is not a valid TZif file.
        case unreadable(String, reason: String)

        /// A sentence that names the zone or the directory.
        public var description: String {
            switch self {
            case .unknown(let name, let hint): "there is no time zone '\(name)'" + (hint.map { "; did you mean '\($0)'?" } ?? "; names look like Europe/Lisbon")
            case .noDatabase(let path): "there is no time zone database at \(path): install it with 'apt-get install tzdata'"
            case .unreadable(let name, let reason): "the time zone '\(name)' cannot be read: \(reason)"
            }
        }
    }

    private struct Entry: Sendable {
        let zone: Zone
        let stamp: String
    }

    private let directory: String
    private let localtime: String
    private let cache = Mutex<[String: Entry]>([:])
    /// The state of each file that was asked for, as it was last told; `nil` when it was not there.
    private let told = Mutex<[String: String?]>([:])

    /// Reads nothing yet.
    ///
    /// - Parameters:
    ///   - directory: of the TZif files
    ///   - localtime: the link or file that says which zone the host is in
    public init(directory: String = "/usr/share/zoneinfo", localtime: String = "/etc/localtime") {
        self.directory = directory
        self.localtime = localtime
    }

    /// - Throws: ``Failure``
    public func zone(_ name: String) throws(Failure) -> Zone {
        if name == "UTC" { return .utc }
        let valid =
            !name.isEmpty && name.utf8.count < 128 && !name.hasPrefix("/") && !name.contains("..")
            && name.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) || [43, 45, 47, 95].contains($0) }
        guard valid else { throw .unknown(name, didYouMean: nil) }
        guard access(directory, F_OK) == 0 else { throw .noDatabase(directory) }
        return try read("\(directory)/\(name)", name: name)
    }

    /// The host's own zone, as /etc/localtime has it; UTC when there is none, and an unavailable one when it names a zone that
    /// is not there.
    public func local() -> Zone {
        told.withLock { known in
            if known[localtime] == nil { known[localtime] = .some(SystemZones.state(of: localtime)) }
        }
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = readlink(localtime, &buffer, buffer.count - 1)
        if length > 0 {
            let target = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if let start = target.range(ofText: "zoneinfo/") {
                let name = String(target[start...])
                return (try? zone(name)) ?? .unavailable(name: name)
            }
        }
        return (try? read(localtime, name: "local")) ?? .utc
    }

    private func read(_ path: String, name: String) throws(Failure) -> Zone {
        var info = stat()
        let state = SystemZones.state(of: path)
        told.withLock { known in
            if known[path] == nil { known[path] = .some(state) }
        }
        guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { throw .unknown(name, didYouMean: nearest(name)) }
        let stamp = SystemZones.stamp(info)
        if let entry = cache.withLock({ $0[name] }), entry.stamp == stamp { return entry.zone }
        guard info.st_size <= 1 << 20, let file = fopen(path, "rb") else {
            throw .unreadable(name, reason: "\(path) cannot be opened")
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: Int(info.st_size))
        let got = fread(&bytes, 1, bytes.count, file)
        do {
            let zone = try Zone(name: name, tzif: Array(bytes[..<got]))
            cache.withLock { $0[name] = Entry(zone: zone, stamp: stamp) }
            return zone
        } catch { throw .unreadable(name, reason: error.description) }
    }

    /// Whether a file that zones were read from, or were looked for in vain, has changed, come or gone since it was last
    /// asked here.
    public func haveChanged() -> Bool {
        told.withLock { known in
            var changed = false
            for (path, state) in known {
                let now = SystemZones.state(of: path)
                if now != state {
                    known[path] = .some(now)
                    changed = true
                }
            }
            return changed
        }
    }

    private static func state(of path: String) -> String? {
        var info = stat()
        return stat(path, &info) == 0 ? stamp(info) : nil
    }

    private static func stamp(_ info: stat) -> String { "\(info.st_ino) \(info.st_size) \(info.st_mtim.tv_sec).\(info.st_mtim.tv_nsec)" }

    /// All names, from the database's own list.
    public func names() -> [String] {
        for list in ["tzdata.zi", "zone1970.tab"] {
            guard let file = fopen("\(directory)/\(list)", "r") else { continue }
            defer { fclose(file) }
            var names: [String] = []
            var line = [CChar](repeating: 0, count: 1024)
            while fgets(&line, 1024, file) != nil {
                let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(whereSeparator: \.isWhitespace)
                guard let first = fields.first else { continue }
                if list == "tzdata.zi" {
                    if first == "Z", fields.count > 1 { names.append(String(fields[1])) }
                    if first == "L", fields.count > 2 { names.append(String(fields[2])) }
                } else if first.first != "#", fields.count > 2 {
                    names.append(String(fields[2]))
                }
            }
            return names.sorted()
        }
        return []
    }

    private func nearest(_ name: String) -> String? {
        let wanted = name.lowercased()
        let names = names()
        if let same = names.first(where: { $0.lowercased() == wanted }) { return same }
        // The city alone is what people remember.
        let city = wanted.split(separator: "/").last ?? ""
        return names.first { $0.lowercased().split(separator: "/").last == city }
            ?? names.first { SystemZones.isNear(Array($0.lowercased().utf8), Array(wanted.utf8)) }
    }

    /// One letter too many, too few, another, or two swapped.
    private static func isNear(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        let common = zip(left, right).prefix { $0 == $1 }.count
        let (a, b) = (left[common...], right[common...])
        if a.dropFirst().elementsEqual(b) || b.dropFirst().elementsEqual(a) || a.dropFirst().elementsEqual(b.dropFirst()) { return true }
        return a.count >= 2 && b.count >= 2 && a.first == b.dropFirst().first && b.first == a.dropFirst().first && a.dropFirst(2).elementsEqual(b.dropFirst(2))
    }
}

extension String {
    /// Where the text after the last occurrence of `needle` begins.
    fileprivate func range(ofText needle: String) -> Index? {
        var found: Index?
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(needle) { found = index(start, offsetBy: needle.count) }
            start = index(after: start)
        }
        return found
    }
}
