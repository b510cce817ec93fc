internal import CLinux
internal import Glibc

/// Who may connect to a socket, beside root: the members of one group, and those of another who may look only. The second group is in the socket's
/// access control list, as a file has one owner group.
public struct SocketAccess: Sendable, Hashable {
    /// Its members may do all.
    public let group: UInt32?
    /// Its members may look.
    public let viewers: UInt32?

    /// Groups by their numbers; `nil` is none.
    public init(group: UInt32?, viewers: UInt32? = nil) {
        self.group = group
        self.viewers = viewers
    }

    /// The number of a group that is named, or is a number already; `nil` when the host has none of that name.
    public static func number(of group: String) -> UInt32? { UInt32(group) ?? getgrnam(group).map { $0.pointee.gr_gid } }

    /// Lets them connect.
    ///
    /// - Returns: why members of ``viewers`` cannot; `nil` when all is well
    public func apply(to path: String) -> String? {
        chmod(path, 0o660)
        chown(path, 0, group ?? 0)
        guard let viewers else { return nil }
        // The layout of linux/posix_acl_xattr.h: a version, then tag, permissions and number of each entry.
        var list: [UInt8] = []
        func append(_ value: UInt32, bytes: Int) { for index in 0..<bytes { list.append(UInt8(truncatingIfNeeded: value >> (8 * UInt32(index)))) } }
        append(2, bytes: 4)
        let (owner, ownGroup, namedGroup, mask, others): (UInt32, UInt32, UInt32, UInt32, UInt32) = (0x01, 0x04, 0x08, 0x10, 0x20)
        let (none, readWrite): (UInt32, UInt32) = (UInt32.max, 6)
        for (tag, permissions, number) in [
            (owner, readWrite, none), (ownGroup, readWrite, none), (namedGroup, readWrite, viewers), (mask, readWrite, none), (others, 0, none),
        ] {
            append(tag, bytes: 2)
            append(permissions, bytes: 2)
            append(number, bytes: 4)
        }
        guard setxattr(path, "system.posix_acl_access", list, list.count, 0) == 0 else {
            let why = String(cString: strerror(errno))
            return "the group that may look cannot connect to \(path): its file system takes no access control list: \(why)"
        }
        return nil
    }
}
