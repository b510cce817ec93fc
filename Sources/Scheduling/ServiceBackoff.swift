internal import Schedules

/// The pause before a service is started again.
enum ServiceBackoff {
    static let first = Duration.seconds(1)
    static let most = Duration.seconds(300)
    /// A service that was up this long has recovered: the next pause is the first again.
    static let recovered = Duration.seconds(600)

    /// 1 s, doubled with each failure in a row up to 5 min, and up to a tenth more so that neighbours do not start as one.
    static func delay(failures: Int, dice: inout Dice) -> Duration {
        let doublings = min(max(failures, 0), 16)
        let milliseconds = min(first.wholeMilliseconds << Int64(doublings), most.wholeMilliseconds)
        return .milliseconds(milliseconds + Int64.random(in: 0...(milliseconds / 10), using: &dice))
    }
}
