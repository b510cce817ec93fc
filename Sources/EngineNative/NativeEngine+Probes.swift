internal import CLinux
@preconcurrency internal import Dispatch
internal import EngineAPI
internal import Foundation
internal import Glibc
internal import HostOS
internal import Schedules
internal import Synchronization
public import WorkloadModel

/// Probes: commands inside a container that runs, which say whether it works.
extension NativeEngine {
    /// The health check that the container's runs would have now; `nil` when they would have none.
    public func healthCheck(of container: ContainerSpec) -> HealthCheck? {
        HealthCheckSpec.resolve(container.healthCheck, image: container.image.flatMap { try? images.image($0).configuration.healthCheck })
    }

    /// A job's container is not asked.
    func healthCheck(of run: RunRequest, _ image: Image?) -> HealthCheck? {
        run.kind == .service ? HealthCheckSpec.resolve(run.container.healthCheck, image: image?.configuration.healthCheck) : nil
    }

    /// Runs a health check's command in the container of a run.
    public func probe(_ run: RunRequest, _ check: HealthCheck) async -> Probe {
        let (at, start) = (WallClock.now(), ContinuousClock.now)
        func probe(_ result: Probe.Result, _ output: String = "") -> Probe { Probe(at: at, duration: .now - start, result: result, output: output) }
        do throws(EngineError) {
            var image: Image?
            if var source = run.container.image {
                // The one that it was launched from, whatever its name is of now.
                if let digest = RunDirectory(path: paths.run(run.id)).note?.image, !digest.isEmpty { source.digest = digest }
                image = try images.image(source)
            }
            let capabilities = try capabilities(of: run.container)
            let filter = try await filter(of: run.container, capabilities)
            let sandbox = Sandbox(filter: filter, capabilities: capabilities, network: .none)
            let (control, output) = try await begin(run, check, image, sandbox)
            let end = await Command(control: control, output: output).end(within: check.timeout + NativeEngine.slack)
            switch end.kind {
            case UInt8(ascii: "X"): return probe(NativeEngine.result(end.words), end.output)
            case UInt8(ascii: "T"), nil: return probe(.timedOut, end.output)
            default: return probe(.failed(end.words), end.output)
            }
        } catch { return probe(.failed(error.description)) }
    }

    /// How much later than it should a shim may say that a command took too long.
    private static let slack = Duration.seconds(10)

    /// `c0` is exit code 0, `s9` signal 9.
    private static func result(_ words: String) -> Probe.Result {
        guard let number = Int32(words.dropFirst()) else { return .failed("its end is not known") }
        return words.hasPrefix("c") ? .exited(number) : .failed("ended by signal \(number)")
    }

    /// - Returns: our ends of the shim's control socket and of the command's output
    private func begin(_ run: RunRequest, _ check: HealthCheck, _ image: Image?, _ sandbox: Sandbox) async throws(EngineError) -> (Int32, Int32) {
        let result: Result<(Int32, Int32), EngineError> = await withCheckedContinuation { continuation in
            probes.addOperation { [self] in
                continuation.resume(
                    returning: Result { () throws(EngineError) in
                        try start(run, check.command, timeout: check.timeout, image, sandbox)
                    })
            }
        }
        return try result.get()
    }

    /// Blocks for about a millisecond.
    private func start(
        _ run: RunRequest, _ command: [String], timeout: Duration, _ image: Image?, _ sandbox: Sandbox
    ) throws(EngineError) -> (Int32, Int32) {
        guard let facts = RunDirectory(path: paths.run(run.id)).facts else { throw .sandbox("the container is not there") }
        let process = try NativeEngine.firstProcess(facts)
        var (reading, writing): (Int32, Int32) = (-1, -1)
        guard clinux_pipe(&reading, &writing) == 0 else { throw .host("no pipe for a probe: \(String(cString: strerror(errno)))") }
        do throws(EngineError) {
            let output = try HostPlace(descriptor: writing, path: "a probe's output")
            var spec = LaunchSpec()
            try spec.add(.runID, run.id.description)
            for word in command { try spec.add(.argument, word) }
            try addProcess(run, image, sandbox, &spec)
            spec.add(.timeoutMilliseconds, UInt64(max(1, timeout.wholeMilliseconds)))
            let group = cgroups.group(of: run.id)
            if let group = group.v2 { try spec.add(.cgroupV2, group) }
            for group in group.v1 { try spec.add(.cgroupV1, group) }
            try spec.addTarget(process, output: output)
            let (control, pidfd) = try shims.shim(timeout: .seconds(10))
            // It ends by itself when nobody is at the other end.
            close(pidfd)
            let isSent = withExtendedLifetime(spec) {
                let descriptors = spec.places.map(\.descriptor)
                return NativeEngine.send(control, spec.bytes) && clinux_send_descriptors(control, descriptors, descriptors.count) == 0
            }
            guard isSent else {
                let sentence = NativeEngine.receive(control).sentence
                close(control)
                throw .sandbox(sentence ?? "the shim ended before it had read its spec")
            }
            return (control, reading)
        } catch {
            close(reading)
            throw error
        }
    }
}

