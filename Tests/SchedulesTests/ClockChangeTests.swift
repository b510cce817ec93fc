import Schedules
import TestKit
import Testing

/// What happens where clocks are set: the rules of `dst:`, at the changes that are known for trouble.
@Suite struct ClockChangeTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let zone: String
        let schedule: String
        let rule: ClockChangeRule
        let after: String
        let expected: [String]
        var testDescription: String { "\(zone) \(schedule) \(rule)" }

        init(_ zone: String, _ schedule: String, _ rule: ClockChangeRule = .cron, after: String, _ expected: [String]) {
            (self.zone, self.schedule, self.rule, self.after, self.expected) = (zone, schedule, rule, after, expected)
        }
    }

    static let cases: [Case] = [
        // New York: 2026-03-08 02:00 -> 03:00, 2026-11-01 02:00 -> 01:00.
        Case("America/New_York", "30 2 * * *", after: "2026-03-08T00:00:00Z", ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"]),
        Case("America/New_York", "30 2 * * *", .skip, after: "2026-03-08T00:00:00Z", ["2026-03-09T02:30:00-04:00"]),
        Case("America/New_York", "15,45 2 * * *", after: "2026-03-08T00:00:00Z", ["2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"]),
        Case("America/New_York", "0 2,3 * * *", after: "2026-03-08T00:00:00Z", ["2026-03-08T03:00:00-04:00", "2026-03-09T02:00:00-04:00"]),
        Case("America/New_York", "30 1 * * *", after: "2026-11-01T00:00:00Z", ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"]),
        Case(
            "America/New_York", "30 1 * * *", .twice, after: "2026-11-01T00:00:00Z",
            ["2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-11-02T01:30:00-05:00"]),
        Case(
            "America/New_York", "*/30 * * * *", after: "2026-11-01T05:00:00Z",
            ["2026-11-01T01:30:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-01T01:30:00-05:00", "2026-11-01T02:00:00-05:00"]),
        Case("America/New_York", "*/30 * * * *", .skip, after: "2026-11-01T05:00:00Z", ["2026-11-01T01:30:00-04:00", "2026-11-01T02:00:00-05:00"]),
        Case("America/New_York", "*/30 * * * *", after: "2026-03-08T06:29:00Z", ["2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00"]),
        Case("America/New_York", "30 * * * *", after: "2026-03-08T06:00:00Z", ["2026-03-08T01:30:00-05:00", "2026-03-08T03:30:00-04:00"]),
        // London: 2026-03-29 01:00 -> 02:00, 2026-10-25 02:00 -> 01:00.
        Case("Europe/London", "30 1 * * *", after: "2026-03-28T12:00:00Z", ["2026-03-29T02:00:00+01:00", "2026-03-30T01:30:00+01:00"]),
        Case("Europe/London", "30 1 * * *", after: "2026-10-24T12:00:00Z", ["2026-10-25T01:30:00+01:00", "2026-10-26T01:30:00+00:00"]),
        // Lord Howe: half an hour. 2026-10-04 02:00 -> 02:30, 2026-04-05 02:00 -> 01:30.
        Case("Australia/Lord_Howe", "15 2 * * *", after: "2026-10-03T12:00:00Z", ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"]),
        Case("Australia/Lord_Howe", "45 1 * * *", after: "2026-04-04T12:00:00Z", ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"]),
        // Troll: two hours. 2026-03-29 01:00 -> 03:00.
        Case("Antarctica/Troll", "30 1,2 * * *", after: "2026-03-28T12:00:00Z", ["2026-03-29T03:00:00+02:00", "2026-03-30T01:30:00+02:00"]),
        // Apia has no 2011-12-30.
        Case("Pacific/Apia", "0 12 30 12 *", after: "2011-12-01T00:00:00Z", ["2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"]),
        Case(
            "Pacific/Apia", "0 12 * * *", after: "2011-12-29T12:00:00Z",
            ["2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"]),
        // Dublin calls winter the negative exception; on the clock it is like London.
        Case("Europe/Dublin", "30 1 * * *", after: "2026-03-28T12:00:00Z", ["2026-03-29T02:00:00+01:00", "2026-03-30T01:30:00+01:00"]),
        // Sao Paulo once had no midnight: 2018-11-04 00:00 -> 01:00.
        Case("America/Sao_Paulo", "0 0 * * *", after: "2018-11-03T12:00:00Z", ["2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"]),
        // Long after the table of the file, by its footer.
        Case("Europe/Berlin", "30 2 * * *", after: "2150-03-28T12:00:00Z", ["2150-03-29T03:00:00+02:00"]),
    ]

    @Test(arguments: cases) func fallsOnTheRightInstants(_ item: Case) {
        let schedule = Make.schedule(item.schedule, zone: Make.zone(item.zone), item.rule)
        var after = Make.time(item.after)
        for text in item.expected {
            let due = schedule.next(after: after)
            #expect(due?.at == Make.time(text), "got \(due.map { $0.at.description(in: Make.zone(item.zone)) } ?? "none")")
            after = due?.at ?? after
        }
    }

    @Test func sayWhichTimesAGapMoved() {
        let due = Make.schedule("15,45 2 * * *", zone: Make.zone("America/New_York")).next(after: Make.time("2026-03-08T00:00:00Z"))
        #expect(due?.moved.map(\.shortClock) == ["02:15", "02:45"])
    }

    @Test func intervalsFromATimeBeginAnewEachDay() {
        let schedule = Make.schedule("every 6h from 02:00", zone: Make.zone("Europe/Berlin"))
        var after = Make.time("2026-03-28T23:00:00Z")
        var found: [String] = []
        for _ in 0..<5 {
            let due = schedule.next(after: after)
            found.append(due?.at.description(in: Make.zone("Europe/Berlin")) ?? "-")
            after = due?.at ?? after
        }
        #expect(
            found == [
                "2026-03-29T03:00:00+02:00", "2026-03-29T09:00:00+02:00", "2026-03-29T15:00:00+02:00", "2026-03-29T21:00:00+02:00", "2026-03-30T02:00:00+02:00",
            ])
    }
}
