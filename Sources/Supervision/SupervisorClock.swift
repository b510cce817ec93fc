public import Scheduling
public import Schedules

/// The time, and being woken at one.
public protocol SupervisorClock: Sendable {
    /// What the wall clock and the steady clock show now.
    func moment() -> Moment

    /// Asks for a tick at this instant of civil time, in place of the one asked for before. Ticks may come earlier and more
    /// often: when the clock is set, and now and then.
    func wake(at time: Timestamp?)

    /// For one reader.
    var ticks: AsyncStream<Void> { get }
}
