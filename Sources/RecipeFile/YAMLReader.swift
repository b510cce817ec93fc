internal import CYAML

/// Builds nodes from libyaml's events, and keeps count while it does: an alias costs as much as what it stands for, so a
/// document that would explode is refused before it does.
///
/// Yams is not used because it expands aliases before anybody can count.
struct YAMLReader {
    private let limits: RecipeLimits
    private var anchors: [String: YAMLNode] = [:]
    private var total = 0

    private init(limits: RecipeLimits) {
        self.limits = limits
    }

    /// Reads the one document of a text.
    ///
    /// - Returns: `nil` when the text holds no value.
    ///
    /// - Parameter file: which of a recipe's files it is, for places
    static func read(_ text: String, limits: RecipeLimits, file: Int = 0) throws(Diagnostic) -> YAMLNode? {
        do throws(Diagnostic) { return try document(text, limits, file) } catch {
            throw Diagnostic(error.severity, error.message, at: error.place.moved(to: file))
        }
    }

    private static func document(_ text: String, _ limits: RecipeLimits, _ file: Int) throws(Diagnostic) -> YAMLNode? {
        var bytes = Array(text.utf8)
        // A byte order mark is no part of the text (YAML 1.2, 5.2).
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
        guard bytes.count <= limits.bytes else {
            throw Diagnostic(.error, "the recipe is \(bytes.count) bytes, and at most \(limits.bytes) are read", at: Place(line: 1, column: 1))
        }
        if bytes.contains(0) {
            let line = bytes.prefix { $0 != 0 }.count { $0 == 10 } + 1
            throw Diagnostic(.error, "the recipe holds a NUL byte: it is not text", at: Place(line: line, column: 1))
        }
        var events = try YAMLEvents(bytes, file: file)
        defer { events.close() }
        // The events have a copy of their own.
        bytes = []
        var reader = YAMLReader(limits: limits)
        while true {
            let event = try events.next()
            switch event.kind {
            case .streamStart, .documentStart: continue
            case .streamEnd: return nil
            default: break
            }
            let root = try reader.node(event, &events, depth: 0)
            _ = try events.next()
            let after = try events.next()
            if after.kind != .streamEnd {
                throw Diagnostic(.error, "a recipe is one YAML document; here a second one begins", at: after.place)
            }
            return root
        }
    }

    private mutating func node(_ event: YAMLEvent, _ events: inout YAMLEvents, depth: Int) throws(Diagnostic) -> YAMLNode {
        guard depth < limits.depth else {
            throw Diagnostic(.error, "the recipe is nested more than \(limits.depth) levels deep", at: event.place)
        }
        try spend(1, event.place)
        let node: YAMLNode
        switch event.kind {
        case .alias(let name):
            guard let known = anchors[name] else { throw Diagnostic(.error, "the alias '*\(name)' has no anchor before it", at: event.place) }
            try spend(known.size - 1, event.place)
            return known
        case .scalar(let text, let quoted):
            node = YAMLNode(content: .scalar(text, quoted: quoted), place: event.place, size: 1, mark: event.mark)
        case .sequenceStart:
            var items: [YAMLNode] = []
            var size = 1
            var holdsMarks = false
            while true {
                let next = try events.next()
                if next.kind == .sequenceEnd { break }
                let item = try self.node(next, &events, depth: depth + 1)
                size += item.size
                holdsMarks = holdsMarks || item.isMarked
                items.append(item)
            }
            node = YAMLNode(content: .sequence(items), place: event.place, size: size, mark: event.mark, holdsMarks: holdsMarks)
        case .mappingStart:
            node = try mapping(event, &events, depth: depth)
        case .streamStart, .streamEnd, .documentStart, .documentEnd, .sequenceEnd, .mappingEnd:
            throw Diagnostic(.error, "a value is missing here", at: event.place)
        }
        if let anchor = event.anchor { anchors[anchor] = node }
        return node
    }

