import ArgumentParser
import ControlAPI
import Foundation

struct RunJob: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "run", abstract: "Run a job now. It uses up no due time.")
    @Argument(help: "The job.") var name: String
    @Flag(name: .shortAndLong, help: "Wait for its end, show what it writes, and exit with its code.") var wait = false
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            try await ControlClient.use(connection) { client in
                let (workload, info) = try await client.act(.run, name)
                guard let id = info.run else {
                    if connection.json { try Terminal.print(json: info) } else { Terminal.say("\(workload.name) waits for the run that is going") }
                    return
                }
                guard wait else {
                    if connection.json { try Terminal.print(json: info) } else { Terminal.say("\(workload.name) runs: \(id)") }
                    return
                }
                let run = try await end(of: id, client)
                if connection.json {
                    try Terminal.print(json: run)
                } else if run.outcome != "succeeded" {
                    Terminal.warn(Terminal.paint("\(workload.name): \(run.outcome ?? "?")\(run.reason.map { ": \(Terminal.harmless($0))" } ?? "")", .red))
                }
                throw ExitCode(RunJob.exitCode(run))
            }
        }
    }

    private func end(of id: String, _ client: ControlClient) async throws -> RunInfo {
        if !connection.json {
            var lines = LineSplitter()
            try await client.stream(.GET, "\(ControlPaths.runs)/\(id)/log", [("follow", "1")]) { bytes in
                for line in lines.take(bytes) {
                    let parts = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
                    guard parts.count == 4 else { continue }
                    let text = (Terminal.isTerminal ? Terminal.harmless(parts[3]) : parts[3]) + (parts[2] == "P" ? "" : "\n")
                    Terminal.write(text, to: parts[1] == "stdout" ? STDOUT_FILENO : STDERR_FILENO)
                }
            }
        }
        return try await client.get("\(ControlPaths.runs)/\(id)/wait")
    }

    /// The job's own code; 128 and the signal as shells say it; 125 when it could not be started, 124 when its time ran
    /// out, as timeout(1) has it.
    static func exitCode(_ run: RunInfo) -> Int32 {
        switch run.outcome {
        case "succeeded": 0
        case "start-error": 125
        case "timed-out": 124
        case "lost": 125
        default: run.exit_code.map { Int32($0) } ?? run.signal.map { Int32(128 + $0) } ?? 125
        }
    }
}
