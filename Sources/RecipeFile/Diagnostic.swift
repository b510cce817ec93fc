/// One thing that is wrong, or doubtful, in a recipe, and where.
public struct Diagnostic: Error, Hashable, Sendable {
    public enum Severity: String, Sendable, Codable {
        case error, warning
    }

    public let severity: Severity
    /// A sentence that says what is wrong and what to do.
    public let message: String
    public let place: Place

    public init(_ severity: Severity, _ message: String, at place: Place) {
        self.severity = severity
        self.message = message
        self.place = place
    }
}

/// A stretch of one line of the recipe's text.
public struct Place: Hashable, Sendable {
    /// From 1.
    public let line: Int
    /// From 1, in characters.
    public let column: Int
    /// In characters, at least 1.
    public let length: Int

    public init(line: Int, column: Int, length: Int = 1) {
        self.line = line
        self.column = column
        self.length = max(1, length)
    }

    /// A part of the stretch.
    func part(offset: Int, length: Int) -> Place {
        Place(line: line, column: column + offset, length: length)
    }
}

extension Diagnostic {
    /// As compilers print it: `file:line:column: error: message`, the line, and a caret below the place.
    ///
    /// - Parameters:
    ///   - file: what to call the file
    ///   - text: the recipe's text, for the line; control characters in it are shown as spaces
    public func rendered(file: String, text: String) -> String {
        var lines = ["\(file):\(place.line):\(place.column): \(severity.rawValue): \(message)"]
        let source = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        if place.line >= 1, place.line <= source.count {
            let line = String(source[place.line - 1].map { $0.isWhitespace || $0.unicodeScalars.contains { $0.value < 0x20 } ? " " : $0 })
            let room = max(1, min(place.length, line.count - place.column + 1))
            lines.append("  " + String(line.prefix(200)))
            if place.column <= 200 {
                lines.append("  " + String(repeating: " ", count: place.column - 1) + "^" + String(repeating: "~", count: min(room, 200) - 1))
            }
        }
        return lines.joined(separator: "\n")
    }
}
