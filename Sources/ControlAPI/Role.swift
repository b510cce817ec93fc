/// How much somebody may do. Each role may all that the ones before it may.
public enum Role: String, Codable, Sendable, Hashable, CaseIterable, Comparable {
    /// Looks: how things stand, what ran, logs.
    case viewer
    /// Also runs, stops, pauses and starts what the recipes in force have.
    case `operator`
    /// Also applies recipes and takes projects down, which is as much as being root on the host.
    case deployer
    /// Also removes and restores what is kept: images, volumes, networks, accounts at registries, backups.
    case admin

    /// By how much they may.
    public static func < (a: Role, b: Role) -> Bool { a.rank < b.rank }

    private var rank: Int { Role.allCases.firstIndex(of: self) ?? 0 }
}
