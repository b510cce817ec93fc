import NIOHTTP1
import Ledger
import ArgumentParser
import ControlAPI
import FoundationEssentials
import Glibc
import Schedules

struct RunJob: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a job now. It uses up no due time.",
        discussion: """
            What follows '--' stands in place of the job's command for this run, as with 'docker compose run'. What was changed is kept \
            in the history; values of variables are not.

              berth run backup --wait
              berth run backup --env LEVEL=full -- /usr/local/bin/backup --verify
              berth run report --for 2026-11-23T09:00:00Z
            """)
    @Argument(help: "The job.") var name: String
    @Argument(parsing: .postTerminator, help: "In place of the job's command.") var command: [String] = []
    @Option(name: .shortAndLong, help: "A variable, as NAME=VALUE, or NAME to take its value from here. May be given more than once.") var env: [String] = []
    @Option(name: .customLong("for"), help: "A past due time (RFC 3339): the run has it as its BERTH_DUE_AT.") var dueAt: String?
    @Flag(name: .shortAndLong, help: "Wait for its end, show what it writes, and exit with its code; 75 when it has to wait for its turn.") var wait = false
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            try await ControlClient.use(connection) { client in
                let upload = try upload()
                let (workload, info) = try await client.act(.run, name, body: upload)
                var id = info.run
                if id == nil, wait { id = try await begun(workload, client) }
                guard let id else {
                    if connection.json {
                        try Terminal.print(json: info)
                    } else {
                        Terminal.say("\(workload.name) waits for its turn: 'berth runs \(workload.name)' will show it")
                    }
                    // How it ends is not known yet: EX_TEMPFAIL of sysexits.h.
                    if wait { throw ExitCode(75) }
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
                let code = RunJob.exitCode(run)
                if code != 0 { throw ExitCode(code) }
            }
        }
    }

    /// The run that was asked for, once what it depends on is as it must be; `nil` when it waits for something else.
    private func begun(_ workload: WorkloadReference, _ client: ControlClient) async throws -> String? {
        let path = "\(ControlPaths.workloads)/\(workload.project)/\(workload.name)"
        let before: InspectInfo = try await client.get(path)
        guard let waitsFor = before.workload.waits_for else { return nil }
        if !connection.json { Terminal.warn(Terminal.paint("waiting: \(Terminal.harmless(waitsFor))", .grey)) }
        let known = Set(before.runs.map(\.run_id))
        let last = before.events.first
        var said = waitsFor
        while true {
            try await Task.sleep(for: .milliseconds(200))
            let now: InspectInfo = try await client.get(path)
            if let run = now.runs.last(where: { $0.trigger == "manual" && !known.contains($0.run_id) }) { return run.run_id }
            if let event = now.events.prefix(while: { $0 != last }).first(where: { $0.kind == "dropped" || $0.kind == "stopped" }) {
                throw CommandFailure(description: "\(workload.name) was not run: \(event.text)")
            }
            guard let waitsFor = now.workload.waits_for else { continue }
            if waitsFor != said, !connection.json { Terminal.warn(Terminal.paint("waiting: \(Terminal.harmless(waitsFor))", .grey)) }
            said = waitsFor
        }
    }

    private func upload() throws -> RunUpload {
        var upload = RunUpload(command: command.isEmpty ? nil : command)
        for entry in env {
            let pair = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let value = pair.count == 2 ? pair[1] : ProcessInfo.processInfo.environment[pair[0]], !pair[0].isEmpty else {
                throw CommandFailure(description: "--env takes NAME=VALUE, or the NAME of a variable that is set here; this is '\(entry)'")
            }
            upload.environment[pair[0]] = value
        }
        if let dueAt {
            guard let time = Timestamp(rfc3339: dueAt) else {
                throw CommandFailure(description: "'\(dueAt)' is not a due time: write it as 2026-11-23T09:00:00Z, as 'berth due --json' shows it")
            }
            upload.dueAt = time.description
        }
        return upload
    }

    private func end(of id: String, _ client: ControlClient) async throws -> RunInfo {
        if !connection.json {
            var lines = LineSplitter()
            try await client.stream(.GET, "\(ControlPaths.runs)/\(id)/log", [("follow", "1")]) { bytes in
                for line in lines.take(bytes) {
                    guard let record = LogRecord(line) else { continue }
                    let stream = record.stream == .stdout ? STDOUT_FILENO : STDERR_FILENO
                    let end: [UInt8] = record.isPartial ? [] : [0x0A]
                    // A character that lies across two records of a long line is shown as two halves, on a terminal only.
                    let text = isatty(stream) == 1 ? Array(Terminal.harmless(String(decoding: record.text, as: UTF8.self)).utf8) : record.text
                    Terminal.write(text + end, to: stream)
                }
            }
        }
        return try await client.get("\(ControlPaths.runs)/\(id)/wait")
    }

    /// The job's own code, and 1 for a 0 that is no success; 128 and the signal as shells say it; 125 when it could not be started, 124 when its time ran
    /// out, as timeout(1) has it.
    static func exitCode(_ run: RunInfo) -> Int32 {
        switch run.outcome {
        case "succeeded": 0
        case "start-error": 125
        case "timed-out": 124
        case "lost": 125
        // Its own code, but for the one that would say that all went well.
        default: run.exit_code.map { $0 == 0 ? 1 : Int32($0) } ?? run.signal.map { Int32(128 + $0) } ?? 125
        }
    }
}
