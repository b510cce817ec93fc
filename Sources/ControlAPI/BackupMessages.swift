/// What a backup is to hold, beside the history and the recipe files.
public struct BackupUpload: Codable, Sendable {
    /// What becomes of the key of sealed texts and of what registries take.
    public enum Secrets: String, Codable, Sendable {
        /// Encrypted with the passphrase; as they are; not in the backup.
        case encrypted, plain, none
    }

    /// What becomes of secrets.
    public var secrets: Secrets
    /// The passphrase of ``Secrets/encrypted``; at least one character.
    public var passphrase: String?
    /// Volumes, as ``VolumeInfo/name`` names them; `nil` is all of them.
    public var volumes: [String]?

    /// All of its fields.
    public init(secrets: Secrets, passphrase: String?, volumes: [String]?) {
        self.secrets = secrets
        self.passphrase = passphrase
        self.volumes = volumes
    }
}

/// The names in a backup's archive.
public enum BackupNames {
    /// The folder of all but volumes; volumes are below `volumes`.
    public static let folder = "berth-backup"
    /// The release that wrote it, and when: text, for people.
    public static let about = "about"
    /// A copy of the history.
    public static let history = "berth.db"
    /// Secrets, as ``BackupUpload/Secrets-swift.enum`` says.
    public static let secrets = "secrets"
    /// The folder of recipe files.
    public static let recipes = "recipes"
}
