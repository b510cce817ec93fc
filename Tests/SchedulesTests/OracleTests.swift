import Foundation
import Scheduling
import Schedules
import HostOS
import TestKit
import Testing

/// Our due times beside those of cronsim, which follows Debian's cron as well and shares no line with us.
///
/// A sample by default; BERTH_ORACLE_EXPRESSIONS and BERTH_ORACLE_ZONES=all make it long. BERTH_ORACLE names the folder that
/// cronsim was installed in.
@Suite(.enabled(if: oracleFolder != nil || Requirement.strict, "needs cronsim"))
struct OracleTests {
    struct Question {
        let expression: String
        let zone: String
        let start: Int64
    }

    static let count = 25

    static func expression(_ dice: inout Dice) -> String {
        func field(_ low: Int, _ high: Int, _ star: Int) -> String {
            switch Int.random(in: 0..<12, using: &dice) {
            case 0..<star: return "*"
            case 8: return "*/\(Int.random(in: 2...5, using: &dice))"
            case 9:
                let a = Int.random(in: low..<high, using: &dice)
                return "\(a)-\(Int.random(in: a...high, using: &dice))"
            case 10: return "\(Int.random(in: low...high, using: &dice)),\(Int.random(in: low...high, using: &dice))"
            default: return "\(Int.random(in: low...high, using: &dice))"
            }
        }
        let day = Int.random(in: 0..<12, using: &dice) == 0 ? "L" : field(1, 28, 6)
        let weekday =
            Int.random(in: 0..<12, using: &dice) == 0
            ? "\(Int.random(in: 0...6, using: &dice))#\(Int.random(in: 1...4, using: &dice))" : field(0, 6, 7)
        return "\(field(0, 59, 2)) \(field(0, 4, 3)) \(day) \(field(1, 12, 7)) \(weekday)"
    }

    static func questions() -> [Question] {
        var dice = Dice(seed: 2026)
        let environment = ProcessInfo.processInfo.environment
        let expressions = (0..<(Int(environment["BERTH_ORACLE_EXPRESSIONS"] ?? "") ?? 60)).map { _ in expression(&dice) }
        var zones = SchedulePropertyTests.zoneNames
        if environment["BERTH_ORACLE_ZONES"] == "all" { zones = Make.zones.names() }
        var questions: [Question] = []
        for expression in expressions {
            for zone in zones {
                // Shortly before some change of that zone's clocks, or anywhere.
                let any = Int64.random(in: 0..<Make.time("2037-01-01T00:00:00Z").seconds, using: &dice)
                let near = Make.zone(zone).nextChange(after: any).map { $0 - Int64.random(in: 0...90_000, using: &dice) }
                questions.append(Question(expression: expression, zone: zone, start: near ?? any))
            }
        }
        return questions
    }

    /// Where we and cronsim differ, every minute is looked at: with `*` in minute or hour, the rule is that the wall clock
    /// decides, minute by minute. cronsim moves such schedules on by whole hours of the wall clock and passes over the rest of
    /// an hour in which clocks are set by less than an hour (Kathmandu 1986, Lord Howe each October).
    @Test func agreesWithCronsim() throws {
        let questions = Self.questions()
        let answers = try Self.ask("cronsim", questions, count: Self.count)
        var compared = 0
        var different: [Question] = []
        for (question, answer) in zip(questions, answers) where answer != "error" {
            if answer == "hang" {
                print("hang: cronsim does not come back from \(question.expression) in \(question.zone) from \(question.start)")
                continue
            }
            let own = Self.own(question, first: Self.count)
            compared += own.count
            if own.map(String.init).joined(separator: " ") != answer { different.append(question) }
        }
        // Where they lie: the change of the clock that each is about.
        let groups = Dictionary(grouping: different) { question -> String in
            let zone = Make.zone(question.zone)
            guard let change = zone.nextChange(after: question.start) else { return question.zone }
            return "\(question.zone) at \(Timestamp(seconds: change)): \(zone.offset(at: change) - zone.offset(at: change - 1)) s"
        }
        for (place, questions) in groups.sorted(by: { $0.key < $1.key }) {
            print("difference: \(place), \(questions.count) questions, such as \(questions[0].expression)")
        }
        let days = 5
        let brute = try Self.ask("brute", different, count: days)
        var unexplained: [String] = []
        for (question, answer) in zip(different, brute) {
            let fields = question.expression.split(separator: " ")
            let realTime = fields[0].hasPrefix("*") || fields[1].hasPrefix("*")
            let end = question.start / 60 * 60 + Int64(days) * 86400
            let own = Self.own(question, through: end)
            if !realTime || own.map(String.init).joined(separator: " ") != answer {
                unexplained.append("\(question.expression) in \(question.zone) from \(question.start)")
            }
        }
        print("oracle: \(questions.count) questions, \(compared) instants compared, \(different.count) differences, \(unexplained.count) unexplained")
        #expect(compared > questions.count * 20)
        #expect(unexplained.isEmpty, "\(unexplained.prefix(5).joined(separator: "\n"))")
    }

