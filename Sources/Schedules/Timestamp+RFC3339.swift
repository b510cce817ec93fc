extension Timestamp: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds: `2026-03-29T01:00:00.000Z`.
    public var description: String {
        let time = CivilTime(localSeconds: seconds)
        return "\(time)." + padded(milliseconds.floorRemainder(by: 1000), 3) + "Z"
    }

    /// Reads an RFC 3339 date and time: `2026-03-29T01:00:00Z`, with any offset, with or without a fraction.
    ///
    /// - Returns: `nil` when the text is not one, or names a date that does not exist. A fraction is cut to milliseconds.
    public init?(rfc3339 text: some StringProtocol) {
        var scanner = DigitScanner(text)
        guard let civil = scanner.dateTime(needsSeconds: true) else { return nil }
        var fraction: Int64 = 0
        if scanner.take(".") {
            guard let digits = scanner.digits(atLeast: 1) else { return nil }
            fraction = Int64(String((digits + "000").prefix(3))) ?? 0
        }
        guard let offset = scanner.zoneOffset(), scanner.atEnd else { return nil }
        milliseconds = (civil.localSeconds - offset) * 1000 + fraction
    }

    /// RFC 3339 in a zone, to the second: `2026-03-29T03:00:00+02:00`.
    public func description(in zone: Zone) -> String {
        let offset = Int64(zone.offset(at: seconds))
        let time = CivilTime(localSeconds: seconds + offset)
        if offset == 0 { return "\(time)Z" }
        let minutes = abs(offset) / 60
        return "\(time)\(offset < 0 ? "-" : "+")\(padded(minutes / 60, 2)):\(padded(minutes % 60, 2))"
    }
}

func padded(_ value: some BinaryInteger, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// Reads fixed-width numbers from ASCII text.
struct DigitScanner {
    private var rest: Substring.UTF8View

    init(_ text: some StringProtocol) {
        rest = Substring(text).utf8
    }

    var atEnd: Bool { rest.isEmpty }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let first = rest.first, UInt32(first) == character.value else { return false }
        rest.removeFirst()
        return true
    }

    mutating func number(width: Int) -> Int? {
        let digits = rest.prefix(width)
        guard digits.count == width, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
        rest.removeFirst(width)
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }

    mutating func digits(atLeast count: Int) -> String? {
        let found = rest.prefix { (48...57).contains($0) }
        guard found.count >= count else { return nil }
        rest.removeFirst(found.count)
        return String(decoding: found, as: UTF8.self)
    }

    mutating func date() -> CivilDate? {
        guard let year = number(width: 4), take("-"), let month = number(width: 2), take("-"), let day = number(width: 2) else {
            return nil
        }
        return CivilDate(year: year, month: month, day: day)
    }

    /// `2026-12-24T18:00` or `2026-12-24 18:00:30`.
    mutating func dateTime(needsSeconds: Bool) -> CivilTime? {
        guard let date = date(), take("T") || take("t") || take(" ") else { return nil }
        guard let hour = number(width: 2), take(":"), let minute = number(width: 2), hour < 24, minute < 60 else { return nil }
        var second = 0
        if take(":") {
            guard let seconds = number(width: 2), seconds < 60 else { return nil }
            second = seconds
        } else if needsSeconds {
            return nil
        }
        return CivilTime(date: date, hour: hour, minute: minute, second: second)
    }

    /// `Z` or `+02:00`, in seconds east of UTC.
    mutating func zoneOffset() -> Int64? {
        if take("Z") || take("z") { return 0 }
        let sign: Int64 = take("+") ? 1 : take("-") ? -1 : 0
        guard sign != 0, let hours = number(width: 2), take(":"), let minutes = number(width: 2), hours < 24, minutes < 60 else { return nil }
        return sign * Int64(hours * 3600 + minutes * 60)
    }
}
