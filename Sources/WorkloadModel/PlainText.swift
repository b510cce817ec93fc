/// Text of others, made harmless for a terminal or a log.
public enum PlainText {
    /// Control characters, those that turn the reading direction, and invisible ones are shown, not obeyed: `^[` for an escape,
    /// `<U+202E>` for what has no such form. Tabs stay.
    public static func shown(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isHarmful) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if !isHarmful(scalar) {
                result.unicodeScalars.append(scalar)
            } else if scalar.value < 0x80 {
                result += "^" + String(UnicodeScalar(UInt8(scalar.value ^ 0x40)))
            } else {
                result += "<U+\(String(scalar.value, radix: 16, uppercase: true))>"
            }
        }
        return result
    }

    /// The same for text of several lines: they stay lines.
    public static func lines(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { shown(String($0)) }.joined(separator: "\n")
    }

    /// JSON whose strings a terminal can show: the same characters as `\u` escapes, which mean the same.
    public static func json(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value != 0x0A && isHarmful($0) }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.value == 0x0A || !isHarmful(scalar) {
                result.unicodeScalars.append(scalar)
            } else {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            }
        }
        return result
    }

    /// Whether a terminal would obey it, or a reader not see it.
    ///
    /// Controls of ISO 6429 (C0 but for the tab, DEL, C1), marks and isolates of the Unicode Bidirectional Algorithm, line
    /// and paragraph separators, invisible operators, the byte order mark, annotations and tags.
    package static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09: false
        case 0..<0x20, 0x7F..<0xA0, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF, 0xFFF9...0xFFFB, 0xE0000...0xE007F: true
        default: false
        }
    }
}
