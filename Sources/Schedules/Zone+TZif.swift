extension Zone {
    /// Why bytes are not a zone.
    public enum FormatError: Error, Equatable, CustomStringConvertible {
        /// The bytes do not begin with a TZif header.
        case notTZif
        /// The bytes end before the data that the header announces, or before the end of the footer.
        case truncated
        /// A count, an index, an offset or the order of the times is out of range.
        case badIndex
        /// The footer is not a rule that POSIX's TZ allows; the text is the footer.
        case badFooter(String)

        /// A sentence without the file's name.
        public var description: String {
            switch self {
            case .notTZif: "it is not a TZif file"
            case .truncated: "the TZif file is cut off"
            case .badIndex: "the TZif file contradicts itself"
            case .badFooter(let text): "the TZif file ends with a rule that is not one: '\(text)'"
            }
        }
    }

    /// The last year whose changes are laid out as a table; after it the last offset stays.
    static let lastYear = 2260
    /// The beginning of that year, in seconds since 1970.
    private static let lastInstant = CivilDate(year: lastYear, month: 1, day: 1)!.daysSinceEpoch * 86400

    /// Reads a zone from the bytes of a TZif file, versions 1 to 4, with its POSIX footer. Source: RFC 9636.
    ///
    /// - Throws: ``FormatError``
    public convenience init(name: String, tzif bytes: [UInt8]) throws(FormatError) {
        var reader = TZifReader(bytes)
        var header = try reader.header()
        var wide = false
        if header.version >= 2 {
            // The first block holds 32-bit times for old readers; the one after it is whole.
            try reader.skip(header.size(timeBytes: 4))
            header = try reader.header()
            wide = true
        }
        let table = try reader.table(header, wide: wide)
        var starts = table.starts
        var offsets = table.offsets
        // A table that goes on past the last year needs no rule.
        if wide, let rule = try PosixRule(footer: reader.footer()), starts[starts.count - 1] < Zone.lastInstant {
            let firstYear = starts.count > 1 ? CivilTime(localSeconds: starts[starts.count - 1]).date.year : 1970
            for (start, offset) in rule.changes(years: firstYear...Zone.lastYear) where starts.count == 1 || start > starts[starts.count - 1] {
                starts.append(start)
                offsets.append(offset)
            }
            if starts.count == 1 { offsets[0] = rule.standardOffset }
        }
        self.init(name: name, starts: starts, offsets: offsets)
    }
}

private struct TZifHeader {
    let version: Int
    let utCount, standardCount, leapCount, timeCount, typeCount, characterCount: Int

    func size(timeBytes: Int) -> Int {
        timeCount * timeBytes + timeCount + typeCount * 6 + characterCount + leapCount * (timeBytes + 4) + standardCount + utCount
    }
}

private struct TZifReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func skip(_ count: Int) throws(Zone.FormatError) {
        guard count >= 0, bytes.count - position >= count else { throw .truncated }
        position += count
    }

    private mutating func number(width: Int) throws(Zone.FormatError) -> Int64 {
        guard bytes.count - position >= width else { throw .truncated }
        var value: UInt64 = 0
        for byte in bytes[position..<(position + width)] { value = value << 8 | UInt64(byte) }
        position += width
        return width == 4 ? Int64(Int32(truncatingIfNeeded: value)) : width == 8 ? Int64(bitPattern: value) : Int64(value)
    }

    mutating func header() throws(Zone.FormatError) -> TZifHeader {
        guard bytes.count - position >= 44 else { throw position == 0 ? .notTZif : .truncated }
        guard Array(bytes[position..<(position + 4)]) == [0x54, 0x5A, 0x69, 0x66] else { throw .notTZif }
        let versionByte = bytes[position + 4]
        position += 20
        var counts: [Int] = []
        for _ in 0..<6 {
            let count = try number(width: 4)
            guard count >= 0, count <= 1 << 20 else { throw .badIndex }
            counts.append(Int(count))
        }
        guard counts[4] >= 1 else { throw .badIndex }
        return TZifHeader(
            version: versionByte >= 0x32 ? Int(versionByte - 0x30) : 1, utCount: counts[0], standardCount: counts[1], leapCount: counts[2],
            timeCount: counts[3], typeCount: counts[4], characterCount: counts[5])
    }

    mutating func table(_ header: TZifHeader, wide: Bool) throws(Zone.FormatError) -> (starts: [Int64], offsets: [Int32]) {
        var times: [Int64] = []
        for _ in 0..<header.timeCount {
            let time = try number(width: wide ? 8 : 4)
            // RFC 9636 has nothing before -2^59, the age of the universe; but for the least number, which some files begin with.
            guard time == .min || abs(time) <= 1 << 59 else { throw .badIndex }
            times.append(time)
        }
        var indices: [Int] = []
        for _ in 0..<header.timeCount { indices.append(Int(try number(width: 1))) }
        var types: [Int32] = []
        for _ in 0..<header.typeCount {
            let offset = try number(width: 4)
            guard abs(offset) <= 26 * 3600 else { throw .badIndex }
            types.append(Int32(offset))
            try skip(2)
        }
        try skip(header.characterCount + header.leapCount * ((wide ? 8 : 4) + 4) + header.standardCount + header.utCount)
        var starts: [Int64] = [.min]
        var offsets: [Int32] = [types[0]]
        for (time, index) in zip(times, indices) {
            guard index < types.count else { throw .badIndex }
            if starts.count > 1, time <= starts[starts.count - 1] { throw .badIndex }
            if time == .min { offsets[0] = types[index]; continue }
            starts.append(time)
            offsets.append(types[index])
        }
        return (starts, offsets)
    }

    mutating func footer() throws(Zone.FormatError) -> String {
        guard position < bytes.count, bytes[position] == 0x0A else { throw .truncated }
        let rest = bytes[(position + 1)...]
        guard let end = rest.firstIndex(of: 0x0A) else { throw .truncated }
        return String(decoding: rest[..<end], as: UTF8.self)
    }
}
