import ControlAPI
import FoundationEssentials
import Glibc
import Schedules
import WorkloadModel

/// What this process writes to.
enum Terminal {
    static let isTerminal = isatty(STDOUT_FILENO) == 1
    private static let coloured =
        isTerminal && ProcessInfo.processInfo.environment["NO_COLOR"] == nil && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    static var width: Int {
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20 ? Int(size.ws_col) : 120
    }

    enum Colour: String { case red = "31", green = "32", yellow = "33", blue = "34", grey = "90", bold = "1" }

    /// A text in a colour, to be given to ``say(_:)`` or ``warn(_:)``.
    static func paint(_ text: String, _ colour: Colour?) -> String {
        guard coloured, let colour else { return text }
        return "\(mark(colour.rawValue))\(text)\(mark("0"))"
    }

    /// Colours are marked by characters that have no other meaning until the text is written: so every escape that is in it
    /// before is somebody else's. Which characters they are is anew in each process, so that no text can bring them along.
    private static let firstMark = UInt32.random(in: 0x10_0000...0x10_FE00)
    private static func mark(_ code: String) -> String { Unicode.Scalar(firstMark + (UInt32(code) ?? 0)).map { String($0) } ?? "" }

    /// What is written: our colours, and all else that a terminal would obey made harmless.
    private static func ready(_ text: String) -> String {
        let harmless = PlainText.lines(text)
        guard coloured, harmless.unicodeScalars.contains(where: { $0.value >= firstMark && $0.value < firstMark + 100 }) else { return harmless }
        var result = ""
        for scalar in harmless.unicodeScalars {
            if scalar.value >= firstMark, scalar.value < firstMark + 100 {
                result += "\u{1B}[\(scalar.value - firstMark)m"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Writes to a stream. When nobody reads any more, as behind `head`, there is nothing left to do.
    static func write(_ text: String, to stream: Int32 = STDOUT_FILENO) { write(Array(text.utf8), to: stream) }

    static func write(_ bytes: [UInt8], to stream: Int32 = STDOUT_FILENO) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(stream, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            if written < 0, errno == EAGAIN {
                usleep(1000)
                continue
            }
            guard written > 0 else { exit(errno == EPIPE ? 0 : 1) }
            rest = rest.dropFirst(written)
        }
    }

    static func say(_ line: String) { write(ready(line) + "\n") }

    static func warn(_ line: String) { write(ready(line) + "\n", to: STDERR_FILENO) }

    /// Writes painted text without ending the line.
    static func put(_ text: String) { write(ready(text)) }

    /// Text from a container, made harmless for a terminal.
    static func harmless(_ text: String) -> String { PlainText.shown(text) }

    static func print(json value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = isTerminal ? [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes] : [.sortedKeys, .withoutEscapingSlashes]
        write(PlainText.json(String(decoding: try encoder.encode(value), as: UTF8.self)) + "\n")
    }
}

/// A table with aligned columns; without colours and cut lines where it is not read on a terminal.
struct Table {
    struct Cell {
        let text: String
        var colour: Terminal.Colour?
    }

    private let headers: [String]
    private var rows: [[Cell]] = []

    init(_ headers: String...) {
        self.headers = headers
    }

    var isEmpty: Bool { rows.isEmpty }

    mutating func add(_ cells: [Cell]) { rows.append(cells.map { Cell(text: PlainText.shown($0.text), colour: $0.colour) }) }

    func print() {
        var widths = headers.map(\.count)
        for row in rows {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.text.count) }
        }
        let most = Terminal.isTerminal ? Terminal.width : .max
        func line(_ cells: [Cell]) -> String {
            var line = ""
            var used = 0
            let last = cells.lastIndex { !$0.text.isEmpty } ?? 0
            for (index, cell) in cells.prefix(last + 1).enumerated() {
                let isLast = index == last
                var text = isLast ? cell.text : cell.text + String(repeating: " ", count: widths[index] - cell.text.count + 2)
                if used + text.count > most { text = String(text.prefix(max(0, most - used - 1))) + (most > used ? "…" : "") }
                used += text.count
                line += Terminal.paint(text, cell.colour)
            }
            return line
        }
        Terminal.say(line(headers.map { Cell(text: $0, colour: .grey) }))
        for row in rows { Terminal.say(line(row)) }
    }
}

