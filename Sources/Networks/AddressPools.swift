internal import WorkloadModel

/// Chooses subnets and addresses that are free.
enum AddressPools {
    /// The bits of a subnet that is chosen: 1,021 containers.
    static let chosenPrefix = 22

    /// The first part of the pools that nothing else has.
    ///
    /// - Parameter taken: other networks, what the host routes, its name servers
    static func freeSubnet(of pools: [AddressRange], prefix: Int, taken: [AddressRange]) -> AddressRange? {
        for pool in pools {
            let prefix = max(prefix, pool.prefix)
            let step = UInt128(1) << UInt128(pool.first.width - prefix)
            var bits = pool.first.bits
            while bits <= pool.last.bits {
                let range = AddressRange(Address(bits: bits, isIPv6: pool.first.isIPv6), prefix: prefix)
                guard let other = taken.first(where: { $0.overlaps(range) }) else { return range }
                // Past what is in the way, however large it is.
                let next = max(bits + step, (other.last.bits / step + (other.last.bits % step == step - 1 ? 1 : 0)) * step)
                guard next > bits, !(next == 0) else { break }
                bits = next
            }
        }
        return nil
    }

    /// An address of a subnet that nobody has.
    ///
    /// - Parameters:
    ///   - taken: those that somebody has
    ///   - after: where to begin, so that an address that was just let go of is not the next one's
    static func freeAddress(of subnet: NetworkSpec.Subnet, taken: Set<Address>, after last: Address? = nil) -> Address? {
        let range = subnet.pool ?? subnet.range
        // The first is the network's name, and the last one everybody's.
        let low = range.first.bits + (range.first == subnet.range.first ? 1 : 0)
        let high = range.last.bits - (range.last == subnet.range.last && !range.first.isIPv6 ? 1 : 0)
        guard low <= high else { return nil }
        var bits = last.map { range.contains($0) && $0.bits < high ? $0.bits + 1 : low } ?? low
        for _ in 0...min(high - low, UInt128(taken.count) + 1) {
            let address = Address(bits: bits, isIPv6: range.first.isIPv6)
            if !taken.contains(address), address != subnet.gateway { return address }
            bits = bits >= high ? low : bits + 1
        }
        return nil
    }

    /// As Docker makes them: 02:42 and the address. Neighbours need not learn a new one after a restart.
    static func hardwareAddress(for address: Address) -> String {
        ([0x02, 0x42] + stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: address.bits >> UInt128($0)) }).map {
            ($0 < 16 ? "0" : "") + String($0, radix: 16)
        }.joined(separator: ":")
    }
}
