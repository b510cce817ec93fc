extension StringProtocol {
    /// The lines of a text, ended by LF or CRLF and by nothing else.
    var linesOfText: [String] {
        split(omittingEmptySubsequences: false, whereSeparator: { (character: Character) -> Bool in character == "\n" || character == "\r\n" }).map {
            String($0)
        }
    }
}
