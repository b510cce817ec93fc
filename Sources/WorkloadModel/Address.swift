/// An address of the Internet Protocol, version 4 or 6.
public struct Address: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// Whether it is of version 6.
    public let isIPv6: Bool
    /// Its bits as a number; version 4 has 32.
    public let bits: UInt128

    /// Memberwise; of version 4 only the low 32 bits count.
    public init(bits: UInt128, isIPv6: Bool) {
        self.isIPv6 = isIPv6
        self.bits = isIPv6 ? bits : bits & 0xFFFF_FFFF
    }

    /// Reads `10.1.2.3` or `fd00::1` (RFC 4291, 2.2); `nil` when it is none.
    public init?(_ text: String) {
        if text.utf8.contains(UInt8(ascii: ":")) {
            guard let bits = Address.sixth(text) else { return nil }
            self.init(bits: bits, isIPv6: true)
        } else {
            guard let bits = Address.fourth(text[...]) else { return nil }
            self.init(bits: bits, isIPv6: false)
        }
    }

    /// How many bits an address of its version has.
    public var width: Int { isIPv6 ? 128 : 32 }

    /// A leading zero would be octal to some and decimal to others: it is refused.
    private static func fourth(_ text: Substring) -> UInt128? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt128 = 0
        for part in parts {
            guard let byte = UInt8(part), String(byte) == part else { return nil }
            bits = bits << 8 | UInt128(byte)
        }
        return bits
    }

    private static func sixth(_ text: String) -> UInt128? {
        let halves = text.split(separator: "::", maxSplits: 2, omittingEmptySubsequences: false)
        guard halves.count <= 2 else { return nil }
        // Version 4 may be written in the last 32 bits only.
        func words(_ half: Substring, isLast: Bool) -> [UInt16]? {
            guard !half.isEmpty else { return [] }
            var words: [UInt16] = []
            let parts = half.split(separator: ":", omittingEmptySubsequences: false)
            for (index, part) in parts.enumerated() {
                if isLast, index == parts.count - 1, part.contains("."), let last = fourth(part) {
                    words += [UInt16(last >> 16), UInt16(last & 0xFFFF)]
                } else {
                    guard (1...4).contains(part.count), part.allSatisfy(\.isHexDigit), let word = UInt16(part, radix: 16) else { return nil }
                    words.append(word)
                }
            }
            return words
        }
        guard let head = words(halves[0], isLast: halves.count == 1), let tail = halves.count == 2 ? words(halves[1], isLast: true) : [] else { return nil }
        let missing = 8 - head.count - tail.count
        guard halves.count == 2 ? missing >= 1 : missing == 0 else { return nil }
        return (head + Array(repeating: 0, count: missing) + tail).reduce(0) { $0 << 16 | UInt128($1) }
    }

    /// As RFC 5952 writes it.
    public var description: String {
        guard isIPv6 else { return stride(from: 24, through: 0, by: -8).map { String(bits >> UInt128($0) & 0xFF) }.joined(separator: ".") }
        let words = stride(from: 112, through: 0, by: -16).map { UInt16(truncatingIfNeeded: bits >> UInt128($0)) }
        // The longest stretch of zeros, the first of equals, is left out.
        var best = 0..<0
        var index = 0
        while index < 8 {
            let end = words[index...].firstIndex { $0 != 0 } ?? 8
            if end - index > max(1, best.count) { best = index..<end }
            index = max(end, index) + 1
        }
        func text(_ range: Range<Int>) -> String { words[range].map { String($0, radix: 16) }.joined(separator: ":") }
        return best.isEmpty ? text(0..<8) : text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
    }

    /// Version 4 before version 6, then by number.
    public static func < (left: Address, right: Address) -> Bool {
        left.isIPv6 == right.isIPv6 ? left.bits < right.bits : !left.isIPv6
    }

    /// Decodes a single string.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let address = Address(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an address")
        }
        self = address
    }

    /// Encodes a single string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// All addresses that begin with the same bits: `10.5.0.0/16`.
public struct AddressRange: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The lowest.
    public let first: Address
    /// How many bits they share.
    public let prefix: Int

    /// The range of this size that an address is in.
    public init(_ address: Address, prefix: Int) {
        let free = UInt128(address.width - prefix)
        first = Address(bits: free >= 128 ? 0 : (address.bits >> free) << free, isIPv6: address.isIPv6)
        self.prefix = prefix
    }

    /// Reads `10.5.0.0/16`; `nil` when it is none. Bits behind the prefix are dropped.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = Address(String(parts[0])), let prefix = Int(parts[1]), (0...address.width).contains(prefix) else { return nil }
        self.init(address, prefix: prefix)
    }

    /// `10.5.0.0/16`.
    public var description: String { "\(first)/\(prefix)" }

    /// The highest.
    public var last: Address {
        let free = UInt128(first.width - prefix)
        return Address(bits: first.bits | (free >= 128 ? .max : (1 << free) - 1), isIPv6: first.isIPv6)
    }

    /// Whether a network can have it: a prefix of at least 8 bits, and room for the host and another one.
    public var isSubnet: Bool { (8...first.width - 2).contains(prefix) }

    /// Whether an address is in it.
    public func contains(_ address: Address) -> Bool { address.isIPv6 == first.isIPv6 && first <= address && address <= last }

    /// Whether an address is in both.
    public func overlaps(_ other: AddressRange) -> Bool { contains(other.first) || other.contains(first) }

    /// Decodes a single string.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let range = AddressRange(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a range of addresses")
        }
        self = range
    }

    /// Encodes a single string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
