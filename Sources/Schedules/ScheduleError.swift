/// What is wrong with a schedule, and where in its text.
public struct ScheduleError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A sentence that says what is wrong and what is allowed.
    public let message: String
    /// Where the wrong part begins in the text, in characters.
    public let offset: Int
    /// How long the wrong part is, in characters; at least 1.
    public let length: Int

    /// - Parameters:
    ///   - offset: in characters, from 0
    ///   - length: in characters; less than 1 counts as 1
    public init(_ message: String, offset: Int = 0, length: Int = 1) {
        self.message = message
        self.offset = offset
        self.length = max(1, length)
    }

    /// The ``message``, without the place.
    public var description: String { message }

    /// The same, in a text that the faulty one begins `distance` characters into.
    func shifted(by distance: Int) -> ScheduleError {
        ScheduleError(message, offset: offset + distance, length: length)
    }
}