    private mutating func mapping(_ event: YAMLEvent, _ events: inout YAMLEvents, depth: Int) throws(Diagnostic) -> YAMLNode {
        var entries: [YAMLNode.Entry] = []
        var known = KeyLines()
        var merged: [YAMLNode.Entry] = []
        var size = 1
        var holdsMarks = false
        while true {
            let keyEvent = try events.next()
            if keyEvent.kind == .mappingEnd { break }
            guard case .scalar(let key, _) = keyEvent.kind else {
                throw Diagnostic(.error, "a key must be a plain text, not an alias, a list or a mapping", at: keyEvent.place)
            }
            try spend(1, keyEvent.place)
            let value = try node(try events.next(), &events, depth: depth + 1)
            size += 1 + value.size
            holdsMarks = holdsMarks || value.isMarked
            if key == "<<" {
                merged += try YAMLReader.mergeEntries(value)
                continue
            }
            if let line = known.line(of: key, in: entries) {
                throw Diagnostic(.error, "the key '\(key)' is given twice; the first is on line \(line)", at: keyEvent.place)
            }
            entries.append(YAMLNode.Entry(key: key, keyPlace: keyEvent.place, value: value))
        }
        // Own keys win over merged ones, and earlier merged ones over later.
        for entry in merged where known.line(of: entry.key, in: entries) == nil { entries.append(entry) }
        return YAMLNode(content: .mapping(entries), place: event.place, size: size, mark: event.mark, holdsMarks: holdsMarks)
    }

    private static func mergeEntries(_ node: YAMLNode) throws(Diagnostic) -> [YAMLNode.Entry] {
        switch node.content {
        case .mapping(let entries): return entries
        case .sequence(let items):
            var all: [YAMLNode.Entry] = []
            for item in items {
                guard case .mapping(let entries) = item.content else {
                    throw Diagnostic(.error, "'<<' merges mappings; this is \(item.kindName)", at: item.place)
                }
                all += entries
            }
            return all
        case .scalar: throw Diagnostic(.error, "'<<' merges a mapping or a list of them; this is \(node.kindName)", at: node.place)
        }
    }

    private mutating func spend(_ count: Int, _ place: Place) throws(Diagnostic) {
        total += count
        guard total <= limits.nodes else {
            throw Diagnostic(.error, "the recipe has more than \(limits.nodes) values, aliases counted with what they bring in", at: place)
        }
    }
}

/// On which lines the keys of a mapping stand. Most mappings are small: a table is made for the others only.
private struct KeyLines {
    private var table: [String: Int] = [:]
    /// How many of the entries are in the table.
    private var listed = 0

    /// - Parameter entries: those so far; the same ones, and more, at each call
    mutating func line(of key: String, in entries: [YAMLNode.Entry]) -> Int? {
        if entries.count <= 16 { return entries.first { $0.key == key }?.keyPlace.line }
        for entry in entries[listed...] { table[entry.key] = entry.keyPlace.line }
        listed = entries.count
        return table[key]
    }
}

/// One event of libyaml, copied out of its memory.
struct YAMLEvent {
    enum Kind: Equatable {
        case streamStart, streamEnd, documentStart, documentEnd, sequenceStart, sequenceEnd, mappingStart, mappingEnd
        case alias(String)
        case scalar(String, quoted: Bool)
    }

    let kind: Kind
    let anchor: String?
    let place: Place
    var mark = YAMLNode.Mark.none
}

/// libyaml's parser over a text in memory.
struct YAMLEvents {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    private let file: Int

