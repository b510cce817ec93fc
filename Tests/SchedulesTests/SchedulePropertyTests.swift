import Scheduling
import Schedules
import TestKit
import Testing

/// What holds for every schedule in every zone, on expressions and instants from seeds.
@Suite struct SchedulePropertyTests {
    static let zoneNames = [
        "UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "Europe/Dublin", "Africa/Casablanca",
        "Asia/Kathmandu", "America/Sao_Paulo",
    ]

    static func expression(_ dice: inout Dice) -> String {
        func field(_ low: Int, _ high: Int, star: Int) -> String {
            switch Int.random(in: 0..<10, using: &dice) {
            case 0..<star: return "*"
            case star..<(star + 2): return "\(Int.random(in: low...high, using: &dice))"
            case 7: return "*/\(Int.random(in: 2...6, using: &dice))"
            case 8:
                let a = Int.random(in: low...high, using: &dice)
                return "\(a)-\(Int.random(in: low...high, using: &dice))"
            default: return "\(Int.random(in: low...high, using: &dice)),\(Int.random(in: low...high, using: &dice))"
            }
        }
        return "\(field(0, 59, star: 2)) \(field(0, 23, star: 3)) \(field(1, 28, star: 5)) \(field(1, 12, star: 6)) \(field(0, 6, star: 5))"
    }

    @Test(arguments: 0..<300) func nextAndPreviousAndCountAgree(seed: Int) throws {
        var dice = Dice(seed: UInt64(seed))
        let zone = Make.zone(Self.zoneNames.randomElement(using: &dice)!)
        let rule = ClockChangeRule.allCases.randomElement(using: &dice)!
        let text = seed % 5 == 0 ? "every \(Int.random(in: 1...40, using: &dice) * 7)m from 0\(seed % 10):30" : Self.expression(&dice)
        let schedule = Make.schedule(text, zone: zone, rule)
        // Half of the instants lie near a change of the clock.
        var start = Int64.random(in: 0..<2_000_000_000, using: &dice)
        if seed % 2 == 0 { start = Make.time("2026-03-28T00:00:00Z").seconds - Int64.random(in: -500...500, using: &dice) * 86400 / 250 }
        let begin = Timestamp(seconds: start)
        var after = begin
        var previous: Timestamp?
        for step in 1...40 {
            guard let due = schedule.next(after: after) else { break }
            let context: Comment = "\(text) in \(zone.name), dst \(rule), seed \(seed): after \(after)"
            #expect(due.at > after, context)
            if let previous { #expect(due.at - previous >= .seconds(1), context) }
            #expect(schedule.previous(before: due.at + .seconds(1))?.at == due.at, context)
            if let previous { #expect(schedule.previous(before: due.at)?.at == previous, context) }
            #expect(schedule.count(after: begin, through: due.at) == Int64(step), context)
            previous = due.at
            after = due.at
        }
    }

    @Test func countsAYearOfSecondsWithoutListingThem() {
        let schedule = Make.schedule("* * * * * *", zone: Make.zone("America/New_York"))
        #expect(schedule.count(after: Make.time("2026-01-01T00:00:00Z"), through: Make.time("2027-01-01T00:00:00Z")) == 365 * 86400)
    }

    @Test(arguments: 0..<200) func durationsAndTimesPrintAsTheyAreRead(seed: Int) throws {
        var dice = Dice(seed: UInt64(seed))
        let duration = Duration.milliseconds(Int64.random(in: 0...400_000_000, using: &dice))
        #expect(try DurationText.parse(DurationText.print(duration)) == duration)
        let time = Timestamp(milliseconds: Int64.random(in: 0...4_000_000_000_000, using: &dice))
        #expect(Timestamp(rfc3339: time.description) == time)
    }

    @Test(arguments: [("1.5s", 1500), ("1.5h", 5_400_000), ("0.25m", 15_000), ("1h1.5s", 3_601_500), ("1.0005s", 1000), ("2.9ms", 2)])
    func durationsMayHaveParts(text: String, milliseconds: Int64) throws { #expect(try DurationText.parse(text) == .milliseconds(milliseconds)) }

    @Test(arguments: ["", "15", "m", "1m1h", "1h1h", "1.h", ".5h", "1.5", "1..5s", "-3s", "999999999999w", "5 m", "1µs"]) func refusesWhatIsNoDuration(
        text: String
    ) {
        #expect(throws: ScheduleError.self) { try DurationText.parse(text) }
    }

    @Test(arguments: 0..<400) func readsNoGarbageAsAZone(seed: Int) {
        var dice = Dice(seed: UInt64(seed))
        var bytes: [UInt8] = Array("TZif2".utf8) + (0..<Int.random(in: 0...200, using: &dice)).map { _ in UInt8.random(in: 0...255, using: &dice) }
        if seed % 3 == 0 { for index in 5..<min(44, bytes.count) { bytes[index] = UInt8.random(in: 0...2, using: &dice) } }
        // It may be a zone by chance; what counts is that it comes back at all.
        _ = try? Zone(name: "x", tzif: bytes)
    }

    /// A zone's file may hold any time; one far in the future, or past what can be, ends nothing.
    @Test(arguments: [0, 4_102_444_800, 9_151_488_000, 9_183_110_400, 32_503_680_000, 1 << 40, 1 << 59, 1 << 60, .max, -(1 << 60), .min] as [Int64])
    func anyTimeInAZonesFileIsTakenOrRefused(time: Int64) throws {
        func block(_ wide: Bool) -> [UInt8] {
            let counts: [UInt32] = [0, 0, 0, wide ? 1 : 0, 2, 4]
            var bytes = Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
            for count in counts { bytes += withUnsafeBytes(of: count.bigEndian) { Array($0) } }
            if wide { bytes += withUnsafeBytes(of: time.bigEndian) { Array($0) } + [1] }
            for offset in [0, 3600] as [Int32] { bytes += withUnsafeBytes(of: offset.bigEndian) { Array($0) } + [0, 0] }
            return bytes + Array("UTC\0".utf8)
        }
        let bytes = block(false) + block(true) + Array("\nCET-1CEST,M3.5.0,M10.5.0/3\n".utf8)
        guard let zone = try? Zone(name: "Test/Far", tzif: bytes) else {
            #expect(abs(max(time, -.max)) > 1 << 59)
            return
        }
        let schedule = Schedule([ScheduleEntry(text: "0 3 * * *", rule: try ScheduleRule("0 3 * * *", seed: "x"), zone: zone, seed: "x")])
        for start in [0, 4_102_444_700, 9_151_487_000, 32_503_680_000] as [Int64] {
            let after = Timestamp(seconds: start)
            #expect(schedule.next(after: after).map { $0.at > after } ?? true)
        }
    }
}
