internal import CLinux
public import Hummingbird
internal import Glibc
internal import NIOCore
internal import NIOPosix

/// Who is at the other end of a connection. Numbers of users and groups are fixed when it is made; a process number could
/// be somebody else's by now, so nothing depends on it.
public struct Peer: Sendable, Hashable {
    /// The effective user id of the process when it connected.
    public let uid: UInt32
    /// The effective group id of the process when it connected; its supplementary groups are not known from it.
    public let gid: UInt32
}

/// A request on the control socket, with its sender.
public struct ControlContext: RequestContext {
    /// What Hummingbird keeps of a request.
    public var coreContext: CoreRequestContextStorage
    let channel: any Channel
    /// Set once the sender has been checked.
    var peer: Peer?

    /// The context of a request whose sender is not checked yet.
    public init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Lets through who may: root, the daemon's own user, and members of the group that owns the socket (the kernel checks
/// those when they connect, by the socket's mode).
struct PeerCheck: RouterMiddleware {
    typealias Context = ControlContext

    /// The daemon's own user.
    let ownUser: UInt32
    let group: UInt32?

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        guard let peer = try await PeerCheck.peer(of: context.channel) else {
            throw HTTPError(.forbidden, message: "the control socket does not know who asks")
        }
        guard peer.uid == 0 || peer.uid == ownUser || peer.gid == group || group.map({ PeerCheck.isMember(peer.uid, of: $0) }) == true else {
            throw HTTPError(.forbidden, message: "user \(peer.uid) may not control Berth: add it to the group 'berth'")
        }
        var context = context
        context.peer = peer
        return try await next(request, context)
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
