internal import CLinux
internal import ControlAPI
internal import HostOS
public import Hummingbird
internal import Glibc
internal import NIOCore
internal import NIOPosix

/// Who is at the other end of a connection. Numbers of users and groups are fixed when it is made; a process number could
/// be somebody else's by now, so nothing depends on it.
public struct Peer: Sendable, Hashable, CustomStringConvertible {
    /// The effective user id of the process when it connected.
    public let uid: UInt32
    /// The effective group id of the process when it connected; its supplementary groups are not known from it.
    public let gid: UInt32

    /// As the history names who did something.
    public var description: String { "uid \(uid)" }
}

/// A request on the control socket, with its sender.
public struct ControlContext: RequestContext {
    /// What Hummingbird keeps of a request.
    public var coreContext: CoreRequestContextStorage
    let channel: any Channel
    /// Set once the sender has been checked.
    var peer: Peer?
    /// What the sender may; it is set with ``peer``.
    var role = Role.viewer

    /// The context of a request whose sender is not checked yet.
    public init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Lets through who may: root, the daemon's own user, and members of the groups that have access to the socket (the kernel checks those when they
/// connect).
struct PeerCheck: RouterMiddleware {
    typealias Context = ControlContext

    /// The daemon's own user.
    let ownUser: UInt32
    let access: SocketAccess

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        guard let peer = try await PeerCheck.peer(of: context.channel) else {
            throw HTTPError(.forbidden, message: "the control socket does not know who asks")
        }
        guard let role = role(of: peer) else {
            throw HTTPError(.forbidden, message: "user \(peer.uid) may not control Berth: add it to the group 'berth', or to 'berth-view' to look only")
        }
        var context = context
        context.peer = peer
        context.role = role
        return try await next(request, context)
    }

    private func role(of peer: Peer) -> Role? {
        func isMember(_ group: UInt32?) -> Bool { group.map { peer.gid == $0 || PeerCheck.isMember(peer.uid, of: $0) } ?? false }
        if peer.uid == 0 || peer.uid == ownUser || isMember(access.group) { return .admin }
        return isMember(access.viewers) ? .viewer : nil
    }

    private static func peer(of channel: any Channel) async throws -> Peer? {
        guard let provider = channel as? any SocketOptionProvider else { return nil }
        let credentials: clinux_credentials = try await provider.unsafeGetSocketOption(level: .socket, name: .init(rawValue: SO_PEERCRED)).get()
        return Peer(uid: credentials.uid, gid: credentials.gid)
    }

    private static func isMember(_ uid: UInt32, of group: UInt32) -> Bool {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16384)
        guard getpwuid_r(uid, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return false }
        var groups = [gid_t](repeating: 0, count: 256)
        var count: Int32 = 256
        guard getgrouplist(entry.pw_name, entry.pw_gid, &groups, &count) >= 0 else { return false }
        return groups[..<Int(count)].contains(group)
    }
}
