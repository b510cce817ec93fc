import ArgumentParser
import ControlAPI
import Scheduling
import Schedules
import WorkloadModel

struct Plan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Show what a recipe would change, and when its jobs run next, before and after.")
    @OptionGroup var recipe: RecipeArguments
    @OptionGroup var pulls: PullOptions
    @OptionGroup var connection: ConnectionOptions
    @Flag(help: "Ask no daemon: compare with nothing.") var offline = false

    func run() async throws {
        try await report(connection) {
            let (source, read) = try recipe.read()
            let plan: PlanInfo
            if offline {
                plan = PlanInfo(Scheduler(bootID: "", seed: 0).plan(read, at: Moment(wall: Clock.now(), steady: .zero)), project: read.project)
            } else {
                plan = try await ControlClient.use(connection) { try await $0.post(ControlPaths.plan, RecipeUpload(source: source, pull: pulls.pull)) }
            }
            if connection.json { try Terminal.print(json: plan) } else { PlanView.print(plan, done: false) }
        }
    }
}

enum PlanView {
    static func print(_ plan: PlanInfo, done: Bool) {
        var table = Table("", "NAME", "KIND", done ? "DID" : "WOULD", "BECAUSE OF", "NEXT DUE")
        for step in plan.steps {
            let (sign, colour): (String, Terminal.Colour?) =
                switch step.action {
                case "start", "add": ("+", .green)
                case "stop", "remove": ("-", .red)
                case "restart", "change": ("~", .yellow)
                default: (" ", .grey)
                }
            let before = Show.local(step.nextBefore)
            let after = Show.local(step.nextAfter)
            let next = step.kind == "service" ? "" : before == after || step.nextBefore == nil ? after : "\(before) -> \(after)"
            table.add([
                .init(text: sign, colour: colour), .init(text: step.name, colour: colour), .init(text: step.kind), .init(text: step.action, colour: colour),
                .init(text: step.reasons.joined(separator: ", ")), .init(text: next),
            ])
        }
        table.print()
        let changes = plan.steps.filter { $0.action != "keep" }.count
        let words = changes == 0 ? "nothing to change" : "\(changes) of \(plan.steps.count) \(done ? "changed" : "would change")"
        Terminal.say(Terminal.paint("project \(plan.project): \(words)", .bold))
        for note in plan.notes ?? [] { Terminal.warn(Terminal.paint("note: \(note)", .yellow)) }
    }
}
