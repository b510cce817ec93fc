/// Files of variables: `.env` and `env_file`, as Compose reads them (Compose documentation, ".env file syntax").
public enum EnvironmentFile {
    /// A line that is no variable.
    public struct Problem: Hashable, Sendable {
        /// From 1.
        public let line: Int
        /// What is wrong, for people.
        public let message: String
    }

    /// What a file says.
    public struct Content: Sendable {
        /// By name.
        public var values: [String: String] = [:]
        /// Ascending by line.
        public var problems: [Problem] = []
        /// Names that were asked for and that the file itself does not have, whether the environment has them or not.
        public var asked: Set<String> = []

        /// Says nothing.
        public init() {}
    }

    /// Reads a file: `NAME=value` or `NAME: value` a line, `export ` before it is allowed, blanks and `#` comments are passed over. A name alone takes
    /// what the environment has. `${NAME}` is expanded, from the environment and from the lines before, but in single quotes. Quoted values may
    /// span lines; in double quotes a backslash makes line ends and the like.
    ///
    /// - Parameter environment: comes before the file's own variables where one is expanded
    public static func parse(_ text: String, environment: [String: String] = [:]) -> Content {
        var reader = Reader(text, environment)
        reader.read()
        return reader.content
    }

    /// Reads a file whose values are as they stand: `NAME=value` a line, and nothing is expanded (`format: raw`).
    static func raw(_ text: String) -> Content {
        var content = Content()
        for (number, line) in zip(1..., text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)) {
            let trimmed = line.drop(while: \.isWhitespace)
            if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
            let parts = trimmed.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2, !parts[0].isEmpty {
                content.values[String(parts[0])] = String(parts[1])
            } else {
                content.problems.append(Problem(line: number, message: "a line of a raw file is NAME=value"))
            }
        }
        return content
    }

    private struct Reader {
        private let text: [Unicode.Scalar]
        private let environment: [String: String]
        /// What expansions see.
        private var visible: [String: String]
        private var at = 0
        private var line = 1
        var content = Content()

        init(_ text: String, _ environment: [String: String]) {
            var scalars = Array(text.unicodeScalars)
            // A byte order mark is no part of the first name.
            if scalars.first == "\u{FEFF}" { scalars.removeFirst() }
            var lines: [Unicode.Scalar] = []
            lines.reserveCapacity(scalars.count)
            // Windows ends lines by two characters.
            for (index, scalar) in scalars.enumerated() where scalar != "\r" || index + 1 < scalars.count && scalars[index + 1] != "\n" { lines.append(scalar) }
            self.text = lines
            self.environment = environment
            visible = environment
        }

        mutating func read() {
            while skipToStatement() {
                let start = line
                do throws(Wrong) { try statement() } catch {
                    content.problems.append(Problem(line: start, message: error.message))
                    skipLine()
                }
            }
        }

        private struct Wrong: Error { let message: String }

        private var next: Unicode.Scalar? { at < text.count ? text[at] : nil }

        private mutating func step() {
            if text[at] == "\n" { line += 1 }
            at += 1
        }

        private mutating func skipLine() {
            while next.map({ $0 != "\n" }) ?? false { step() }
        }

        private mutating func skipBlanks() {
            while let scalar = next, scalar != "\n", scalar.properties.isWhitespace { step() }
        }

        private mutating func skipToStatement() -> Bool {
            while let scalar = next {
                if scalar == "#" { skipLine() } else if scalar.properties.isWhitespace { step() } else { return true }
            }
            return false
        }

        private static func mayName(_ scalar: Unicode.Scalar) -> Bool {
            ["_", ".", "-", "[", "]"].contains(scalar) || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
        }

        private mutating func statement() throws(Wrong) {
            var name = self.name()
            skipBlanks()
            if name == "export", let scalar = next, Reader.mayName(scalar) {
                name = self.name()
                skipBlanks()
            }
            guard !name.isEmpty else { throw Wrong(message: "a name is expected here, as in NAME=value") }
            guard let mark = next, mark != "\n" else {
                content.asked.insert(name)
                if let value = environment[name] { set(name, value) }
                return
            }
            guard mark == "=" || mark == ":" else { throw Wrong(message: "'\(mark)' cannot stand in a name: write NAME=value") }
            step()
            skipBlanks()
            if let quote = next, quote == "\"" || quote == "'" {
                set(name, try quoted(by: quote))
            } else {
                set(name, try expand(plain()))
            }
        }

        private mutating func name() -> String {
            var name = String.UnicodeScalarView()
            while let scalar = next, Reader.mayName(scalar) {
                name.append(scalar)
                step()
            }
            return String(name)
        }

        private mutating func set(_ name: String, _ value: String) {
            content.values[name] = value
            if environment[name] == nil { visible[name] = value }
        }

        /// Up to the end of the line, or to a comment that stands apart.
        private mutating func plain() -> String {
            var value = String.UnicodeScalarView()
            while let scalar = next, scalar != "\n" {
                if scalar == "#", value.last.map(\.properties.isWhitespace) ?? true {
                    skipLine()
                    break
                }
                value.append(scalar)
                step()
            }
            while value.last?.properties.isWhitespace == true { value.removeLast() }
            return String(value)
        }

        private mutating func quoted(by quote: Unicode.Scalar) throws(Wrong) -> String {
            let (start, first) = (at, line)
            step()
            var value = String.UnicodeScalarView()
            while let scalar = next {
                step()
                if scalar == quote {
                    skipBlanks()
                    if let after = next, after != "\n", after != "#" { throw Wrong(message: "something follows the quoted value") }
                    skipLine()
                    return quote == "'" ? String(value) : try expand(String(value))
                }
                guard scalar == "\\", let following = next else {
                    value.append(scalar)
                    continue
                }
                if quote == "'" {
                    // The quotation mark alone can be meant so.
                    guard following == "'" else {
                        value.append(scalar)
                        continue
                    }
                    value.append(following)
                    step()
                    continue
                }
                let meant: String? =
                    switch following {
                    case "n": "\n"
                    case "r": "\r"
                    case "t": "\t"
                    case "a": "\u{07}"
                    case "b": "\u{08}"
                    case "f": "\u{0C}"
                    case "v": "\u{0B}"
                    case "\"", "\\": String(following)
                    // As it is, once more: it begins no variable.
                    case "$": "$$"
                    default: nil
                    }
                guard let meant else {
                    value.append(scalar)
                    continue
                }
                value.append(contentsOf: meant.unicodeScalars)
                step()
            }
            // What was taken for the value may be lines of their own.
            (at, line) = (start, first)
            throw Wrong(message: "the quoted value does not end")
        }

        private mutating func expand(_ value: String) throws(Wrong) -> String {
            guard value.contains("$") else { return value }
            var interpolation = Interpolation(variables: visible)
            do throws(Interpolation.Problem) {
                let expanded = try interpolation.expand(value)
                content.asked.formUnion(interpolation.used.filter { content.values[$0] == nil || environment[$0] != nil })
                return expanded
            } catch { throw Wrong(message: error.message) }
        }
    }
}