    /// A second opinion, on what croniter and cron agree about: one day field at most, no clock set.
    @Test func agreesWithCroniter() throws {
        var dice = Dice(seed: 11)
        var questions: [Question] = []
        for _ in 0..<300 {
            var fields = Self.expression(&dice).split(separator: " ").map(String.init)
            if fields[2] != "*" { fields[4] = "*" }
            // It takes a range of one value for the whole field.
            let hasOneValueRange = fields.contains { field in
                let ends = field.split(separator: "-")
                return ends.count == 2 && ends[0] == ends[1]
            }
            if hasOneValueRange || fields.contains(where: { $0.contains("#") || $0.contains("L") }) { continue }
            let start = Int64.random(in: 0..<2_000_000_000, using: &dice)
            questions.append(Question(expression: fields.joined(separator: " "), zone: "UTC", start: start))
        }
        #expect(questions.count > 150)
        let answers = try Self.ask("croniter", questions, count: Self.count)
        for (question, answer) in zip(questions, answers) {
            #expect(Self.own(question, first: Self.count).map(String.init).joined(separator: " ") == answer, "\(question)")
        }
    }

    /// What every zone's clocks show, from 1970 to 2200, beside Python's zoneinfo.
    @Test func readsEveryZoneAsZoneinfoDoes() throws {
        var dice = Dice(seed: 3)
        let names = Make.zones.names()
        #expect(names.count > 400)
        let end = Make.time("2200-01-01T00:00:00Z").seconds
        let questions = names.map { name in
            // Anywhere, and right at and before a change.
            let instants = (0..<30).flatMap { _ -> [Int64] in
                let any = Int64.random(in: 0..<end, using: &dice)
                let change = Make.zone(name).nextChange(after: any).flatMap { $0 < end ? $0 : nil }
                return [any] + (change.map { [$0 - 1, $0] } ?? [])
            }
            return Question(expression: instants.map(String.init).joined(separator: ","), zone: name, start: 0)
        }
        let answers = try Self.ask("offsets", questions, count: 0)
        var compared = 0
        for (question, answer) in zip(questions, answers) {
            let zone = Make.zone(question.zone)
            let own = question.expression.split(separator: ",").map { zone.offset(at: Int64($0) ?? 0) }
            compared += own.count
            #expect(own.map(String.init).joined(separator: " ") == answer, "\(question.zone)")
        }
        print("zone oracle: \(names.count) zones, \(compared) instants compared")
    }

    /// Our first due times of a question, or all of them up to an instant.
    private static func own(_ question: Question, first limit: Int = .max, through end: Int64 = .max) -> [Int64] {
        let schedule = Make.schedule(question.expression, zone: Make.zone(question.zone))
        var after = Timestamp(seconds: question.start)
        var found: [Int64] = []
        while found.count < limit, let due = schedule.next(after: after), due.at.seconds <= end {
            found.append(due.at.seconds)
            after = due.at
        }
        return found
    }

    private static func ask(_ mode: String, _ questions: [Question], count: Int) throws -> [String] {
        let folder = try #require(oracleFolder, "cronsim is not installed: see Packaging/test.sh")
        let scratch = Scratch("oracle")
        scratch.write("in", questions.map { "\(mode)\t\($0.expression)\t\($0.zone)\t\($0.start)\t\(count)\n" }.joined())
        scratch.write("out", "")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Oracles/cron_oracle.py").standardizedFileURL.path
        process.arguments = ["python3", script]
        process.environment = ["PYTHONPATH": folder, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin", "PYTHONTZPATH": "/usr/share/zoneinfo"]
        process.standardInput = FileHandle(forReadingAtPath: "\(scratch.path)/in")
        process.standardOutput = FileHandle(forWritingAtPath: "\(scratch.path)/out")
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        let answers = (scratch.text("out") ?? "").split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
        try #require(answers.count == questions.count)
        return answers
    }
}

/// Where cronsim is.
let oracleFolder = ProcessInfo.processInfo.environment["BERTH_ORACLE"]
