/// A place in the change feed: after which change somebody stands.
public struct FeedCursor: Hashable, Sendable, CustomStringConvertible {
    /// Which feed; another one with each start of the daemon.
    public let feed: Int64
    /// How many changes of it are behind.
    public let position: Int64

    /// - Parameters: neither is negative
    public init(feed: Int64, position: Int64) {
        self.feed = feed
        self.position = position
    }

    /// Reads what ``description`` gave.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.first?.isHexDigit == true }), let feed = Int64(parts[0], radix: 16),
            let position = Int64(parts[1], radix: 16), feed >= 0, position >= 0
        else { return nil }
        self.init(feed: feed, position: position)
    }

    /// Both numbers in hexadecimal, with `-` between them.
    public var description: String { String(feed, radix: 16) + "-" + String(position, radix: 16) }
}
