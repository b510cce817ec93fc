internal import ControlAPI
internal import FoundationEssentials
internal import HTTPTypes
internal import NIOCore
internal import NIOHTTPTypes
internal import Synchronization

/// Bounds on what clients of the control socket may hold.
public struct ConnectionLimits: Sendable {
    /// Connections at once; one more takes the place of the one that has been idle longest.
    public var connections = 256
    /// From the connection to its first request.
    public var firstRequest: Duration = .seconds(5)
    /// Without a piece of a request's body.
    public var body: Duration = .seconds(30)
    /// Without a piece of an archive: what makes it may be slow.
    public var archive: Duration = .seconds(600)
    /// Between requests.
    public var idle: Duration = .seconds(60)
    /// The most bytes of a request's body.
    public var bodyBytes = 64 << 20

    /// The bounds that are used where nobody sets others.
    public init() {}
}

/// The connections of one server.
final class ConnectionTable: Sendable {
    private struct Entry {
        let channel: any Channel
        var isBusy = false
        var since: ContinuousClock.Instant
    }

    private let entries = Mutex<[ObjectIdentifier: Entry]>([:])
    private let most: Int

    init(most: Int) {
        self.most = most
    }

    /// Adds a connection; where there are too many, the one that has been idle longest is closed, or this one if all are busy.
    func add(_ channel: any Channel) {
        let victim: (any Channel)? = entries.withLock { entries in
            var victim: (any Channel)?
            if entries.count >= most {
                let idle = entries.filter { !$0.value.isBusy }.min { $0.value.since < $1.value.since }
                guard let idle else { return channel }
                victim = idle.value.channel
                entries[idle.key] = nil
            }
            entries[ObjectIdentifier(channel)] = Entry(channel: channel, since: .now)
            return victim
        }
        victim?.close(promise: nil)
    }

    func remove(_ channel: any Channel) { entries.withLock { $0[ObjectIdentifier(channel)] = nil } }

    func note(_ channel: any Channel, isBusy: Bool) {
        entries.withLock { entries in
            entries[ObjectIdentifier(channel)]?.isBusy = isBusy
            entries[ObjectIdentifier(channel)]?.since = .now
        }
    }
}

/// Times and sizes of one connection: who connects and says nothing, or half of something, is let go.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let table: ConnectionTable
    private let limits: ConnectionLimits
    private var timer: Scheduled<Void>?
    /// The request's end is still to come.
    private var isReading = false
    private var bytes = 0
    private var closesAfterResponse = false
    /// The request's body is of any size, and comes as fast as its sender can.
    private var isArchive = false
    /// Requests that have begun and are not answered to the end.
    private var open = 0

    init(table: ConnectionTable, limits: ConnectionLimits) {
        self.table = table
        self.limits = limits
    }

    func handlerAdded(context: ChannelHandlerContext) {
        table.add(context.channel)
        wait(limits.firstRequest, context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        table.remove(context.channel)
        context.fireChannelInactive()
    }

    private func wait(_ duration: Duration?, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = duration.map { duration in
            let channel = context.channel
            return context.eventLoop.scheduleTask(in: TimeAmount(duration)) { channel.close(promise: nil) }
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            isArchive = head.method == .put && head.path?.hasPrefix("\(ControlPaths.volumes)/") == true && head.path?.hasSuffix("/tar") == true
            isReading = true
            open += 1
            bytes = 0
            wait(isArchive ? limits.archive : limits.body, context)
        case .body(let buffer):
            bytes += buffer.readableBytes
            // What is more than was announced, or not announced at all; the answer was or will be 413.
            guard isArchive || bytes <= limits.bodyBytes + (1 << 20) else {
                wait(nil, context)
                context.close(promise: nil)
                return
            }
            if !closesAfterResponse { wait(isArchive ? limits.archive : limits.body, context) }
        case .end:
            isReading = false
            // The answer may have come before the request's end.
            table.note(context.channel, isBusy: open > 0)
            wait(closesAfterResponse ? .milliseconds(100) : open > 0 ? nil : limits.idle, context)
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head): closesAfterResponse = head.headerFields[.connection] == "close"
        case .body: break
        case .end:
            open -= 1
            if open == 0 { table.note(context.channel, isBusy: false) }
            // A sender that is refused in the middle is given a moment to notice.
            wait(closesAfterResponse ? (isReading ? .seconds(2) : .milliseconds(100)) : isReading ? limits.body : open > 0 ? nil : limits.idle, context)
        }
        context.write(data, promise: promise)
    }
}
