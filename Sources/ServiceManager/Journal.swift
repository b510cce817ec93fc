internal import CSystemd
internal import Glibc
public import Logging

/// The system's journal, for who was started with his error stream connected to it: each entry has the fields of what it is about, so that
/// `journalctl BERTH_JOB=backup` answers.
public struct Journal: LogHandler {
    /// Of every entry.
    public var metadata: Logger.Metadata = [:]
    /// What is less than this is not logged.
    public var logLevel: Logger.Level = .info
    private let label: String

    /// - Parameter label: who logs
    public init(label: String) { self.label = label }

    /// Whether the error stream of this process leads to the journal (systemd.exec(5), `$JOURNAL_STREAM`).
    public static var isConnected: Bool {
        guard let text = getenv("JOURNAL_STREAM").map({ String(cString: $0) }) else { return false }
        var info = stat()
        return fstat(2, &info) == 0 && text == "\(info.st_dev):\(info.st_ino)"
    }

    /// One of ``metadata``.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Sends an entry; one that the journal does not take is lost.
    public func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        Journal.send(Journal.fields(level: event.level, "\(event.message)", all.mapValues { "\($0)" }, label: label, source: event.source))
    }

    /// The fields of an entry, as systemd.journal-fields(7) names them, and `BERTH_` those that are ours.
    ///
    /// What the message is about stands in it as well, for who reads it as it is.
    static func fields(level: Logger.Level, _ message: String, _ metadata: [String: String], label: String, source: String) -> [(name: String, value: String)] {
        let sorted = metadata.sorted { $0.key < $1.key }
        let words = sorted.map { " \($0.key)=\($0.value)" }.joined()
        return [("MESSAGE", message + words), ("PRIORITY", "\(priority(level))"), ("SYSLOG_IDENTIFIER", label), ("BERTH_MODULE", source)]
            + sorted.compactMap { pair in name(pair.key).map { ($0, pair.value) } }
    }

    /// `NAME` of `name`: a field has capital letters, digits and `_`, at most 64 of them.
    private static func name(_ key: String) -> String? {
        let name = "BERTH_" + key.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
        return name.utf8.count <= 64 ? name : nil
    }

    /// As syslog(3) numbers them.
    static func priority(_ level: Logger.Level) -> Int32 {
        switch level {
        case .trace, .debug: LOG_DEBUG
        case .info: LOG_INFO
        case .notice: LOG_NOTICE
        case .warning: LOG_WARNING
        case .error: LOG_ERR
        case .critical: LOG_CRIT
        }
    }

    /// A journal that does not take it loses it: nobody waits for a log.
    private static func send(_ fields: [(name: String, value: String)]) {
        let texts = fields.map { Array("\($0.name)=\($0.value)".utf8) }
        var bytes = texts.flatMap { $0 }
        bytes.withUnsafeMutableBytes { buffer in
            var (start, vectors): (Int, [iovec]) = (0, [])
            for text in texts {
                vectors.append(iovec(iov_base: buffer.baseAddress! + start, iov_len: text.count))
                start += text.count
            }
            _ = sd_journal_sendv(vectors, Int32(vectors.count))
        }
    }
}
