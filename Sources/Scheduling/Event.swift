public import Schedules
public import WorkloadModel

/// What the scheduler is told.
public enum Event: Hashable, Sendable {
    /// Time has passed.
    case tick
    /// A run's command was released. `image` is what it runs from, with its digest; `health` how a service's run is asked whether it works.
    case launched(RunID, at: Timestamp, image: String?, health: HealthCheck? = nil)
    /// A probe of a run is over.
    case probed(RunID, Probe)
    /// A launch was decided a while ago and not begun: its row could not be written before.
    case delayed(RunID)
    /// A run could not be started; nothing of it ran.
    case launchFailed(RunID, String)
    /// A run has ended.
    case exited(RunID, ExitStatus)
    /// The history takes no writes. Until ``historyWorks`` no start is decided, and due times are not handled.
    case historyFails
    /// The history takes writes again: due times that passed meanwhile are accounted for.
    case historyWorks
    /// The runs that are frozen because they fill the disk: all of them.
    case frozen(Set<RunID>)
    /// A recipe is to be true from now on. `explicit`: a person asked, so services that were stopped are started.
    case apply(Recipe, explicit: Bool, actor: String)
    /// The recipe in force, read again because the time zones of the host have changed. A recipe that is in force no longer
    /// changes nothing.
    case zonesChanged(Recipe)
    /// A project is taken down: its recipe is no longer in force, and its runs are stopped. Refused when it has no recipe that can be read.
    case down(ProjectName, actor: String)
    /// A run by hand. `recorded`: the history has a row of the due time that it is to run for, whatever the schedule says now.
    case run(WorkloadID, RunChanges = RunChanges(), recorded: Bool = false, actor: String)
    /// A service is to be on, whatever it did before. Refused for a job.
    case start(WorkloadID, actor: String)
    /// A service is to be off until somebody starts it; of a job, its runs and waiting starts end.
    case stop(WorkloadID, actor: String)
    /// A service's present run is replaced by a new one. Refused for a job.
    case restart(WorkloadID, actor: String)
    /// A job's due times are skipped until it is resumed. Refused for a service, and for a job that is paused already.
    case pause(WorkloadID, actor: String)
    /// A paused job runs at its due times again. Refused for a service, and for a job that is not paused.
    case resume(WorkloadID, actor: String)
    /// The daemon leaves and takes its containers along: all runs are stopped, but services stay wanted.
    case stopAll
}

/// What the clocks show.
public struct Moment: Hashable, Sendable {
    /// Civil time; it can be set.
    public let wall: Timestamp
    /// Time since some start that only runs forward, and not while the host sleeps.
    public let steady: Duration

    /// All of its fields.
    public init(wall: Timestamp, steady: Duration) {
        self.wall = wall
        self.steady = steady
    }
}
