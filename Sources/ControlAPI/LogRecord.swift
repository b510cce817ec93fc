/// One record of a run's log, as the Container Runtime Interface writes it: `TIME STREAM TAG text`. A record is bytes: what a
/// container writes need not be text.
public struct LogRecord: Hashable, Sendable {
    /// Where a record's text comes from.
    public enum Stream: String, Sendable {
        /// The command's own output.
        case stdout, stderr
        /// Words of Berth's own, such as that the middle of a long log is not kept.
        case berth
    }

    /// RFC 3339, with nine digits of a second.
    public let time: String
    /// Where the text comes from.
    public let stream: Stream
    /// Whether the line goes on in the stream's next record.
    public internal(set) var isPartial: Bool
    /// The line, or the part of one, without its newline.
    public internal(set) var text: [UInt8]

    /// All of its fields.
    public init(time: String, stream: Stream, isPartial: Bool, text: [UInt8]) {
        self.time = time
        self.stream = stream
        self.isPartial = isPartial
        self.text = text
    }

    /// - Parameter line: without its newline; `nil` comes of one that is no record
    public init?(_ line: some Collection<UInt8>) {
        let fields = line.split(separator: 0x20, maxSplits: 3, omittingEmptySubsequences: false)
        guard fields.count == 4, let stream = Stream(rawValue: String(decoding: fields[1], as: UTF8.self)) else { return nil }
        self.init(
            time: String(decoding: fields[0], as: UTF8.self), stream: stream, isPartial: fields[2].first == UInt8(ascii: "P"), text: Array(fields[3]))
    }
}

/// Cuts bytes that come in pieces into lines.
public struct LineSplitter: Sendable {
    private var rest: [UInt8] = []

    /// A splitter that has seen no bytes.
    public init() {}

    /// The lines that are complete now, without their newlines.
    public mutating func take(_ bytes: some Sequence<UInt8>) -> [ArraySlice<UInt8>] {
        rest += bytes
        var lines: [ArraySlice<UInt8>] = []
        var start = rest.startIndex
        while let end = rest[start...].firstIndex(of: 0x0A) {
            lines.append(rest[start..<end])
            start = end + 1
        }
        rest = Array(rest[start...])
        return lines
    }
}

/// Puts the records of long lines together again, each stream's for itself.
public struct LogJoiner: Sendable {
    /// Longer lines come in parts of this size.
    private let most: Int
    private var open: [LogRecord.Stream: LogRecord] = [:]

    /// A joiner that holds no records.
    ///
    /// - Parameter most: bytes from which a line is given out unfinished
    public init(most: Int = 8 << 20) {
        self.most = most
    }

    /// - Returns: a whole line with the time of its beginning; `nil` when it goes on
    public mutating func take(_ record: LogRecord) -> LogRecord? {
        guard var joined = open.removeValue(forKey: record.stream) else { return hold(record) }
        joined.text += record.text
        joined.isPartial = record.isPartial
        return hold(joined)
    }

    private mutating func hold(_ record: LogRecord) -> LogRecord? {
        guard record.isPartial, record.text.count < most else { return record }
        open[record.stream] = record
        return nil
    }

    /// What was open at the end.
    public mutating func finish() -> [LogRecord] {
        defer { open = [:] }
        return open.values.sorted { $0.time < $1.time }
    }
}
