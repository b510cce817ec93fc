import Foundation
import Testing

/// The table of faults names tests: each of them is there.
@Suite struct FaultTableTests {
    @Test func everyRowIsShownBySomething() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let table = try String(contentsOf: root.appendingPathComponent("Sources/Supervision/Supervision.docc/Faults.md"), encoding: .utf8)
        var tests = ""
        let files = FileManager.default.enumerator(at: root.appendingPathComponent("Tests"), includingPropertiesForKeys: nil)
        while let file = files?.nextObject() as? URL {
            if ["swift", "py"].contains(file.pathExtension) { tests += try String(contentsOf: file, encoding: .utf8) }
        }
        let rows = table.split(separator: "\n").filter { $0.hasPrefix("| ") }.dropFirst()
        #expect(rows.count >= 60)
        for row in rows {
            let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            #expect(cells.count == 3, "\(row)")
            for (number, name) in (cells.last ?? "").split(separator: "`", omittingEmptySubsequences: false).enumerated() where number % 2 == 1 {
                let words = name.split(separator: " ")
                if words.count == 1, !name.contains("="), !name.contains("/"), !name.contains("_"), !name.contains(":") {
                    #expect(tests.contains("func \(name)("), "there is no test \(name)")
                } else if words.count == 2, words[0].hasSuffix(".py"), !words[1].hasPrefix("-") {
                    #expect(tests.contains("def \(words[1])(") || tests.contains("def \(words[1])_mode("), "there is no mode \(name)")
                }
            }
        }
    }
}
