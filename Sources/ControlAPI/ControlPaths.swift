/// Where things are on the control socket: HTTP/1.1 and JSON, below `/v1`.
public enum ControlPaths {
    /// `GET`: a ``VersionInfo``.
    public static let version = "/v1/version"
    /// `GET`: a ``StatusInfo``.
    public static let status = "/v1/status"
    /// `GET`: ``Ledger/RunInfo`` of the history, newest first. Below it, `/ID` is one run, `/ID/wait` the same once it has ended, and `/ID/log` its log.
    public static let runs = "/v1/runs"
    /// `GET`: ``Ledger/DueInfo`` of the history, latest due time first.
    public static let due = "/v1/due"
    /// `GET`: ``Ledger/EventInfo`` of the history, newest first.
    public static let events = "/v1/events"
    /// `GET`: ``Ledger/AuditInfo``, who asked for which change, newest first.
    public static let audit = "/v1/audit"
    /// `GET`: what these endpoints are, in OpenAPI 3.1.
    public static let openAPI = "/v1/openapi.json"
    /// `GET`: numbers for Prometheus, in its text format.
    public static let metrics = "/metrics"
    /// The change feed, as server-sent events.
    public static let changes = "/v1/changes"
    /// `GET`: the next due times, a list of ``NextInfo``, ascending by time.
    public static let next = "/v1/next"
    /// `GET` with `month=YYYY-MM`: a ``MonthInfo`` for each job that has a due time in the month.
    public static let month = "/v1/month"
    /// `POST` of a ``RecipeUpload`` applies it; the answer is one ``ProgressLine`` a line.
    public static let recipes = "/v1/recipes"
    /// `POST` of a ``RecipeUpload`` compares it with the recipe in force and changes nothing; the answer is a ``PlanInfo``.
    public static let plan = "/v1/plan"
    /// `DELETE` of `/PROJECT` below it takes a project down; the answer is an ``ActionInfo``, sent once its runs have ended.
    public static let projects = "/v1/projects"
    /// `GET` with `name=NAME` or `name=PROJECT/NAME`: a ``WorkloadReference``. `GET` of `/PROJECT/NAME` below it: an ``InspectInfo``.
    public static let workloads = "/v1/workloads"
    /// `GET`: a list of ``NetworkInfo``, ascending by name. `POST` of a ``NetworkUpload`` makes one. Below it, `DELETE` of `/NAME` removes one, and
    /// `POST` of `/prune` those that nobody uses: the answer is a ``RemovedInfo``.
    public static let networks = "/v1/networks"
    /// `GET`: a list of ``VolumeInfo``, ascending by name. Below it, `DELETE` of `/NAME` removes one that no service or job has, and `POST` of `/prune`
    /// those that nobody has (with `all=1` the ones with names as well): the answer is a ``RemovedInfo``.
    /// `GET` of `/NAME/tar` is what the volume holds, as a tar archive; `PUT` replaces it by one, whole or not at all: the answer is a ``VolumeInfo``.
    public static let volumes = "/v1/volumes"
    /// `GET`: a list of ``ImageInfo``, ascending by name. Below it, `POST` of a ``RecipeUpload`` to `/pull` brings a recipe's images in; the answer is
    /// one ``ProgressLine`` a line. `DELETE` of `/NAME` removes one that nothing needs, and `POST` of `/prune` all of those: the answer is a
    /// ``RemovedInfo``.
    public static let images = "/v1/images"
    /// `GET`: a ``DiskInfo``.
    public static let disk = "/v1/disk"
    /// `POST` of a ``BackupUpload``: a tar archive of the history, recipe files, secrets and volumes (``BackupNames``), which `berthd --restore` takes.
    public static let backup = "/v1/backup"
    /// `POST` of a ``SignInUpload`` signs in at a registry; the answer is an ``ActionInfo``.
    public static let registries = "/v1/registries"

    /// Where the socket is when nobody says otherwise.
    public static let defaultSocket = "/run/berth/berth.sock"
}

/// What can be done to a workload: `POST /v1/workloads/PROJECT/NAME/ACTION`.
public enum WorkloadAction: String, Codable, Sendable, CaseIterable {
    /// `run`, `pause` and `resume` are for jobs, `start` and `restart` for services, `stop` for both.
    case run, start, stop, restart, pause, resume
}
