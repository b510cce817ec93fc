/// An address of a host and a port to listen on, as `127.0.0.1:9736`, `[::1]:9736` or `localhost:9736`.
public struct ListenAddress: Sendable, Hashable {
    /// Without brackets.
    public let host: String
    /// 1 to 65535.
    public let port: Int

    /// - Returns: `nil` when the text is no such address
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() } else if host.contains(":") { return nil }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }) else { return nil }
        self.host = String(host)
        self.port = Int(port)
    }
}
