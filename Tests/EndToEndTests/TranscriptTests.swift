import Foundation
import Glibc
import TestKit
import Testing

/// What people see, to the letter: each file of Tests/Transcripts is a session at a shell, and what was shown is to be shown again.
///
/// A line that begins with `$ ` is a command, with `> ` its continuation, with `! ` what it says on its standard error, `[N]` its code
/// when that is not 0; all else is its standard output. (The form is that of cram and its relatives.) What differs from run to run
/// stands as `<word>`. BERTH_UPDATE_TRANSCRIPTS=1 writes them anew, to be read as a difference before they are committed.
@Suite(.enabled(if: Requirement.root && Requirement.program("sqlite3"), "needs root and sqlite3"), .serialized)
struct TranscriptTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Transcripts")
    static let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { $0.hasSuffix(".txt") }.sorted()

    @Test func thereAreTranscripts() { #expect(Self.names.count >= 5) }

    @Test(.timeLimit(.minutes(5)), arguments: names) func isShownAgain(_ name: String) throws {
        let file = Self.folder.appendingPathComponent(name)
        let expected = try String(contentsOf: file, encoding: .utf8)
        try EndToEndTests.with { it in
            let shown = TranscriptTests.play(expected, in: it)
            if ProcessInfo.processInfo.environment["BERTH_UPDATE_TRANSCRIPTS"] == "1" {
                try shown.write(to: file, atomically: true, encoding: .utf8)
            } else {
                #expect(shown == expected, "\(TranscriptTests.difference(expected, shown))")
            }
        }
    }

    /// The same session, with what its commands show now.
    private static func play(_ transcript: String, in instance: Instance) -> String {
        let home = "\(instance.scratch.path)/home"
        try? FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        var shown = ""
        var lines = transcript.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)[...]
        // What stands before the first command says what the session is about.
        while let line = lines.first, !line.hasPrefix("$ ") { shown += lines.removeFirst() + (lines.isEmpty ? "" : "\n") }
        while let line = lines.first {
            lines.removeFirst()
            guard line.hasPrefix("$ ") else { continue }
            var command = String(line.dropFirst(2))
            shown += line + "\n"
            while let more = lines.first, more.hasPrefix("> ") || more == ">" {
                command += "\n" + more.dropFirst(2)
                shown += more + "\n"
                lines.removeFirst()
            }
            let result = Instance.run(
                "/bin/sh", ["-c", "cd \(home)\n\(command)"],
                environment: [
                    "BERTH_SOCKET": instance.socket, "PATH": "\(Requirement.programs):/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C.UTF-8", "COLUMNS": "100",
                ])
            for line in plain(result.output, instance) { shown += line + "\n" }
            for line in plain(result.errors, instance) { shown += "! \(line)\n" }
            if result.code != 0 { shown += "[\(result.code)]\n" }
        }
        return shown
    }

    /// Lines without what differs from run to run.
    private static func plain(_ text: String, _ instance: Instance) -> [String] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        let years = Set([-86400.0, 0, 86400].map { Date(timeIntervalSinceNow: $0).formatted(.iso8601.year().month().day()) })
        let plain = lines.map { line in
            var text = line.replacing("\(instance.scratch.path)/home", with: "<home>").replacing(instance.scratch.path, with: "<dir>")
            for day in years {
                text = text.replacing(try! Regex("\(day)[T ][0-9:.]{8,18}Z?"), with: "<time>")
            }
            text = text.replacing(/\b[0-9a-hjkmnp-tv-z]{16}\b/.wordBoundaryKind(.simple)) { $0.output.contains { $0.isNumber } ? "<run>" : String($0.output) }
            text = text.replacing(/\b(\d+(\.\d+)?(ms|s|m|h|d) ago|in \d+[smhd]|now)\b/.wordBoundaryKind(.simple), with: "<span>")
            // Words about sizes in general stay as they are.
            guard text.contains("<run>") else { return text }
            text = text.replacing(/\b(\d+ms|\d+\.\ds)\b/.wordBoundaryKind(.simple), with: "<span>")
            return text.replacing(/\b\d+(\.\d+)?[KM]\b/.wordBoundaryKind(.simple), with: "<size>")
        }
        // Columns are as wide as what stood in them, and their heads too.
        if plain == lines { return lines }
        return plain.map { line in String(line.prefix { $0 == " " }) + line.drop { $0 == " " }.replacing(/\ {2,}/, with: "  ") }
    }

    private static func difference(_ old: String, _ new: String) -> String {
        let (old, new) = (old.split(separator: "\n", omittingEmptySubsequences: false), new.split(separator: "\n", omittingEmptySubsequences: false))
        guard
            let first = zip(old, new).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset
                ?? (old.count == new.count ? nil : min(old.count, new.count))
        else { return "nothing differs" }
        return "line \(first + 1):\n"
            + old[first...].prefix(6).map { "- \($0)" }.joined(separator: "\n") + "\n" + new[first...].prefix(6).map { "+ \($0)" }.joined(separator: "\n")
    }
}
