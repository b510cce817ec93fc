import Foundation
import Scheduling
import TestKit
import Testing

@testable import RecipeImport

/// Which lines are entries, beside Debian's own `crontab -n`.
@Suite(.enabled(if: Requirement.root && FileManager.default.isExecutableFile(atPath: "/usr/bin/crontab"), "needs root and Debian's crontab"))
struct CronDifferentialTests {
    private static let pieces = [
        "*", "*", "*/2", "*/15", "*/0", "*/x", "*/+3", "*x", "0", "5", "05", "07", "12", "23", "31", "59", "60", "99", "1-5", "5-1", "22-2", "5-0", "2-1/3",
        "0-23/2", "1-7/3",
        "1-70", "1-70/60", "1,2", "1,,2", ",1", "1,", "5#2", "5x", "5.1", "5;1", "5-", "-5", "5/2", "?", "L", "H", "jan", "FEB-apr", "sun", "fri-mon",
        "Sat,sun",
        "janx", "1-3-5", "*/5/2", "*-3", "7", "6-7", "+5", "*,5", "5#,70", "\u{E9}",
    ]

    /// What cron refuses is not carried over, and what it takes is not called refused.
    @Test(.timeLimit(.minutes(5)), arguments: 0..<4) func entriesAreThoseOfCron(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let scratch = Scratch("crontab")
        var wrong: [String] = []
        for _ in 0..<300 {
            // One or two odd fields: otherwise nearly all would be refused.
            var fields = ["0", "0", "*", "*", "*"]
            for _ in 0...Int.random(in: 0...1, using: &dice) {
                fields[Int.random(in: 0..<5, using: &dice)] = Self.pieces.randomElement(using: &dice) ?? "*"
            }
            let line = fields.joined(separator: " ") + (["", " ", " true", " true", " true", " * true", "\t%x"].randomElement(using: &dice) ?? "")
            scratch.write("table", line + "\n")
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/crontab")
            process.arguments = ["-n", "\(scratch.path)/table"]
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            let takes = process.terminationStatus == 0
            let ours = if case .invalid = CrontabLine(line, hasUser: false) { false } else { true }
            if takes != ours { wrong.append("\(takes ? "taken" : "refused") by cron: \(line)") }
        }
        #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
    }
}