    init(_ text: [UInt8], file: Int = 0) throws(Diagnostic) {
        self.file = file
        parser = .allocate(capacity: 1)
        bytes = .allocate(capacity: max(1, text.count))
        _ = bytes.initialize(from: text)
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            bytes.deallocate()
            throw Diagnostic(.error, "there is no memory to read the recipe", at: Place(line: 1, column: 1))
        }
        yaml_parser_set_input_string(parser, bytes.baseAddress, text.count)
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    }

    mutating func close() {
        yaml_parser_delete(parser)
        parser.deallocate()
        bytes.deallocate()
    }

    mutating func next() throws(Diagnostic) -> YAMLEvent {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw problem() }
        defer { yaml_event_delete(&event) }
        let start = event.start_mark
        let end = event.end_mark
        let length = start.line == end.line ? end.column - start.column : 1
        let place = Place(line: start.line + 1, column: start.column + 1, length: length, file: file)
        var mark = YAMLNode.Mark.none
        var anchor: String?
        let kind: YAMLEvent.Kind
        switch event.type {
        case YAML_STREAM_START_EVENT: kind = .streamStart
        case YAML_STREAM_END_EVENT, YAML_NO_EVENT: kind = .streamEnd
        case YAML_DOCUMENT_START_EVENT: kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: kind = .documentEnd
        case YAML_ALIAS_EVENT: kind = .alias(text(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            anchor = text(scalar.anchor)
            if let tag = scalar.tag { mark = YAMLNode.Mark(tag: text(tag)) }
            let value = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            kind = .scalar(value, quoted: scalar.style != YAML_PLAIN_SCALAR_STYLE)
        case YAML_SEQUENCE_START_EVENT:
            anchor = text(event.data.sequence_start.anchor)
            if let tag = event.data.sequence_start.tag { mark = YAMLNode.Mark(tag: text(tag)) }
            kind = .sequenceStart
        case YAML_SEQUENCE_END_EVENT: kind = .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            anchor = text(event.data.mapping_start.anchor)
            if let tag = event.data.mapping_start.tag { mark = YAMLNode.Mark(tag: text(tag)) }
            kind = .mappingStart
        default: kind = .mappingEnd
        }
        return YAMLEvent(kind: kind, anchor: anchor, place: place, mark: mark)
    }

    private func text(_ pointer: UnsafeMutablePointer<UInt8>?) -> String? { pointer.map { String(cString: $0) } }

    /// Where a problem was met: a value that begins with what YAML keeps for itself, as schedules do that nobody quoted.
    private func unquotedStart(line: Int, column: Int) -> (value: String, column: Int)? {
        let lines = bytes.split(separator: 10, omittingEmptySubsequences: false)
        guard lines.indices.contains(line - 1) else { return nil }
        let text = Array(String(decoding: lines[line - 1], as: UTF8.self).unicodeScalars)
        // The scanner stops at '@', '`' and '%', and one further at an alias.
        for at in [column, column - 1] where text.indices.contains(at) && "*@`%".unicodeScalars.contains(text[at]) {
            var rest = String(String.UnicodeScalarView(text[at...]))
            if let comment = rest.firstRange(of: " #") { rest = String(rest[..<comment.lowerBound]) }
            while let last = rest.last, last.isWhitespace { rest.removeLast() }
            return (rest, at + 1)
        }
        return nil
    }

    private func problem() -> Diagnostic {
        let message = parser.pointee.problem.map { String(cString: $0) } ?? "it cannot be read"
        let mark = parser.pointee.problem_mark
        var line = mark.line + 1
        if parser.pointee.error == YAML_READER_ERROR {
            line = bytes.prefix(parser.pointee.problem_offset).count { $0 == 10 } + 1
        }
        if let start = unquotedStart(line: line, column: mark.column) {
            let value = start.value.count > 40 ? String(start.value.prefix(40)) + "..." : start.value
            return Diagnostic(
                .error, "a value that begins with '\(start.value.prefix(1))' must stand in quotes: \"\(value)\"",
                at: Place(line: line, column: start.column, length: start.value.count))
        }
        var sentence = "this is not YAML: \(message)"
        if let context = parser.pointee.context, parser.pointee.context_mark.line > 0 || mark.line > 0 {
            sentence += " (\(String(cString: context)) on line \(parser.pointee.context_mark.line + 1))"
        }
        return Diagnostic(.error, sentence, at: Place(line: line, column: mark.column + 1))
    }
}
