/// The five fields of a line as Debian's cron reads them (`get_list`, `get_range`, `get_number` in `entry.c`; each rule was seen
/// with `crontab -n`). It takes odd ones: what follows a number is passed over, and a range that ends before it begins has no
/// element.
enum VixieFields {
    struct Refusal: Error {
        let sentence: String
    }

    private static let names = ["minute", "hour", "day of month", "month", "day of week"]
    private static let ranges = [0...59, 0...23, 1...31, 1...12, 0...7]
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    private static let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    /// - Returns: the fields as they count, `nil` when they are never due, and what differs from what is written
    static func read(_ fields: [String]) throws(Refusal) -> (schedule: String?, remark: String?) {
        var read: [String] = []
        var remarks: [String] = []
        for (index, field) in fields.enumerated() {
            let items = try list(field, index)
            read.append(items.joined(separator: ","))
            if items.isEmpty {
                remarks.append("to cron the \(names[index]) '\(field)' is no time at all")
            } else if read[index] != field {
                remarks.append("cron reads '\(field)' as '\(read[index])'")
            }
        }
        // Of day of month and day of week one is enough, unless one of them begins with a '*'.
        if read[4].isEmpty, !read[2].isEmpty, !fields[2].hasPrefix("*") { read[4] = "*" }
        if read[2].isEmpty, !read[4].isEmpty, !fields[4].hasPrefix("*") { read[2] = "*" }
        let isNever = read.contains("")
        return (isNever ? nil : read.joined(separator: " "), remarks.isEmpty ? nil : remarks.joined(separator: "; "))
    }

    /// The items that have elements.
    private static func list(_ field: String, _ index: Int) throws(Refusal) -> [String] {
        var rest = Substring(field)
        var items: [String] = []
        while true {
            if let item = try range(&rest, index, field) { items.append(item) }
            guard rest.first == "," else { return items }
            rest.removeFirst()
        }
    }

    /// `nil` for a range without an element.
    private static func range(_ rest: inout Substring, _ index: Int, _ field: String) throws(Refusal) -> String? {
        let refusal = Refusal(sentence: "cron refuses '\(field)' as its \(names[index])")
        func token() -> Substring {
            let token = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber) }
            rest.removeFirst(token.count)
            return token
        }
        func element(_ token: Substring) throws(Refusal) -> Int {
            guard let value = value(token, index), value <= 1_000_000 else { throw refusal }
            return value
        }
        var text: String
        var bounds = ranges[index]
        var isEmpty = false
        if rest.first == "*" {
            rest.removeFirst()
            text = "*"
        } else {
            let first = token()
            let start = try element(first)
            guard rest.first == "-" else {
                guard bounds.contains(start), rest.first != "/" else { throw refusal }
                return String(first)
            }
            rest.removeFirst()
            let last = token()
            let end = try element(last)
            isEmpty = start > end
            if isEmpty {
                guard ranges[index].contains(start), ranges[index].contains(end) else { throw refusal }
            } else {
                bounds = start...end
            }
            text = "\(first)-\(last)"
        }
        var step = 1
        if rest.first == "/" {
            rest.removeFirst()
            let digits = token()
            guard !digits.isEmpty, digits.allSatisfy(\.isNumber), let number = Int(digits), number > 0 else { throw refusal }
            step = number
            text += "/\(digits)"
        }
        if isEmpty { return nil }
        // Each element has to be a value of the field; what lies beyond the last one is none.
        let last = bounds.lowerBound + (bounds.upperBound - bounds.lowerBound) / step * step
        guard ranges[index].contains(bounds.lowerBound), ranges[index].contains(last) else { throw refusal }
        guard ranges[index].contains(bounds.upperBound) else {
            return "\(text.prefix { $0 != "-" })-\(last)" + (step > 1 ? "/\(step)" : "")
        }
        return text
    }

    private static func value(_ text: Substring, _ index: Int) -> Int? {
        if !text.isEmpty, text.allSatisfy(\.isNumber) { return Int(text) }
        if index == 3 { return months.firstIndex(of: text.lowercased()).map { $0 + 1 } }
        if index == 4 { return days.firstIndex(of: text.lowercased()) }
        return nil
    }
}
