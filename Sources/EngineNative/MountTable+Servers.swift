extension MountTable {
    /// Whether a look at its files may have to wait for another machine or process.
    private var needsServer: Bool {
        let kinds: Set<String> = [
            "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "lustre", "beegfs", "gpfs", "gfs2", "ocfs2", "orangefs", "virtiofs", "vboxsf", "fuse",
            "fuseblk",
        ]
        return kinds.contains(type) || type.hasPrefix("fuse.")
    }

    /// The mounts that may not answer: those of other machines and processes, and what is mounted below one of them.
    static func unanswering(_ mounts: [MountTable]) -> [MountTable] {
        // Of several mounts on one place the last is on top. An automount is not among them: until it is looked at, nobody knows what it mounts.
        let tops = Dictionary(mounts.map { ($0.target, $0) }) { _, last in last }
        // If the root did not answer, nothing would.
        let servers = tops.values.filter { $0.needsServer && $0.target != "/" }
        return tops.values.filter { mount in servers.contains { HostLocation.relative(mount.target, to: $0.target) != nil } }
    }
}
