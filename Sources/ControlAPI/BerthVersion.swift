/// The release.
public enum BerthVersion {
    public static let current = "0.1.0"
}
