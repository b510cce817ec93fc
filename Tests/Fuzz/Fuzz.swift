// libFuzzer's way into every reader of text and bytes that is not ours. Packaging/fuzz.sh compiles it, in one module with the
// readers themselves, under sanitizers. The first byte of an input says which reader it is for.

internal import Foundation

private let zone = Zone.utc

private func recipe(_ text: String) {
    let inputs = RecipeInputs(
        variables: ["A": "1", "EMPTY": ""],
        readFile: { _ in text }, zone: { name in Zone.unavailable(name: name) }, hostZone: zone, limits: RecipeLimits(bytes: 1 << 16, nodes: 10_000))
    let source = RecipeSource(file: "f.yaml", baseDirectory: "/srv/f", text: text)
    let result = RecipeReader.read(source, inputs)
    let rendered = Diagnostic.rendered(result.diagnostics, file: source.file, text: text)
    // What is shown never obeys.
    precondition(!rendered.unicodeScalars.contains { $0.value < 0x20 && $0.value != 0x0A && $0.value != 0x09 || (0x7F..<0xA0).contains($0.value) })
    if let recipe = result.recipe {
        // What was accepted reads the same again from what its reading used.
        let again = RecipeReader.read(result.captured, RecipeInputs(of: result.captured, zone: { Zone.unavailable(name: $0) }, hostZone: zone))
        precondition(again.recipe == recipe, "it does not read the same again")
    }
}

private func importInputs() -> ImportInputs {
    ImportInputs(project: "p", home: { $0 == "root" ? "/root" : nil }, isDirectory: { _ in true }, hasZone: { $0 == "UTC" }, writableDirectories: ["/root"])
}

/// What an import makes is read as a recipe.
private func check(_ result: ImportResult) {
    guard result.jobs > 0 else { return }
    let inputs = RecipeInputs(variables: [:], readFile: { _ in "" }, zone: { _ in zone }, hostZone: zone)
    _ = RecipeReader.read(RecipeSource(file: "r", baseDirectory: "/r", text: result.recipe), inputs)
}

private func schedule(_ text: String) {
    guard let rule = try? ScheduleRule(text, seed: "s") else { return }
    let entry = ScheduleEntry(text: text, rule: rule, zone: zone, seed: "s", clockChanges: .cron, except: [])
    let start = Timestamp(milliseconds: 1_790_000_000_000)
    if let next = Schedule([entry]).next(after: start) { precondition(next.at > start) }
    _ = Sentence.of(rule)
}

private func timeZone(_ bytes: [UInt8]) {
    guard let zone = try? Zone(name: "Fuzz/Zone", tzif: bytes) else { return }
    for milliseconds in [-4_000_000_000_000, 0, 1_790_000_000_000, 9_000_000_000_000] as [Int64] {
        _ = Timestamp(milliseconds: milliseconds).description(in: zone)
    }
}

/// Gives one input to the reader that its first byte names; other inputs are passed over.
///
/// - Returns: 0, as libFuzzer asks for
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> Int32 {
    guard size > 0 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: data + 1, count: size - 1))
    let text = String(decoding: bytes, as: UTF8.self)
    switch data[0] {
    case UInt8(ascii: "r"): recipe(text)
    case UInt8(ascii: "t"):
        recipe("name: t\njobs: { j: { rootfs: host, command: [a], tmpfs: [\"\(text.filter { $0 != "\"" && $0 != "\\" && !$0.isNewline })\"] } }\n")
    case UInt8(ascii: "d"): _ = EnvironmentFile.parse(text)
    case UInt8(ascii: "c"): check(CrontabImport.recipe(of: [.init(file: "f", text: text, kind: .user("root"))], source: "f", importInputs()))
    case UInt8(ascii: "y"): check(CrontabImport.recipe(of: [.init(file: "f", text: text, kind: .system)], source: "f", importInputs()))
    case UInt8(ascii: "u"):
        let halves = text.split(separator: "\u{0}", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let timer = UnitFile(name: "f.timer", files: [("f.timer", halves[0])])
        let service = UnitFile(name: "f.service", files: [("f.service", halves.count > 1 ? halves[1] : "[Service]\nExecStart=/bin/true\n")])
        check(TimerImport.recipe(of: [.init(timer: timer, service: service)], source: "f", importInputs()))
    case UInt8(ascii: "i"):
        _ = try? ICalendar.days(text)
        _ = try? DateFile.days(text)
    case UInt8(ascii: "s"): schedule(text)
    case UInt8(ascii: "z"): timeZone(bytes)
    case UInt8(ascii: "o"): _ = try? ImageConfiguration(json: bytes)
    case UInt8(ascii: "a"):
        _ = try? JSONDecoder().decode(RecipeUpload.self, from: Data(bytes))
        _ = try? JSONDecoder().decode(RunUpload.self, from: Data(bytes))
        _ = Timestamp(rfc3339: text)
    case UInt8(ascii: "x"): _ = RunDirectory.exitStatus(text)
    case UInt8(ascii: "m"): _ = MountTable.parse(text)
    case UInt8(ascii: "p"):
        let shown = PlainText.shown(text)
        precondition(PlainText.shown(shown) == shown)
    default: break
    }
    return 0
}
