public import Schedules

/// The name of one run: 16 characters that sort by the time the run was decided.
///
/// 48 bits of milliseconds and 32 random bits in Crockford's base 32, lower case: no letter that looks like a digit.
public struct RunID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The 16 characters.
    public let description: String

    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    /// - Parameters:
    ///   - now: when the run was decided
    ///   - random: 32 bits that tell runs of one millisecond apart
    public init(now: Timestamp, random: UInt32) {
        var characters = [UInt8](repeating: 0, count: 16)
        var time = UInt64(clamping: now.milliseconds) & 0xFFFF_FFFF_FFFF
        var low = UInt64(random)
        // 80 bits in 16 digits of 5: the low 32 bits first, then the time above them.
        for index in stride(from: 15, through: 0, by: -1) {
            characters[index] = RunID.alphabet[Int(low & 31)]
            low = low >> 5 | (time & 31) << 27
            time >>= 5
        }
        description = String(decoding: characters, as: UTF8.self)
    }

    /// - Returns: `nil` when the text is not the name of a run.
    public init?(_ text: String) {
        guard text.utf8.count == 16, text.utf8.allSatisfy({ RunID.alphabet.contains($0) }) else { return nil }
        description = text
    }

    /// Decodes a single string.
    ///
    /// - Throws: `DecodingError.dataCorrupted` when the string is not a run id
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = RunID(text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "'\(text)' is not a run id"))
        }
        self = id
    }

    /// Encodes the 16 characters as a single string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// By the time of the decision; within one millisecond, by the random bits.
    public static func < (left: RunID, right: RunID) -> Bool { left.description < right.description }
}
