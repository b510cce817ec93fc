import ControlAPI
import Schedules
import HostOS

/// A month as a wall calendar: below each day, how often something is due on it.
struct MonthView {
    let month: Month
    let today: CivilDate
    let jobs: [MonthInfo]
    let zones: SystemZones

    private static let names = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ]
    private static let width = 8

    func print() {
        let zoneNames = Set(jobs.map(\.zone)).sorted()
        let changes = zoneNames.flatMap { name in clockChanges(name) }
        let zone = zoneNames.count == 1 ? ", \(zoneNames[0])" : zoneNames.isEmpty ? "" : ", each job in its own zone"
        Terminal.say(Terminal.paint("\(MonthView.names[month.number - 1]) \(month.year)\(zone)", .bold))
        Terminal.say(Terminal.paint(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].map { MonthView.cell($0) }.joined(), .grey))
        // Weeks begin on Monday.
        var day = 1 - (month.date(1).weekday + 6) % 7
        while day <= month.days {
            let week = (day..<(day + 7)).map { (1...month.days).contains($0) ? $0 : nil }
            Terminal.say(week.map { title($0, Set(changes.map(\.day))) }.joined())
            Terminal.say(week.map { count($0) }.joined())
            day += 7
        }
        for change in changes { Terminal.say(Terminal.paint("* \(change.words)", .yellow)) }
        if jobs.isEmpty {
            Terminal.say("nothing is due in \(month)")
            return
        }
        Terminal.say("")
        var table = Table("JOB", "DUE", "EXCLUDED", "DAYS", "ZONE")
        for job in jobs {
            let excluded = job.excluded.reduce(0, +)
            table.add([
                .init(text: job.job, colour: .bold), .init(text: "\(job.due.reduce(0, +))"),
                .init(text: excluded == 0 ? "-" : "\(excluded)", colour: excluded == 0 ? .grey : .yellow),
                .init(text: "\(job.due.count { $0 > 0 })"), .init(text: job.zone, colour: .grey),
            ])
        }
        table.print()
    }

    private static func cell(_ text: String) -> String { String(repeating: " ", count: max(1, width - text.count)) + text }

    private func title(_ day: Int?, _ changes: Set<Int>) -> String {
        guard let day else { return MonthView.cell("") }
        let text = MonthView.cell("\(day)\(changes.contains(day) ? "*" : "")")
        return Terminal.paint(text, month.date(day) == today ? .green : .bold)
    }

    /// `24`, or `23-1` where one more is excluded; a dot where nothing is due.
    private func count(_ day: Int?) -> String {
        guard let day else { return MonthView.cell("") }
        let due = jobs.reduce(0) { $0 + $1.due[day - 1] }
        let excluded = jobs.reduce(0) { $0 + $1.excluded[day - 1] }
        if due == 0 { return Terminal.paint(MonthView.cell("."), .grey) }
        return Terminal.paint(
            MonthView.cell(excluded > 0 ? "\(MonthView.short(due - excluded))-\(MonthView.short(excluded))" : MonthView.short(due)),
            excluded > 0 ? .yellow : nil)
    }

    private static func short(_ number: Int64) -> String { number < 10_000 ? "\(number)" : "\(number / 1000)k" }

    private func clockChanges(_ name: String) -> [(day: Int, words: String)] {
        guard let zone = try? zones.zone(name) else { return [] }
        let start = zone.firstInstant(of: CivilTime(date: month.date(1), hour: 0, minute: 0))
        let end = zone.firstInstant(of: CivilTime(date: month.date(month.days + 1), hour: 0, minute: 0))
        var found: [(Int, String)] = []
        var from = start - 1
        while let change = zone.nextChange(after: from), change < end {
            let step = zone.offset(at: change) - zone.offset(at: change - 1)
            let before = CivilTime(localSeconds: change + Int64(zone.offset(at: change - 1)))
            let after = zone.civilTime(at: Timestamp(seconds: change))
            let words = "\(before.date) \(before.shortClock) in \(name): clocks are set \(step > 0 ? "forward" : "back") to \(after.shortClock)"
            found.append((before.date.day, words))
            from = change
        }
        return found
    }
}
