import Schedules
import TestKit
import Testing

/// Cron expressions, by example. Instants are in UTC unless a zone is named.
@Suite struct CronTests {
    @Test(arguments: [
        ("* * * * *", "2026-01-01T00:00:00Z", ["2026-01-01T00:01:00", "2026-01-01T00:02:00"]),
        ("*/15 * * * *", "2026-01-01T00:00:00Z", ["2026-01-01T00:15:00", "2026-01-01T00:30:00"]),
        ("5/20 * * * *", "2026-01-01T00:00:00Z", ["2026-01-01T00:05:00", "2026-01-01T00:25:00", "2026-01-01T00:45:00", "2026-01-01T01:05:00"]),
        ("0 9 * * MON-FRI", "2026-01-02T10:00:00Z", ["2026-01-05T09:00:00", "2026-01-06T09:00:00"]),
        (
            "0 0 * * FRI-MON", "2026-01-05T12:00:00Z",
            ["2026-01-09T00:00:00", "2026-01-10T00:00:00", "2026-01-11T00:00:00", "2026-01-12T00:00:00", "2026-01-16T00:00:00"]
        ),
        (
            "0 22-2 * * *", "2026-01-01T20:00:00Z",
            ["2026-01-01T22:00:00", "2026-01-01T23:00:00", "2026-01-02T00:00:00", "2026-01-02T01:00:00", "2026-01-02T02:00:00", "2026-01-02T22:00:00"]
        ),
        ("0 0 L * *", "2026-01-15T00:00:00Z", ["2026-01-31T00:00:00", "2026-02-28T00:00:00", "2026-03-31T00:00:00"]),
        ("0 0 L-3 * *", "2026-01-01T00:00:00Z", ["2026-01-28T00:00:00", "2026-02-25T00:00:00"]),
        ("0 0 LW * *", "2026-01-01T00:00:00Z", ["2026-01-30T00:00:00", "2026-02-27T00:00:00"]),
        // 15 February 2026 is a Sunday, 15 August 2026 a Saturday, 1 November 2026 a Sunday, 1 August 2026 a Saturday.
        ("0 0 15W 2,8 *", "2026-01-01T00:00:00Z", ["2026-02-16T00:00:00", "2026-08-14T00:00:00"]),
        ("0 0 1W 8,11 *", "2026-01-01T00:00:00Z", ["2026-08-03T00:00:00", "2026-11-02T00:00:00"]),
        ("0 0 * * 5#2", "2026-01-01T00:00:00Z", ["2026-01-09T00:00:00", "2026-02-13T00:00:00"]),
        ("0 0 * * FRIL", "2026-01-01T00:00:00Z", ["2026-01-30T00:00:00", "2026-02-27T00:00:00"]),
        ("0 0 ? * 7", "2026-01-01T00:00:00Z", ["2026-01-04T00:00:00"]),
        ("30 0 3 * * *", "2026-01-01T00:00:00Z", ["2026-01-01T03:00:30"]),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ("0 0 29 2 *", "2097-01-01T00:00:00Z", ["2104-02-29T00:00:00"]),
        ("0 0 31 * *", "2026-01-31T00:00:00Z", ["2026-03-31T00:00:00", "2026-05-31T00:00:00"]),
        ("@yearly", "2026-01-01T00:00:00Z", ["2027-01-01T00:00:00"]),
        ("@weekly", "2026-01-01T00:00:00Z", ["2026-01-04T00:00:00"]),
        // Day of month and day of week: either, unless one starts with `*`.
        (
            "0 0 13 * FRI", "2026-02-01T00:00:00Z",
            ["2026-02-06T00:00:00", "2026-02-13T00:00:00", "2026-02-20T00:00:00", "2026-02-27T00:00:00", "2026-03-06T00:00:00", "2026-03-13T00:00:00"]
        ),
        ("0 0 */2 * MON", "2026-01-01T00:00:00Z", ["2026-01-05T00:00:00", "2026-01-19T00:00:00"]),
        ("59 23 31 12 *", "2026-12-31T23:59:00Z", ["2027-12-31T23:59:00"]),
    ])
    func findsTheNextDueTimes(_ text: String, _ from: String, _ expected: [String]) {
        let schedule = Make.schedule(text)
        var after = Make.time(from)
        for instant in expected {
            let due = schedule.next(after: after)
            #expect(due?.at == Make.time(instant + "Z"), "\(text) after \(after)")
            after = due?.at ?? after
        }
    }

    @Test func findsTheLeapDayOnAMondayAtOnce() {
        let schedule = Make.schedule("0 0 29 2 1")
        // Either field matches here, so ask for both: a leap day and a Monday.
        let both = Make.schedule("0 0 29 2 */1")
        #expect(schedule.next(after: Make.time("2026-03-01T00:00:00Z"))?.at == Make.time("2027-02-01T00:00:00Z"))
        #expect(both.next(after: Make.time("2026-03-01T00:00:00Z"))?.at == Make.time("2028-02-29T00:00:00Z"))
    }

