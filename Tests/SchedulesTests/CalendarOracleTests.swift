import Foundation
import Scheduling
import Schedules
import TestKit
import Testing

/// Our calendar expressions beside systemd's own reading of them.
@Suite(.enabled(if: Requirement.program("systemd-analyze") || Requirement.strict, "needs systemd-analyze"))
struct CalendarOracleTests {
    static let count = 6

    static func expression(_ dice: inout Dice) -> String {
        func pick(_ words: [String]) -> String { words.randomElement(using: &dice)! }
        func value(_ low: Int, _ high: Int, _ width: Int = 2) -> String {
            let number = String(Int.random(in: low...high, using: &dice))
            return String(repeating: "0", count: max(0, width - number.count)) + number
        }
        func part(_ low: Int, _ high: Int) -> String {
            let a = Int.random(in: low...high, using: &dice)
            return switch Int.random(in: 0..<7, using: &dice) {
            case 0, 1: "*"
            // systemd refuses a step that leads nowhere.
            case 2: "\(min(a, high - 9))/\(Int.random(in: 2...9, using: &dice))"
            case 3: a == high ? value(low, high) : "\(a)..\(Int.random(in: (a + 1)...high, using: &dice))"
            case 4: "\(a),\(Int.random(in: low...high, using: &dice))"
            case 5: "\(low)/\(Int.random(in: 2...9, using: &dice))"
            default: value(low, high)
            }
        }
        let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        let first = Int.random(in: 0..<6, using: &dice)
        let weekday = [
            "", "", "", days[first] + " ", "\(days[first])..\(days[Int.random(in: (first + 1)..<7, using: &dice)]) ", "\(days[first]),\(pick(days)) ",
            ["Sunday ", "Wednesday,Sat "].randomElement(using: &dice)!,
        ].randomElement(using: &dice)!
        let tilde = Int.random(in: 0..<6, using: &dice) == 0
        let year = Int.random(in: 0..<8, using: &dice) == 0 ? "2026..2031" : "*"
        let date = tilde ? "\(year)-\(part(1, 12))~\(value(1, 7))" : "\(year)-\(part(1, 12))-\(part(1, 28))"
        let seconds = Int.random(in: 0..<3, using: &dice) == 0 ? ":\(part(0, 59))" : ""
        let time = "\(part(0, 23)):\(part(0, 59))\(seconds)"
        return switch Int.random(in: 0..<10, using: &dice) {
        case 0: pick(["minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly"])
        case 1: weekday + time
        case 2: weekday + date
        default: weekday + date + " " + time
        }
    }

    /// systemd's first elapses after an instant; `nil` when it refuses the expression.
    static func asked(_ expression: String, from start: Timestamp) throws -> [Timestamp]? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["systemd-analyze", "calendar", "--iterations=\(count)", "--base-time=@\(start.seconds)", expression]
        process.environment = ["PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C"]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { return nil }
        return text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            // "Next elapse: Mon 2026-11-30 00:00:00 UTC", "Iteration #2: ...".
            guard line.contains("elapse:") || line.contains("ter"), let index = words.firstIndex(where: { CivilDate($0) != nil }), index + 1 < words.count
            else {
                return nil
            }
            return Timestamp(rfc3339: "\(words[index])T\(words[index + 1])Z")
        }
    }

    @Test func agreesWithSystemd() throws {
        try #require(Requirement.program("systemd-analyze"), "systemd-analyze is not installed: see Packaging/test.sh")
        var dice = Dice(seed: 252)
        var compared = 0
        let total = Int(ProcessInfo.processInfo.environment["BERTH_ORACLE_EXPRESSIONS"] ?? "") ?? 150
        for _ in 0..<total {
            let text = Self.expression(&dice)
            let start = Timestamp(seconds: Make.time("2026-01-01T00:00:00Z").seconds + Int64.random(in: 0..<100_000_000, using: &dice))
            let expected = try Self.asked(text, from: start)
            let rule = try? ScheduleRule("calendar " + text, seed: "x")
            guard let expected else {
                Issue.record("systemd refuses '\(text)'")
                continue
            }
            // What never elapses again, systemd prints as "never"; we refuse it, or find nothing.
            guard !expected.isEmpty else {
                let next = rule.flatMap { Schedule([ScheduleEntry(text: text, rule: $0, zone: .utc, seed: "x")]).next(after: start) }
                #expect(next == nil, "systemd has nothing for '\(text)' after \(start), and we have \(next.map { "\($0.at)" } ?? "-")")
                continue
            }
            guard let rule else {
                Issue.record("'\(text)' is refused, and systemd takes it")
                continue
            }
            let schedule = Schedule([ScheduleEntry(text: text, rule: rule, zone: .utc, seed: "x")])
            var found: [Timestamp] = []
            var after = start
            while found.count < expected.count, let due = schedule.next(after: after) {
                found.append(due.at)
                after = due.at
            }
            compared += found.count
            #expect(found == expected, "'\(text)' after \(start)")
        }
        print("calendar oracle: \(total) expressions, \(compared) instants compared")
        #expect(compared > total * 4)
    }
}
