/// Why an engine could not do what it was told.
public enum EngineError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The image cannot be had or read.
    case image(String)
    /// The sandbox could not be set up; trying again may help.
    case sandbox(String)
    /// The command is not there or cannot be executed; trying again will not help.
    case command(String)
    /// The host lacks something.
    case host(String)

    /// The text of the case.
    public var description: String {
        switch self {
        case .image(let text), .sandbox(let text), .command(let text), .host(let text): text
        }
    }
}
