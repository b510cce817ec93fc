internal import Schedules
internal import WorkloadModel

/// Named sets of days, for `except`.
extension RecipeReader {
    enum CalendarKey: String, CaseIterable { case file, dates }

    mutating func readCalendars(_ node: YAMLNode?) {
        guard let node, !node.isNull else { return }
        guard case .mapping(let entries) = node.content else {
            error("'calendars' must be a mapping of names; this is \(node.kindName)", node.place)
            return
        }
        for entry in entries {
            do { _ = try WorkloadName(entry.key) } catch {
                self.error("invalid name of a calendar: \(error.description)", entry.keyPlace)
                continue
            }
            guard entry.key.first?.isLetter == true else {
                error("a calendar's name begins with a letter, so that it cannot be taken for a date", entry.keyPlace)
                continue
            }
            calendars[entry.key] = calendar(entry.value)
        }
    }

    private mutating func calendar(_ node: YAMLNode) -> [ClosedRange<CivilDate>] {
        guard case .mapping = node.content else { return dateList(node) }
        let keys = mapping(node, "a calendar", keys: CalendarKey.self)
        var days = keys[.dates].map { dateList($0) } ?? []
        if let node = keys[.file] { days += calendarFile(node) }
        if keys.isEmpty { error("a calendar is a list of dates, or has 'file' or 'dates'", node.place) }
        return days
    }

    private mutating func dateList(_ node: YAMLNode) -> [ClosedRange<CivilDate>] {
        let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
        return items.compactMap { item in text(item).flatMap { dates($0, item.place) } }
    }

    /// `2026-12-25` or `2026-12-24..2027-01-01`.
    mutating func dates(_ text: String, _ place: Place) -> ClosedRange<CivilDate>? {
        if let range = CivilDate.range(text) { return range }
        error("'\(text)' is not a date that exists, nor a range of them: write 2026-12-25 or 2026-12-24..2027-01-01", place)
        return nil
    }

    /// An iCalendar file, or a plain text with a date or a range a line and `#` before remarks.
    private mutating func calendarFile(_ node: YAMLNode) -> [ClosedRange<CivilDate>] {
        guard let name = text(node) else { return [] }
        let path = hostPath(name)
        let content: String
        do {
            content = try inputs.readFile(path)
            files[path] = content
        } catch {
            self.error("the calendar \(path) cannot be read: \(error)", node.place)
            return []
        }
        guard content.utf8.count <= 4 << 20 else {
            error("the calendar \(path) is larger than 4 MiB", node.place)
            return []
        }
        do {
            let isCalendar = content.drop { $0.isWhitespace || $0 == "\u{FEFF}" }.hasPrefix("BEGIN:VCALENDAR")
            return try isCalendar ? ICalendar.days(content) : DateFile.days(content)
        } catch {
            self.error("\(path):\(error.line): \(error.message)", node.place)
            return []
        }
    }
}

/// What is wrong in a calendar's file, and on which line.
struct CalendarFileError: Error {
    let line: Int
    let message: String
}

enum DateFile {
    /// What stands in a line is shown only when the line begins as one of a calendar does: the file may be any of the host's, and
    /// whoever wrote the recipe need not be one who may read it.
    private static func quoted(_ words: [Substring]) -> String {
        func isDateLike(_ word: Substring) -> Bool {
            word.utf8.count <= 24 && word.utf8.allSatisfy { (0x30...0x39).contains($0) || [0x2D, 0x2E, 0x2F].contains($0) }
        }
        guard let first = words.first, isDateLike(first), CivilDate.range(first) != nil || words.count == 1 else { return "this" }
        return "'\(words.joined(separator: " ").prefix(60))'"
    }

    static func days(_ text: String) throws(CalendarFileError) -> [ClosedRange<CivilDate>] {
        var found: [ClosedRange<CivilDate>] = []
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            guard let word = words.first else { continue }
            guard words.count == 1, let range = CivilDate.range(word) else {
                throw CalendarFileError(line: index + 1, message: "\(quoted(words)) is not a date that exists, nor a range of them")
            }
            found.append(range)
        }
        return found
    }
}
