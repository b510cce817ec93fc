import Schedules
import HostOS

/// How many due times a second one core finds. Prints a line an expression: rate, expression, zone; and asserts nothing.
@main
struct ScheduleBenchmark {
    static func main() throws {
        let zones = SystemZones()
        let clock = ContinuousClock()
        for name in ["UTC", "Europe/Lisbon", "America/New_York"] {
            let zone = try zones.zone(name)
            for text in ["30 2 * * *", "0 * * * *", "*/5 * * * *", "*/15 8-18 * * MON-FRI", "15 3 * * SUN", "0 0 1 * *", "0 9 L * *", "0 0 29 2 *"] {
                let schedule = Schedule([ScheduleEntry(text: text, rule: try ScheduleRule(text, seed: "a/b"), zone: zone, seed: "a/b")])
                let first = Timestamp(seconds: 1_767_225_600)
                var after = first
                var found = 0
                let begin = clock.now
                // Rounds of a thousand due times each, so that the clock is not what is measured.
                while clock.now - begin < .milliseconds(250) {
                    for _ in 0..<1000 {
                        guard let due = schedule.next(after: after), due.at.seconds < 4_000_000_000 else {
                            after = first
                            continue
                        }
                        after = due.at
                        found += 1
                    }
                }
                let span = clock.now - begin
                let seconds = Double(span.components.seconds) + Double(span.components.attoseconds) / 1e18
                print("\(Int(Double(found) / seconds))\t\(text)\t\(name)")
            }
        }
    }
}
