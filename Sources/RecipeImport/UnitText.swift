/// Values of units that are checked before they go into a recipe.
enum UnitValue {
    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.count <= 32 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-.".contains($0)) }
    }

    static func isVariable(_ text: String) -> Bool {
        text.first.map { $0.isASCII && ($0.isLetter || $0 == "_") } == true && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }

    /// `512M`: bytes, in powers of 1024 as in a recipe.
    static func isSize(_ text: String) -> Bool {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        return !digits.isEmpty && digits.count <= 12 && Int64(digits) ?? 0 > 0 && ["", "K", "M", "G", "T"].contains(text.dropFirst(digits.count))
    }
}

/// What systemd fills in for `%` signs, as far as the unit's name alone decides it (systemd.unit(5), "Specifiers").
enum UnitSpecifiers {
    /// `nil` when there is one that the name does not decide.
    static func expand(_ text: String, unit: String) -> String? {
        guard text.contains("%") else { return text }
        let stem = unit.split(separator: ".").dropLast().joined(separator: ".")
        let parts = stem.split(separator: "@", maxSplits: 1).map(String.init)
        var result = ""
        var rest = Substring(text)
        while let character = rest.popFirst() {
            guard character == "%" else {
                result.append(character)
                continue
            }
            switch rest.popFirst() {
            case "%": result += "%"
            case "n": result += unit
            case "N": result += stem
            case "p": result += parts[0]
            case "i" where parts.count == 2, "I" where parts.count == 2: result += parts[1]
            default: return nil
            }
        }
        return result
    }
}

/// A systemd word as a shell's. `${NAME}` is one word to systemd, `$NAME` on its own is split at blanks, `$$` is a dollar sign.
enum UnitShell {
    static func word(_ text: String, isFirst: Bool) -> String {
        guard text.contains("$") else { return ShellText.quoted(text) }
        if text.hasPrefix("$"), text.dropFirst().allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }), text.count > 1 { return text }
        var result = "\""
        var rest = Substring(text)
        while let character = rest.popFirst() {
            if character == "$", rest.first == "$" {
                rest.removeFirst()
                result += "\\$"
            } else if character == "$", rest.first == "{" {
                result += "$"
            } else if "\\\"`".contains(character) || character == "$" {
                result += "\\" + String(character)
            } else {
                result.append(character)
            }
        }
        return result + "\""
    }
}
