/// A hash that is the same in every process and on every machine, for spreading jobs out. FNV-1a, 64 bits, then mixed so
/// that the low bits are as good as the high ones (the finalizer of SplitMix64).
public struct StableHash: Sendable {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    /// Hashes the UTF-8 bytes of `text`.
    public init(_ text: String) {
        for byte in text.utf8 { combine(byte) }
    }

    private mutating func combine(_ byte: UInt8) {
        state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }

    /// Adds the eight bytes of `number`, the lowest first.
    public mutating func combine(_ number: Int64) {
        for shift in stride(from: 0, to: 64, by: 8) { combine(UInt8(truncatingIfNeeded: number >> Int64(shift))) }
    }

    /// The hash of what was added so far.
    public var value: UInt64 {
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
