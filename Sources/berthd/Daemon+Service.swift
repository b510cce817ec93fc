import Ledger
import Logging
import Scheduling
import ServiceManager
import Supervision
import WorkloadModel

/// The daemon as a service of systemd: what it says of itself, and what the journal gets. Without systemd nobody hears it.
extension Daemon {
    static func logHandler(_ label: String, _ level: Logger.Level) -> any LogHandler {
        var handler: any LogHandler = Journal.isConnected ? Journal(label: label) : StreamLogHandler.standardError(label: label)
        handler.logLevel = level
        return handler
    }

    /// Says again and again that the daemon lives, and how it is. A supervisor that is stuck says nothing, and the service manager begins
    /// the daemon anew; containers live on.
    func keepAlive(_ supervisor: Supervisor) -> Task<Void, Never> {
        Task {
            // Three times within what the manager waits.
            let pause = (ServiceManager.watchdogInterval ?? .seconds(30)) / 3
            while !Task.isCancelled {
                let status = await Self.status(supervisor)
                guard !Task.isCancelled else { return }
                ServiceManager.alive()
                ServiceManager.status(status)
                do { try await Task.sleep(for: pause) } catch { return }
            }
        }
    }

    static func status(_ supervisor: Supervisor) async -> String {
        let (runs, projects) = (await supervisor.runs.count, await supervisor.projects.count)
        return "\(runs) \(runs == 1 ? "container runs" : "containers run"), of \(projects) \(projects == 1 ? "project" : "projects")"
    }

    /// What becomes of runs and due times stands in the journal beside the daemon's own words, with fields to ask it by.
    func tellJournal(_ supervisor: Supervisor, _ log: Logger) -> Task<Void, Never>? {
        guard Journal.isConnected else { return nil }
        return Task {
            let follower = await supervisor.follow()
            var cursor: FeedCursor?
            while let page = await supervisor.changes(after: cursor, for: follower) {
                cursor = page.cursor
                for change in page.changes {
                    guard let (level, message) = Self.entry(change) else { continue }
                    let fields = await Self.fields(change, supervisor)
                    log.log(level: level, "\(message)", metadata: fields)
                }
            }
            await supervisor.unfollow(follower)
        }
    }

    /// `nil` for what people do not look for in a journal: what `ps` shows, and due times that a run answers.
    static func entry(_ change: Change) -> (Logger.Level, String)? {
        let state = change.state ?? ""
        switch change.subject {
        case .run:
            let outcome = Outcome(rawValue: state)
            return (outcome.map { $0.isFailure || $0 == .lost } ?? false ? .warning : .info, "run \(state)")
        case .due:
            guard state != DueResult.ran.rawValue else { return nil }
            return (.notice, "due \(change.due_at ?? "") \(state)")
        case .recipe: return (.info, "recipe \(state)")
        case .event: return change.event.map { (.info, $0.text) }
        case .workload: return nil
        }
    }

    private static func fields(_ change: Change, _ supervisor: Supervisor) async -> Logger.Metadata {
        var fields: Logger.Metadata = [:]
        fields["run"] = change.run_id.map { "\($0)" }
        guard let text = change.project else { return fields }
        fields["project"] = "\(text)"
        guard let name = change.name else { return fields }
        fields["name"] = "\(name)"
        guard let project = try? ProjectName(text), let workload = try? WorkloadName(name),
            let found = await supervisor.recipe(of: project)?[WorkloadID(project: project, name: workload)]
        else { return fields }
        fields[found.jobPolicy == nil ? "service" : "job"] = "\(name)"
        return fields
    }
}
