internal import Schedules

/// Notices that the wall clock was set, or that the host slept: it went otherwise than time passes.
struct ClockWatch: Sendable {
    private(set) var last: Moment?

    /// A step of the wall clock that is taken for one.
    static let tolerance = Duration.seconds(5)
    /// A step back that is taken for a correction, not for a stutter. As Debian's cron.
    static let correction = Duration.seconds(3 * 3600)

    /// Takes what the clocks show now.
    ///
    /// - Returns: how far the wall clock was set, forward or back; `nil` when it was not
    mutating func step(to moment: Moment) -> Duration? {
        defer { last = moment }
        guard let last else { return nil }
        let step = (moment.wall - last.wall) - (moment.steady - last.steady)
        return step > ClockWatch.tolerance || step < .zero - ClockWatch.tolerance ? step : nil
    }
}
