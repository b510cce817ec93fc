/// `${VAR}` and its kin, as the Compose Specification has them ("Interpolation").
///
/// `$$` is a dollar sign; `${VAR:-default}`, `${VAR-default}`, `${VAR:?message}`, `${VAR?message}`, `${VAR:+other}`,
/// `${VAR+other}` with or without a value; defaults may hold variables themselves.
struct Interpolation {
    var variables: [String: String]
    /// The names that were asked for.
    private(set) var used: Set<String> = []
    /// Names without a value or default: an empty text stands in their place.
    private(set) var missing: [String] = []

    init(variables: [String: String]) {
        self.variables = variables
    }

    /// - Throws: ``Problem``
    mutating func expand(_ text: String) throws(Problem) -> String {
        missing = []
        var rest = Substring(text)
        return try expand(&rest, until: nil)
    }

    struct Problem: Error {
        let message: String
    }

    /// How deep defaults may hold variables.
    private static let mostLevels = 16
    private var level = 0

    /// A variable that something other than the text itself depends on.
    mutating func use(_ name: String) { used.insert(name) }

    private mutating func expand(_ rest: inout Substring, until end: Character?) throws(Problem) -> String {
        var result = ""
        while let character = rest.first {
            if character == end { return result }
            rest.removeFirst()
            guard character == "$" else {
                result.append(character)
                continue
            }
            // One that begins no variable is itself, as `$(date)` and `50$`.
            guard let next = rest.first else {
                result.append("$")
                break
            }
            if next == "$" {
                rest.removeFirst()
                result.append("$")
            } else if next == "{" {
                rest.removeFirst()
                result += try braced(&rest)
            } else if Interpolation.startsName(next) {
                let name = String(rest.prefix(while: Interpolation.inName))
                rest.removeFirst(name.count)
                result += value(name)
            } else {
                result.append("$")
            }
        }
        guard end == nil else { throw Problem(message: "a '${' has no '}'") }
        return result
    }

    private mutating func braced(_ rest: inout Substring) throws(Problem) -> String {
        let name = String(rest.prefix(while: Interpolation.inName))
        guard let first = name.first, Interpolation.startsName(first) else { throw Problem(message: "after '${' must stand a variable's name") }
        rest.removeFirst(name.count)
        used.insert(name)
        let colon = rest.first == ":"
        if colon { rest.removeFirst() }
        guard let mark = rest.first else { throw Problem(message: "a '${' has no '}'") }
        rest.removeFirst()
        if mark == "}", !colon { return value(name) }
        guard ["-", "?", "+"].contains(mark) else {
            throw Problem(message: "'${\(name)' is followed by '\(colon ? ":" : "")\(mark)': use :- for a default, :? for an error, :+ for another value")
        }
        level += 1
        defer { level -= 1 }
        guard level <= Interpolation.mostLevels else { throw Problem(message: "defaults are nested more than \(Interpolation.mostLevels) levels deep") }
        let alternative = try expand(&rest, until: "}")
        rest.removeFirst()
        let given = variables[name].flatMap { colon && $0.isEmpty ? nil : $0 }
        switch mark {
        case "-": return given ?? alternative
        case "+": return given == nil ? "" : alternative
        default:
            if let given { return given }
            throw Problem(message: "the variable \(name) is not set" + (alternative.isEmpty ? "" : ": \(alternative)"))
        }
    }

    private mutating func value(_ name: String) -> String {
        used.insert(name)
        if let value = variables[name] { return value }
        missing.append(name)
        return ""
    }

    private static func startsName(_ character: Character) -> Bool { character == "_" || character.isASCII && character.isLetter }
    private static func inName(_ character: Character) -> Bool { startsName(character) || character.isASCII && character.isNumber }
}
