/// Where things are on the control socket: HTTP/1.1 and JSON, below `/v1`.
public enum ControlPaths {
    public static let version = "/v1/version"
    public static let status = "/v1/status"
    public static let runs = "/v1/runs"
    public static let due = "/v1/due"
    public static let events = "/v1/events"
    /// The change feed, as server-sent events.
    public static let changes = "/v1/changes"
    public static let next = "/v1/next"
    public static let month = "/v1/month"
    public static let recipes = "/v1/recipes"
    public static let plan = "/v1/plan"
    public static let projects = "/v1/projects"
    public static let workloads = "/v1/workloads"

    /// Where the socket is when nobody says otherwise.
    public static let defaultSocket = "/run/berth/berth.sock"
}

/// What can be done to a workload: `POST /v1/workloads/PROJECT/NAME/ACTION`.
public enum WorkloadAction: String, Codable, Sendable, CaseIterable {
    case run, start, stop, restart, pause, resume
}
