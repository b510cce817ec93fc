/// A volume of the host's containers.
public struct VolumeInfo: Codable, Sendable {
    /// `PROJECT/NAME`, or the name alone of one that projects share.
    public var name: String
    /// The project whose it is; `nil` when projects share it.
    public var project: String?
    /// Whether no recipe gave it a name: it is a container's own.
    public var isAnonymous: Bool
    /// What it takes of the disk; `nil` when it has more files than are counted.
    public var bytes: Int64?
    /// The services and jobs that have it, ascending.
    public var users: [String]

    private enum CodingKeys: String, CodingKey { case name, project, isAnonymous = "anonymous", bytes, users }

    /// All of its fields.
    public init(name: String, project: String?, isAnonymous: Bool, bytes: Int64?, users: [String]) {
        self.name = name
        self.project = project
        self.isAnonymous = isAnonymous
        self.bytes = bytes
        self.users = users
    }
}
