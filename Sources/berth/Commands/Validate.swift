import ArgumentParser
import ControlAPI
import WorkloadModel

struct Validate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "validate", abstract: "Read a recipe and tell everything that is wrong with it.")
    @OptionGroup var recipe: RecipeArguments
    @Flag(name: .long, help: "Print JSON.") var json = false

    struct Answer: Encodable {
        let project: String
        let services: Int
        let jobs: Int
    }

    func run() async throws {
        try await report(json: json) {
            let (_, read) = try recipe.read()
            let jobs = read.workloads.count { $0.jobPolicy != nil }
            let answer = Answer(project: read.project.description, services: read.workloads.count - jobs, jobs: jobs)
            if json {
                try Terminal.print(json: answer)
            } else {
                let counts = "\(Show.count(answer.services, "service")), \(Show.count(answer.jobs, "job"))"
                Terminal.say("\(try recipe.path()): good: project \(answer.project), \(counts)")
            }
        }
    }
}
