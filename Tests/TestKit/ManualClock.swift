public import Scheduling
public import Schedules
public import Supervision
import Synchronization

/// Time that passes when a test says so.
public final class ManualClock: SupervisorClock {
    /// A new stream for each supervisor: one that is cancelled takes its stream along.
    public var ticks: AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        sink.withLock { $0 = continuation }
        return stream
    }
    private let sink = Mutex<AsyncStream<Void>.Continuation?>(nil)
    private let now: Mutex<Moment>
    private let wanted = Mutex<Timestamp?>(nil)

    /// A clock that shows this civil time, with the steady clock at zero.
    public init(_ start: Timestamp) {
        now = Mutex(Moment(wall: start, steady: .zero))
    }

    /// What both clocks show now.
    public func moment() -> Moment { now.withLock { $0 } }

    /// Notes what is asked for; no tick comes of it.
    public func wake(at time: Timestamp?) { wanted.withLock { $0 = time } }

    /// The tick that was asked for last.
    public var wakeTime: Timestamp? { wanted.withLock { $0 } }

    /// Lets time pass, and ticks.
    public func advance(by duration: Duration) {
        now.withLock { $0 = Moment(wall: $0.wall + duration, steady: $0.steady + duration) }
        _ = sink.withLock { $0?.yield() }
    }

    /// Sets the wall clock, as a person or NTP does, and ticks.
    public func set(_ time: Timestamp) {
        now.withLock { $0 = Moment(wall: time, steady: $0.steady) }
        _ = sink.withLock { $0?.yield() }
    }
}
