internal import WorkloadModel

/// One thing that is wrong, or doubtful, in a recipe, and where.
public struct Diagnostic: Error, Hashable, Sendable {
    /// How grave it is; the raw value is printed. A recipe with an `error` is refused, one with a `warning` is accepted.
    public enum Severity: String, Sendable, Codable {
        case error, warning
    }

    /// `error` when the recipe is refused for it.
    public let severity: Severity
    /// A sentence that says what is wrong and what to do.
    public let message: String
    /// The part of the text that it is about.
    public let place: Place

    /// - Parameter message: a sentence that says what is wrong and what to do
    public init(_ severity: Severity, _ message: String, at place: Place) {
        self.severity = severity
        self.message = message
        self.place = place
    }
}

/// A stretch of one line of the recipe's text.
public struct Place: Hashable, Sendable {
    // A large recipe has a million places.
    private let lineNumber: Int32
    private let columnNumber: Int32
    /// The length in the lower 20 bits, the file in the upper 12.
    private let rest: UInt32

    /// From 1.
    public var line: Int { Int(lineNumber) }
    /// From 1, in characters.
    public var column: Int { Int(columnNumber) }
    /// In characters, at least 1.
    public var length: Int { Int(rest & 0xF_FFFF) }
    /// Which of the files that were read; 0 is the recipe itself.
    public var file: Int { Int(rest >> 20) }

    /// How many files a place can tell apart.
    static let mostFiles = 4095

    /// - Parameters:
    ///   - line: from 1
    ///   - column: from 1, in characters
    ///   - length: in characters; less than 1 counts as 1
    ///   - file: which of the files that were read; 0 is the recipe itself
    public init(line: Int, column: Int, length: Int = 1, file: Int = 0) {
        lineNumber = Int32(clamping: line)
        columnNumber = Int32(clamping: column)
        rest = UInt32(min(max(1, length), 0xF_FFFF)) | UInt32(min(max(0, file), Place.mostFiles)) << 20
    }

    /// A part of the stretch.
    func part(offset: Int, length: Int) -> Place {
        Place(line: line, column: column + offset, length: length, file: file)
    }

    /// The same in another file.
    func moved(to file: Int) -> Place { Place(line: line, column: column, length: length, file: file) }
}

extension Diagnostic {
    /// As compilers print it: `file:line:column: error: message`, the line, and a caret below the place.
    ///
    /// - Parameters:
    ///   - file: what to call the file
    ///   - text: the recipe's text, for the line
    public func rendered(file: String, text: String) -> String { Diagnostic.rendered([self], file: file, text: text) }

    /// Several of one recipe, in the order given. What would act on a terminal is shown instead, in lines as spaces.
    public static func rendered(_ diagnostics: [Diagnostic], file: String, text: String) -> String {
        guard !diagnostics.isEmpty else { return "" }
        let source = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        return diagnostics.map { $0.lines(file: file, source).joined(separator: "\n") }.joined(separator: "\n")
    }

    /// Several of a recipe that is more than one file.
    ///
    /// - Parameter sources: the files by their numbers
    static func rendered(_ diagnostics: [Diagnostic], sources: [RecipeReader.SourceText]) -> String {
        var lines: [Int: [Substring]] = [:]
        return diagnostics.map { diagnostic in
            let number = sources.indices.contains(diagnostic.place.file) ? diagnostic.place.file : 0
            if lines[number] == nil { lines[number] = sources[number].text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) }
            return diagnostic.lines(file: sources[number].file, lines[number] ?? []).joined(separator: "\n")
        }.joined(separator: "\n")
    }

    /// How much of a line is shown, in characters.
    private static let width = 200

    private func lines(file: String, _ source: [Substring]) -> [String] {
        let head = "\(PlainText.shown(file)):\(place.line):\(place.column): \(severity.rawValue): \(PlainText.shown(message))"
        guard place.line >= 1, place.line <= source.count else { return [head] }
        let line = source[place.line - 1].prefix(Diagnostic.width)
        let shown = String(line.map { $0.isWhitespace || $0.unicodeScalars.contains(where: PlainText.isHarmful) ? " " : $0 })
        if shown.allSatisfy({ $0 == " " }) { return [head] }
        guard place.column <= Diagnostic.width else { return [head, "  " + shown] }
        let room = max(1, min(place.length, line.count - place.column + 1))
        return [head, "  " + shown, "  " + String(repeating: " ", count: place.column - 1) + "^" + String(repeating: "~", count: room - 1)]
    }
}
