internal import CLinux
internal import Foundation
internal import Glibc
public import Scheduling
public import Schedules
internal import Synchronization

/// The host's clocks. A timer on the wall clock that is cancelled when somebody sets it: a sleep of some length would go on
/// as if nothing had happened.
public final class SystemClock: SupervisorClock {
    /// At least this often there is a tick, for what no timer tells, such as a host that slept.
    static let heartbeat = Duration.seconds(30)

    /// A tick when the time asked for has come, when the clock is set, and every 30 seconds at least. For one reader; ticks that are not read are merged.
    public let ticks: AsyncStream<Void>
    private let sink: AsyncStream<Void>.Continuation
    private let timer: Int32
    private let wanted = Mutex<Timestamp?>(nil)

    /// Starts a thread that waits on the timer and never ends.
    public init() {
        (ticks, sink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        timer = clinux_wall_timer()
        precondition(timer >= 0, "the kernel gives no timer")
        arm(nil)
        // A thread of its own: it sleeps in the kernel, which a task must not.
        let thread = Thread { [self] in run() }
        thread.name = "berth.clock"
        thread.stackSize = 256 << 10
        thread.start()
    }

    /// Civil time, for those who need no more.
    public static func now() -> Timestamp {
        var wall = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        return Timestamp(milliseconds: Int64(wall.tv_sec) * 1000 + Int64(wall.tv_nsec) / 1_000_000)
    }

    /// The wall clock, and the monotonic clock of the kernel, both in milliseconds.
    public func moment() -> Moment {
        var steady = timespec()
        clock_gettime(CLOCK_MONOTONIC, &steady)
        return Moment(
            wall: SystemClock.now(), steady: .milliseconds(Int64(steady.tv_sec) * 1000 + Int64(steady.tv_nsec) / 1_000_000))
    }

    /// Sets the timer to this instant, or to the next heartbeat if that is earlier; `nil` leaves the heartbeat alone.
    public func wake(at time: Timestamp?) {
        wanted.withLock { wanted in
            guard wanted != time else { return }
            wanted = time
            arm(time)
        }
    }

    /// Under the lock: two threads that set the timer one after the other must set it in the order in which they decided.
    private func arm(_ time: Timestamp?) {
        let heartbeat = SystemClock.now() + SystemClock.heartbeat
        _ = clinux_wall_timer_set(timer, (time.map { min($0, heartbeat) } ?? heartbeat).milliseconds)
    }

    private func run() -> Never {
        var expirations: UInt64 = 0
        while true {
            // It returns when the time has come, and also, with an error, when the clock was set.
            let got = read(timer, &expirations, 8)
            if got < 0, errno == EINTR { continue }
            // Before the tick is passed on: what is asked for because of it must not be taken for what just expired.
            wanted.withLock { wanted in
                if let time = wanted, time <= SystemClock.now() { wanted = nil }
                arm(wanted)
            }
            sink.yield()
        }
    }
}
