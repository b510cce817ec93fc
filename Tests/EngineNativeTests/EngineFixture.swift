import EngineAPI
import Foundation
import Glibc
import HostOS
import Logging
import Schedules
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// An engine of its own, with its own control groups, gone afterwards.
final class EngineFixture: Sendable {
    let scratch = Scratch("engine")
    let engine: NativeEngine
    let groupName: String
    let counter: Counter

    actor Counter {
        var value: UInt32 = 0
        var ends: [RunID: WorkloadModel.ExitStatus] = [:]
        func next() -> UInt32 {
            value += 1
            return value
        }
        func end(_ id: RunID, _ status: WorkloadModel.ExitStatus) { ends[id] = status }
        func status(_ id: RunID) -> WorkloadModel.ExitStatus? { ends[id] }
    }

    private let listener: Task<Void, Never>

    init(shim: String = Requirement.shim, paths: EnginePaths? = nil, diskFloor: Int64? = nil) throws {
        let counter = Counter()
        self.counter = counter
        groupName = "berth-test-\(getpid())-\(UInt32.random(in: 0...999_999))"
        let paths = paths ?? EnginePaths(state: "\(scratch.path)/state", runtime: "\(scratch.path)/run", shim: shim)
        let engine = try NativeEngine(
            paths: paths, cgroupName: groupName, diskFloor: diskFloor, imageSeconds: 15, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        self.engine = engine
        listener = Task { for await exit in engine.exits { await counter.end(exit.run, exit.status) } }
    }

    func finish() {
        listener.cancel()
        // Of a test that failed in the middle, containers are left.
        for run in engine.cgroups.leftovers() where !engine.cgroups.remove(run) { Issue.record("the control group of run \(run) cannot be removed") }
        engine.removeGroups()
    }

    func request(_ container: ContainerSpec, timeout: Duration? = nil) async -> RunRequest {
        let now = WallClock.now()
        return Make.request("it", await counter.next(), at: now, container: container, timeout: timeout)
    }

    /// Runs a container to its end.
    func run(_ container: ContainerSpec, timeout: Duration? = nil) async throws -> (status: WorkloadModel.ExitStatus, output: String, run: RunRequest) {
        let request = await request(container, timeout: timeout)
        _ = try await engine.launch(request)
        let status = try await end(of: request.id)
        let output = await text(request)
        await engine.settle(request.id)
        return (status, output, request)
    }

    func end(of id: RunID) async throws -> WorkloadModel.ExitStatus {
        for _ in 0..<6000 {
            if let status = await counter.status(id) { return status }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw Missing.end
    }

    enum Missing: Error { case end }

    /// The log's lines without their frame.
    func text(_ request: RunRequest) async -> String {
        let log = await engine.log(of: request.id, workload: request.workload)
        return log.files.map { (try? String(contentsOfFile: $0, encoding: .utf8)) ?? "" }.joined().split(separator: "\n").map { line in
            line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).last.map(String.init) ?? ""
        }.joined(separator: "\n")
    }

    static func shell(_ script: String, _ change: (inout ContainerSpec) -> Void = { _ in }) -> ContainerSpec {
        var container = ContainerSpec(root: .host)
        container.command = ["sh", "-c", script]
        change(&container)
        return container
    }

    /// Runs a script on the host.
    ///
    /// - Returns: its exit code
    static func shellOnHost(_ script: String) -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return -1 }
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// A fixture whose state is on a new ext4 of its own.
    ///
    /// - Parameters:
    ///   - size: of the disk, as truncate(1) takes it
    ///   - features: for mkfs.ext4
    ///   - options: for mount
    static func withDisk(
        size: String, features: String = "-m 0", options: String = "", _ body: (_ fixture: EngineFixture, _ disk: String) async throws -> Void
    ) async throws {
        let scratch = Scratch("disk")
        let disk = "\(scratch.path)/mnt"
        let image = "\(scratch.path)/image"
        try #require(
            shellOnHost("truncate -s \(size) \(image) && mkfs.ext4 -q \(features) \(image) && mkdir \(disk) && mount -o loop\(options) \(image) \(disk)") == 0)
        defer { _ = shellOnHost("umount \(disk) || umount -l \(disk)") }
        try await with(paths: EnginePaths(state: "\(disk)/state", runtime: "\(scratch.path)/run", shim: Requirement.shim)) { try await body($0, disk) }
    }

    /// A fixture for the time of a body; afterwards nothing of it may be left.
    static func with(shim: String = Requirement.shim, paths: EnginePaths? = nil, _ body: (EngineFixture) async throws -> Void) async throws {
        let fixture = try EngineFixture(shim: shim, paths: paths)
        do { try await body(fixture) } catch {
            fixture.finish()
            throw error
        }
        #expect(fixture.engine.cgroups.leftovers().isEmpty, "control groups are left")
        #expect(HostFile.names(in: "\(fixture.scratch.path)/state/scratch").isEmpty, "writable layers are left")
        #expect(HostFile.names(in: "\(fixture.scratch.path)/run/runs").isEmpty, "run directories are left")
        #expect(!(try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)).contains(fixture.scratch.path), "mounts are left")
        fixture.finish()
    }
}
