import ArgumentParser
import FoundationEssentials
import Schedules
import HostOS

struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "explain", abstract: "Say what a schedule means, and when it is due next.")
    @Argument(help: "The schedule, as in a recipe: '30 2 * * *', 'every 15m', 'calendar Mon..Fri 09:00'.") var schedule: String
    @Option(help: "The zone; by default the host's.") var zone: String?
    @Option(name: .customShort("n"), help: "How many due times.") var count = 5
    @Option(help: "From this time on (RFC 3339, or a date); by default now.") var from: String?
    @Flag(name: .long, help: "Print JSON.") var json = false

    struct Answer: Encodable {
        let meaning: String
        let due: [String]
    }

    func run() async throws {
        try await report(json: json) {
            guard count >= 1 else { throw CommandFailure(description: "-n takes a number from 1 on") }
            let zones = SystemZones()
            let place: Zone
            do { place = try zone.map { try zones.zone($0) } ?? zones.local() } catch { throw CommandFailure(description: "\(error)") }
            do {
                let rule = try ScheduleRule(schedule, seed: "example/job")
                let entry = Schedule([ScheduleEntry(text: schedule, rule: rule, zone: place, seed: "example/job")])
                // A due time exactly at the given instant is one of those that are asked for.
                var after = try Clock.since(from).flatMap { Timestamp(rfc3339: $0) }.map { $0 - .milliseconds(1) } ?? Clock.now()
                var due: [Timestamp] = []
                for _ in 0..<count {
                    guard let next = entry.next(after: after) else { break }
                    due.append(next.at)
                    after = next.at
                }
                if json {
                    try Terminal.print(json: Answer(meaning: Sentence.of(rule), due: due.map(\.description)))
                } else {
                    Terminal.say(Sentence.of(rule))
                    for time in due { Terminal.say("  \(time.description(in: place))") }
                }
            } catch let error as ScheduleError {
                let caret = String(repeating: " ", count: error.offset) + "^" + String(repeating: "~", count: error.length - 1)
                throw CommandFailure(description: error.message, diagnostics: "  \(schedule)\n  \(caret)")
            }
        }
    }
}
