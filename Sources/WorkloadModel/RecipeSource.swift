/// A recipe's text with all that its reading depended on, so that it can be read again anywhere, and always the same.
public struct RecipeSource: Codable, Hashable, Sendable {
    /// What messages call the file.
    public var file: String
    /// What relative paths start from; absolute.
    public var baseDirectory: String
    /// The recipe's YAML, variables not replaced.
    public var text: String
    /// The variables that the text asks for, and their values.
    public var variables: [String: String]
    /// The other files that were read (`env_file`), by absolute path.
    public var files: [String: String]
    /// The profiles that were asked for: services that have some, and none of these, are left out; `nil` is none.
    public var profiles: [String]?
    /// Whether a container without a word on networks is on its project's default network. One that an earlier release stored says nothing: it had
    /// a loopback interface only, and keeps that until the recipe is applied again.
    public var hasDefaultNetwork: Bool?
    /// Files whose contents are merged over the text, in order, by absolute path; `nil` is none.
    public var overlays: [String]?
    /// The digests of its images when it was applied, by their description; `nil` before that.
    public var images: [String: String]?

    /// A source without digests of images; `variables` and `files` may be left empty before the first reading.
    public init(file: String, baseDirectory: String, text: String, variables: [String: String] = [:], files: [String: String] = [:]) {
        self.file = file
        self.baseDirectory = baseDirectory
        self.text = text
        self.variables = variables
        self.files = files
        hasDefaultNetwork = true
    }
}
