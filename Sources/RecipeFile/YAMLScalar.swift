/// Plain scalars of YAML 1.2, as Compose's reader takes them.
enum YAMLScalar {
    /// Its number, truth, nothing or text.
    static func value(_ raw: String) -> ConfigValue {
        switch raw {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        guard let first = raw.first, first.isASCII, first.isNumber || "+-.".contains(first) else { return .text(raw) }
        let text = raw.replacing("_", with: "")
        if let number = integer(text) { return .int(number) }
        // A whole number above those of Int64, which Compose keeps to its last digit as well.
        if UInt64(text) != nil, !text.hasPrefix("0") { return .text(text.hasPrefix("+") ? String(text.dropFirst()) : text) }
        let isFloat = text.allSatisfy { $0.isASCII && ($0.isNumber || "+-.eE".contains($0)) } && text.contains { $0.isNumber }
        if isFloat, let number = Double(text.hasSuffix(".") ? text + "0" : text), number.isFinite { return .number(number) }
        return .text(raw)
    }

    /// In the digits of its base, after one sign at most; `nil` as well of what does not fit.
    private static func integer(_ text: String) -> Int64? {
        let sign = text.first.map { "+-".contains($0) } ?? false ? text.prefix(1) : ""
        var digits = text.dropFirst(sign.count)
        var base = 10
        if let named = ["0x": 16, "0o": 8, "0b": 2][digits.prefix(2)] {
            base = named
            digits = digits.dropFirst(2)
        } else if digits.hasPrefix("0"), digits.count > 1 {
            base = 8
        }
        guard let first = digits.first, first.isASCII, first.isHexDigit else { return nil }
        return Int64(sign + digits, radix: base)
    }

    /// As the text that it becomes where a text is meant.
    static func text(_ raw: String) -> String {
        switch value(raw) {
        case .int(let number): "\(number)"
        case .number(let number): ConfigValue.print(number)
        case .bool(let truth): truth ? "true" : "false"
        default: raw
        }
    }
}