    @Test(arguments: [
        ("* * * *", 0, "5 fields"),
        ("60 * * * *", 0, "'60' is not a valid minute: use 0 to 59"),
        ("0 25 * * *", 2, "'25' is not a valid hour"),
        ("0 0 * FOO *", 6, "'FOO' is not a valid month: use 1 to 12 or JAN to DEC"),
        ("0 0 * * FUNDAY", 8, "day of week"),
        ("0 0 30 2 *", 4, "never matches"),
        ("0 0 31 4,6,9,11 *", 4, "never matches"),
        ("*/0 * * * *", 2, "step '0'"), ("*/+5 * * * *", 2, "step '+5'"), ("0 0 L-+3 * *", 4, "'L-+3' is not"), ("0 0 * * 5#+2", 8, "weekday#n"),
        ("? 0 * * *", 0, "write '*' in the minute field"), ("0 ? * * *", 2, "write '*' in the hour field"), ("TZ=UTC 0 0 * * *", 0, "timezone: UTC"),
        ("CRON_TZ=Asia/Tokyo 0 0 * * *", 0, "timezone: Asia/Tokyo"), ("0 0 1 1 * 2027", 10, "no field for the year"),
        ("0 0 0 1 1 ? 2027-2029", 12, "no field for the year"),
        ("1,,2 * * * *", 2, "missing"),
        ("0 0 1#2 * *", 4, "not a valid day of month"),
        ("0 0 * * 5#6", 8, "n from 1 to 5"),
        ("@often", 0, "not a macro"),
        ("every 5", 6, "no unit"),
        ("every 6h from 25:00", 14, "not a time of day"),
        ("every 36h from 02:00", 6, "whole days"),
        ("at 2026-02-30T10:00", 3, "does not"),
        ("calendar Mon..Fre 09:00", 14, "'Fre' is not a weekday"),
        ("", 0, "empty"),
    ])
    func pointsAtWhatIsWrong(_ text: String, _ offset: Int, _ words: String) {
        do {
            _ = try ScheduleRule(text, seed: "x")
            Issue.record("'\(text)' was accepted")
        } catch {
            #expect(error.offset == offset, "\(text): \(error)")
            #expect(error.message.contains(words) || words == "does not" && error.message.contains("not a date"), "\(text): \(error)")
        }
    }

    @Test func hashedFieldsAreStableAndDifferByName() throws {
        let a = try CronExpression("H H(1-5) * * *", seed: "shop/a")
        #expect(a == (try CronExpression("H H(1-5) * * *", seed: "shop/a")))
        let others = try (0..<50).map { try CronExpression("H H(1-5) * * *", seed: "shop/job\($0)").pattern }
        #expect(Set(others).count > 25)
    }

    @Test(arguments: [
        ("30 2 * * *", "at 02:30, every day"),
        ("*/15 8-18 * * MON-FRI", "every 15 minutes of every hour from 8 to 18, on Monday, Tuesday, Wednesday, Thursday and Friday"),
        ("0 0 L * *", "at 00:00, on the last day of the month"),
        ("0 0 13 * 5", "at 00:00, on day 13 of the month or on Friday"),
        ("every 90m", "every 1h30m, counted from midnight UTC of 1970-01-01"),
    ])
    func explainsItselfInWords(_ text: String, _ sentence: String) throws {
        #expect(Sentence.of(try ScheduleRule(text, seed: "x")) == sentence)
    }
}

/// Instants and spans at the ends of what 64 bits can say.
@Suite struct TimestampTests {
    @Test(arguments: [
        (Duration.seconds(Int64.max / 1000) + .milliseconds(807), Int64.max), (.seconds(Int64.max / 1000) + .milliseconds(900), .max),
        (.seconds(Int64.max), .max), (.seconds(Int64.min / 1000) - .milliseconds(808), .min), (.seconds(Int64.min / 1000) - .milliseconds(900), .min),
        (.seconds(Int64.min), .min), (.nanoseconds(-1), -1), (.nanoseconds(1), 0), (.milliseconds(-1500), -1500),
    ]) func spansAreHeldWithinWhatFits(span: Duration, milliseconds: Int64) { #expect(span.wholeMilliseconds == milliseconds) }

    @Test func instantsStayWithinTheirRange() {
        let (first, last) = (Timestamp(milliseconds: .min), Timestamp(milliseconds: .max))
        #expect(last + .milliseconds(1) == last && first - .milliseconds(1) == first)
        #expect(Timestamp(milliseconds: 0) - .milliseconds(Int64.min) == last)
        #expect((last - first).wholeMilliseconds == .max && (first - last).wholeMilliseconds == .min)
    }
}
