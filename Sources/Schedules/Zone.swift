/// The civil time of one place: when its clocks were and will be set, and to what.
///
/// A value made from the system's tz database (see ``init(name:tzif:)``); it reads no file itself.
public final class Zone: Sendable {
    /// The name in the tz database, such as `Europe/Lisbon`.
    public let name: String
    /// UTC seconds at which an offset begins; the first is `Int64.min`. Ascending, as long as `offsets`.
    let starts: [Int64]
    /// Seconds east of UTC, from the start of the same index on.
    let offsets: [Int32]

    /// Whether the zone is not to be found now: a schedule in it is never due, until the zone is back.
    public let isUnavailable: Bool

    /// Stands for a zone that is not to be found, for a schedule that was accepted when it still was.
    public static func unavailable(name: String) -> Zone { Zone(name: name, starts: [.min], offsets: [0], isUnavailable: true) }

    /// Coordinated Universal Time, without any file.
    public static let utc = Zone(name: "UTC", starts: [.min], offsets: [0])

    /// Neighbours of the same offset are joined: a change of name alone is no change for a schedule.
    init(name: String, starts: [Int64], offsets: [Int32], isUnavailable: Bool = false) {
        self.isUnavailable = isUnavailable
        var keptStarts: [Int64] = []
        var keptOffsets: [Int32] = []
        for (start, offset) in zip(starts, offsets) where keptOffsets.last != offset {
            keptStarts.append(start)
            keptOffsets.append(offset)
        }
        self.name = name
        self.starts = keptStarts
        self.offsets = keptOffsets
    }

    /// Seconds east of UTC at an instant given in UTC seconds.
    public func offset(at utc: Int64) -> Int { Int(offsets[segment(at: utc)]) }

    /// What a wall clock there shows at an instant.
    public func civilTime(at timestamp: Timestamp) -> CivilTime {
        CivilTime(localSeconds: timestamp.seconds + Int64(offset(at: timestamp.seconds)))
    }

    /// The stretch of constant offset that an instant lies in.
    func segment(at utc: Int64) -> Int {
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= utc { low = middle } else { high = middle }
        }
        return low
    }

    /// The first instant after a segment; `Int64.max` after the last.
    func end(ofSegment index: Int) -> Int64 { index + 1 < starts.count ? starts[index + 1] : .max }

    /// How a wall time maps to instants.
    enum Resolution: Equatable {
        case unique(Int64)
        /// The clock shows it twice (or more): the first and the last instant.
        case repeated(first: Int64, last: Int64)
        /// The clock never shows it: the first instant after the gap.
        case skipped(firstAfter: Int64)
    }

    func resolve(local: Int64) -> Resolution {
        // No offset exceeds 26 hours, and no change of one does; the instant lies within two days of the wall time.
        let margin: Int64 = 2 * 86400
        var index = segment(at: local - margin)
        if end(ofSegment: index) > local + margin { return .unique(local - Int64(offsets[index])) }
        var first: Int64?
        var last: Int64 = 0
        var firstAfter: Int64?
        while index < starts.count, index == 0 || starts[index] <= local + margin {
            let candidate = local - Int64(offsets[index])
            if candidate >= starts[index], candidate < end(ofSegment: index) {
                if first == nil { first = candidate }
                last = candidate
            }
            if index > 0, firstAfter == nil {
                let change = starts[index]
                if local >= change + Int64(offsets[index - 1]), local < change + Int64(offsets[index]) { firstAfter = change }
            }
            index += 1
        }
        if let first { return first == last ? .unique(first) : .repeated(first: first, last: last) }
        return .skipped(firstAfter: firstAfter ?? local - Int64(offset(at: local)))
    }

    /// The first instant, in UTC seconds, at which a wall clock shows a time, or after the gap that swallows it.
    public func firstInstant(of time: CivilTime) -> Int64 {
        switch resolve(local: time.localSeconds) {
        case .unique(let instant), .repeated(let instant, _), .skipped(let instant): instant
        }
    }
}
