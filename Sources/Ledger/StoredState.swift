public import Schedules
public import WorkloadModel

/// All that is read back at a start.
public struct StoredState: Sendable {
    /// The recipes in force that could be read.
    public var recipes: [Recipe]
    /// One record a copy of a service.
    public var services: [ServiceRecord]
    /// One record a job.
    public var jobs: [JobRecord]
    /// The runs that have not ended.
    public var openRuns: [Run]
    /// Projects whose recipe is there and cannot be read now: nothing of theirs is stopped, started or forgotten.
    public var unreadable: Set<ProjectName> = []
    /// The time that the history knows to have passed: of its latest run or event. Where the clock has gone back since, what was written before
    /// counts no more. `nil` when there is nothing yet.
    public var lastKnownAt: Timestamp?
    /// The boot in which the daemon last ran, `nil` at the first start.
    public var bootID: String?
    /// When the history was copied, which was then put in place of one that was lost: what happened from then to now is not known. `nil` of any other.
    public var copiedAt: Timestamp?
    /// Of a copy: runs that it does not know, as they are written down beside what is left of them.
    public var foundRuns: [Run] = []
    /// The era that new jobs begin in (``JobRecord/era``): above those of all jobs that were removed, whose due times may come again.
    public var era = 0

    /// The fields that are given; what is not has nothing in it, and `era` is 0.
    public init(
        recipes: [Recipe] = [], services: [ServiceRecord] = [], jobs: [JobRecord] = [], openRuns: [Run] = [], bootID: String? = nil
    ) {
        self.recipes = recipes
        self.services = services
        self.jobs = jobs
        self.openRuns = openRuns
        self.bootID = bootID
    }
}
