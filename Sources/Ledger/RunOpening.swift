internal import Schedules
public import WorkloadModel

/// A run as the history opened it.
public struct RunOpening: Hashable, Sendable {
    public let request: RunRequest
    /// The boot of the host in which it was decided.
    public let bootID: String
    /// ``ContainerSpec/fingerprint`` of what was started.
    public let fingerprint: String
    /// ``ServiceRecord/generation`` that it was started for; 0 for a job.
    public let generation: Int

    package init(request: RunRequest, bootID: String, fingerprint: String, generation: Int = 0) {
        self.request = request
        self.bootID = bootID
        self.fingerprint = fingerprint
        self.generation = generation
    }
}