/// A command inside a container, from outside.
private final class Command: Sendable {
    struct End: Sendable {
        /// What the shim said: `nil` when it did not.
        let kind: UInt8?
        let words: String
        let output: String
    }

    private struct State {
        var output: [UInt8] = []
        var reading: (any DispatchSourceProtocol)?
        var others: [any DispatchSourceProtocol] = []
        var waiter: CheckedContinuation<End, Never>?
    }

    private static let queue = DispatchQueue(label: "berth.probes")
    private static let mostOutput = 4096
    private let control: Int32
    private let output: Int32
    private let state = Mutex(State())

    /// Takes both descriptors over.
    init(control: Int32, output: Int32) {
        self.control = control
        self.output = output
    }

    /// Waits until the shim says how the command ended. One that does not in time is left alone, and ends the command.
    func end(within limit: Duration) async -> End {
        await withCheckedContinuation { continuation in
            Command.queue.async { [self] in
                for fd in [control, output] { _ = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) }
                let reading = DispatchSource.makeReadSource(fileDescriptor: output, queue: Command.queue)
                reading.setEventHandler { [self] in if !readOutput() { stopReading() } }
                let answering = DispatchSource.makeReadSource(fileDescriptor: control, queue: Command.queue)
                answering.setEventHandler { [self] in answered() }
                let timer = DispatchSource.makeTimerSource(queue: Command.queue)
                timer.setEventHandler { [self] in finish(nil, "") }
                timer.schedule(deadline: .now() + .milliseconds(Int(clamping: limit.wholeMilliseconds)))
                let (first, second) = (output, control)
                reading.setCancelHandler { close(first) }
                answering.setCancelHandler { close(second) }
                state.withLock {
                    ($0.reading, $0.others, $0.waiter) = (reading, [answering, timer], continuation)
                }
                reading.activate()
                answering.activate()
                timer.activate()
            }
        }
    }

    /// Nobody writes any more.
    private func stopReading() {
        let reading = state.withLock { state in
            defer { state.reading = nil }
            return state.reading
        }
        reading?.cancel()
    }

    /// - Returns: whether more may come
    private func readOutput() -> Bool {
        guard state.withLock({ $0.reading != nil }) else { return false }
        var buffer = [UInt8](repeating: 0, count: 4096)
        // Not without end: one that writes faster than it is read would keep all other probes waiting.
        for _ in 0..<16 {
            let got = buffer.withUnsafeMutableBytes { read(output, $0.baseAddress, $0.count) }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { return got < 0 && errno == EAGAIN }
            // All of it is read, so that the command does not wait, and the beginning is kept.
            state.withLock { $0.output += buffer[..<min(got, Command.mostOutput - $0.output.count)] }
        }
        return true
    }

    private func answered() {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let got = buffer.withUnsafeMutableBytes { recv(control, $0.baseAddress, $0.count, 0) }
        if got < 0, errno == EAGAIN || errno == EINTR { return }
        // What the command wrote before it ended is there.
        _ = readOutput()
        if got > 0 {
            finish(buffer[0], String(decoding: buffer[1..<got], as: UTF8.self))
        } else {
            finish(UInt8(ascii: "E"), "the shim ended without an answer")
        }
    }

    private func finish(_ kind: UInt8?, _ words: String) {
        stopReading()
        let (waiter, output, sources) = state.withLock { state in
            defer { (state.waiter, state.others) = (nil, []) }
            return (state.waiter, state.output, state.others)
        }
        for source in sources { source.cancel() }
        // Bytes that are no text, or a character that the bound cut in two.
        let text = String(decoding: output, as: UTF8.self).filter { $0 != "\0" }
        waiter?.resume(returning: End(kind: kind, words: words, output: text))
    }
}
