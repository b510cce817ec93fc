import ArgumentParser
import ControlAPI
import FoundationEssentials
import Scheduling
import Schedules
import HostOS
import WorkloadModel

struct Next: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "next", abstract: "Show when jobs are due, with what clock changes do to them.")
    @Argument(help: "Only this job.") var job: String?
    @Option(name: .customShort("n"), help: "How many due times in all; by default the next three of each job, or twenty of one.") var count: Int?
    @Option(help: "From this time on (RFC 3339, or a date); by default now.") var from: String?
    @Option(help: "Show times in this zone.") var zone: String?
    @Flag(help: "Show a month at a glance: how often something is due each day.") var month = false
    @Option(name: .customLong("in"), help: "Which month, as 2026-12; by default this one. Goes with --month.") var which: String?
    @Option(name: [.short, .long], help: "Read this recipe and ask no daemon.", completion: .file(extensions: ["yaml", "yml"])) var file: String?
    @Option(help: "The most bytes that a recipe may have.") var maxRecipeBytes = 1 << 20
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            if month || which != nil {
                try await showMonth()
                return
            }
            if let count, count < 1 { throw CommandFailure(description: "-n takes a number from 1 on") }
            let most = count ?? (job == nil ? Next.usual : 20)
            let each = count == nil && job == nil ? 3 : nil
            let start = try Clock.since(from)
            var found: [NextInfo]
            let name = try NameFilter.parts(job).name
            if let file {
                let recipe = try read(file)
                let time = start.flatMap { Timestamp(rfc3339: $0) } ?? Clock.now()
                // A due time exactly at the given instant is one of those that are asked for.
                found = Preview.next([recipe], name: name, from: time - .milliseconds(start == nil ? 0 : 1), count: most, each: each).map(NextInfo.init)
            } else {
                found = try await ControlClient.use(connection) {
                    try await $0.get(
                        ControlPaths.next,
                        NameFilter.query(job) + [("from", start), ("count", String(most)), ("each", each.map(String.init))])
                }
            }
            if let zone {
                let other: Zone
                do { other = try SystemZones().zone(zone) } catch { throw CommandFailure(description: "\(error)") }
                for index in found.indices {
                    guard let at = Timestamp(rfc3339: found[index].due_at) else { continue }
                    found[index].local = at.description(in: other)
                    found[index].zone = other.name
                }
            }
            try show(found)
        }
    }

    private func read(_ file: String) throws -> Recipe {
        let (_, recipe) = try RecipeFiles.read(file, maxRecipeBytes: maxRecipeBytes)
        if let job {
            let name = job.split(separator: "/").last.map(String.init) ?? job
            if !recipe.workloads.contains(where: { $0.jobPolicy != nil && $0.id.name.description == name }) {
                throw CommandFailure(description: "there is no job '\(job)' in \(file)")
            }
        }
        return recipe
    }

    private func showMonth() async throws {
        let zones = SystemZones()
        let today = zones.local().civilTime(at: Clock.now()).date
        guard let month = which.map({ Month($0) }) ?? Month(of: today) else {
            throw CommandFailure(description: "'\(which ?? "")' is not a month: write it as 2026-12")
        }
        if zone != nil || from != nil { throw CommandFailure(description: "--month counts in each job's own zone: --zone and --from do not go with it") }
        let name = try NameFilter.parts(job).name
        let found: [MonthInfo]
        if let file {
            found = MonthPreview.of([try read(file)], name: name, month).map(MonthInfo.init)
        } else {
            found = try await ControlClient.use(connection) {
                try await $0.get(
                    ControlPaths.month, NameFilter.query(job) + [("month", month.description)])
            }
        }
        if connection.json {
            for info in found { try Terminal.print(json: info) }
        } else {
            MonthView(month: month, today: today, jobs: found, zones: zones).print()
        }
    }

    private func show(_ found: [NextInfo]) throws {
        if connection.json {
            for info in found { try Terminal.print(json: info) }
            return
        }
        if found.isEmpty {
            Terminal.say("nothing is due\(job == nil ? "" : ": a job without a schedule runs by hand, or after the jobs that 'berth inspect' names")")
            return
        }
        var table = Table("DUE", "ZONE", "IN", "JOB", "NOTE")
        for info in found {
            table.add([
                .init(text: info.local), .init(text: info.zone, colour: .grey), .init(text: Show.until(info.due_at)), .init(text: info.job, colour: .bold),
                .init(text: info.note ?? "", colour: .yellow),
            ])
        }
        table.print()
        if count == nil, job == nil, found.count == Next.usual { Terminal.warn(Terminal.paint("... the first \(Next.usual); -n shows more", .grey)) }
    }

    /// As many are shown when nobody says how many.
    private static let usual = 60
}
