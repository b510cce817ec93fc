/// What `NAME` or `PROJECT/NAME` narrows a question down to.
enum NameFilter {
    /// - Throws: ``CommandFailure`` for a text that is neither
    static func parts(_ text: String?) throws -> (project: String?, name: String?) {
        guard let text else { return (nil, nil) }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, !parts.contains("") else { throw CommandFailure(description: "'\(text)' is neither NAME nor PROJECT/NAME") }
        return (parts.count == 2 ? parts[0] : nil, parts.last)
    }

    /// - Parameter project: named by an option of its own
    static func query(_ text: String?, project: String? = nil) throws -> [(String, String?)] {
        let parts = try parts(text)
        if let project, let own = parts.project, own != project {
            throw CommandFailure(description: "two projects are named, '\(own)' and '\(project)'")
        }
        return [("name", parts.name), ("project", project ?? parts.project)]
    }
}
