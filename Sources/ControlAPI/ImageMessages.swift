public import WorkloadModel

/// When images of registries are brought in, as it is said on a command line.
public enum PullChoice: String, Codable, Sendable, CaseIterable {
    /// Now, when they are not there, or not at all.
    case always, missing, never

    /// The same, as recipes have it.
    public var policy: PullPolicy {
        switch self {
        case .always: .always
        case .missing: .missing
        case .never: .never
        }
    }
}

/// An image of the store.
public struct ImageInfo: Codable, Sendable {
    /// What it was brought in as, ascending; empty when another image has its name now.
    public var names: [String]
    /// SHA-256 of its configuration, in hexadecimal.
    public var digest: String
    /// When it was brought in.
    public var broughtIn: String?
    /// Bytes of all of its layers, unpacked.
    public var bytes: Int64
    /// Those of layers that no other image has.
    public var ownBytes: Int64
    /// The services and jobs that need it, as `PROJECT/NAME`, ascending.
    public var users: [String]

    private enum CodingKeys: String, CodingKey {
        case names, digest, broughtIn = "brought_in", bytes, ownBytes = "own_bytes", users
    }

    /// All of its fields.
    public init(names: [String], digest: String, broughtIn: String?, bytes: Int64, ownBytes: Int64, users: [String]) {
        self.names = names
        self.digest = digest
        self.broughtIn = broughtIn
        self.bytes = bytes
        self.ownBytes = ownBytes
        self.users = users
    }
}

/// Who somebody is at a registry; an empty name signs out.
public struct SignInUpload: Codable, Sendable {
    /// As `registry.example.org:5000`.
    public var registry: String
    /// The user's name there.
    public var user: String
    /// The password, or the token that stands for it.
    public var password: String

    /// All of its fields.
    public init(registry: String, user: String, password: String) {
        self.registry = registry
        self.user = user
        self.password = password
    }
}
