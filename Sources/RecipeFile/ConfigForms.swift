/// A published port in short form, as Compose writes it.
enum PortConfig {
    /// Its long forms, one for each port of the container; none of what is not a port, which the recipe's reader refuses.
    static func parse(_ text: String) -> [ConfigValue] {
        let halves = text.split(separator: "/", maxSplits: 1).map(String.init)
        let name = halves.count > 1 ? halves[1] : "tcp"
        var rest = halves.first ?? ""
        var address: String?
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            address = String(rest[rest.index(after: rest.startIndex)..<end])
            rest = String(rest[rest.index(after: end)...].dropFirst())
        }
        var parts = rest.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let target = parts.popLast() ?? ""
        let published = parts.popLast() ?? ""
        if address == nil, !parts.isEmpty { address = parts.joined(separator: ":") }
        func range(_ text: String) -> [Int] {
            let ends = text.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, ends.allSatisfy((0...65535).contains) else { return [] }
            return Array(first...max(first, ends.count > 1 ? ends[1] : first))
        }
        let (targets, hosts) = (range(target), range(published))
        return targets.enumerated().map { index, port in
            var found: [String: ConfigValue] = ["mode": .text("ingress"), "target": .int(Int64(port)), "protocol": .text(name)]
            if hosts.count == targets.count {
                found["published"] = .text("\(hosts[index])")
            } else if !published.isEmpty {
                found["published"] = .text(published)
            }
            if let address, !address.isEmpty { found["host_ip"] = .text(address) }
            return .map(found)
        }
    }
}

/// Durations as Go prints them.
enum GoDuration {
    static func print(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = attoseconds / 1_000_000_000
        if seconds == 0, nanoseconds == 0 { return "0s" }
        func fraction(_ value: Int64, _ digits: Int) -> String {
            var text = String(value)
            text = String(repeating: "0", count: max(0, digits - text.count)) + text
            while text.hasSuffix("0") { text.removeLast() }
            return text.isEmpty ? "" : "." + text
        }
        if seconds == 0 {
            if nanoseconds < 1000 { return "\(nanoseconds)ns" }
            if nanoseconds < 1_000_000 { return "\(nanoseconds / 1000)\(fraction(nanoseconds % 1000, 3))µs" }
            return "\(nanoseconds / 1_000_000)\(fraction(nanoseconds % 1_000_000, 6))ms"
        }
        let rest = "\(seconds % 60)\(fraction(nanoseconds, 9))s"
        if seconds < 60 { return rest }
        return seconds < 3600 ? "\(seconds / 60)m\(rest)" : "\(seconds / 3600)h\(seconds / 60 % 60)m\(rest)"
    }
}