/// Numbers, times, sizes and durations for people.
enum Show {
    /// `1 job`, `2 jobs`.
    static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    static func ago(_ text: String?) -> String {
        guard let seconds = seconds(since: text) else { return "-" }
        return seconds < 0 ? "in " + span(-seconds) : span(seconds) + " ago"
    }

    static func until(_ text: String?) -> String {
        guard let seconds = seconds(since: text) else { return "-" }
        return seconds <= 0 ? "in " + span(-seconds) : seconds < 2 ? "now" : span(seconds) + " ago"
    }

    private static func seconds(since text: String?) -> Int? {
        guard let then = text.flatMap({ Timestamp(rfc3339: $0) }) else { return nil }
        return Int((Double((Clock.now() - then).wholeMilliseconds) / 1000).rounded())
    }

    static func span(_ seconds: Int) -> String {
        switch seconds {
        case ..<120: "\(seconds)s"
        case ..<7200: "\(seconds / 60)m"
        case ..<172_800: "\(seconds / 3600)h"
        default: "\(seconds / 86400)d"
        }
    }

    static func milliseconds(_ value: Int64?) -> String {
        guard let value else { return "-" }
        switch value {
        case ..<1000: return "\(value)ms"
        case ..<60_000: return "\(tenths(value, 1000))s"
        default: return span(Int(value / 1000))
        }
    }

    /// A share with one decimal, rounded.
    private static func tenths(_ value: Int64, _ unit: Int64) -> String {
        let tenths = (Double(value) / Double(unit) * 10).rounded()
        return "\(Int64(tenths) / 10).\(Int64(tenths) % 10)"
    }

    static func bytes(_ value: Int64?) -> String {
        guard let value else { return "-" }
        switch value {
        case ..<1024: return "\(value)B"
        case ..<1_048_576: return "\(value / 1024)K"
        case ..<1_073_741_824: return "\(tenths(value, 1_048_576))M"
        default: return "\(tenths(value, 1_073_741_824))G"
        }
    }

    /// The local date and time, to the second.
    static func local(_ text: String?) -> String {
        guard let instant = text.flatMap({ Timestamp(rfc3339: $0) }) else { return "-" }
        var time = time_t(instant.seconds)
        var parts = tm()
        localtime_r(&time, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        strftime(&buffer, 32, "%Y-%m-%d %H:%M:%S", &parts)
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func colour(outcome: String?) -> Terminal.Colour? {
        switch outcome {
        case "succeeded": .green
        case "failed", "timed-out", "oom-killed", "start-error", "lost": .red
        case "stopped": .yellow
        default: nil
        }
    }

    /// With what is known beyond it: `running (healthy)`, `waiting (db is not healthy yet)`.
    static func state(_ workload: WorkloadInfo) -> String {
        let more = workload.waits_for ?? (workload.state == "running" ? workload.health : nil)
        return workload.state + (more.map { " (\(Terminal.harmless($0)))" } ?? "")
    }

    static func colour(state workload: WorkloadInfo) -> Terminal.Colour? {
        switch workload.health {
        case "unhealthy": .red
        case "starting": .yellow
        default: workload.waits_for != nil ? .yellow : colour(state: workload.state)
        }
    }

    private static func colour(state: String) -> Terminal.Colour? {
        switch state {
        case "running": .green
        case "backoff", "starting", "stopping", "retrying", "paused": .yellow
        case "failed": .red
        case "stopped", "exited": .grey
        default: nil
        }
    }
}
