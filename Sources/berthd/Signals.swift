@preconcurrency import Dispatch
import Glibc
import Synchronization

/// Signals that are caught instead of what they do by default.
final class Signals: Sendable {
    let stream: AsyncStream<Int32>
    private let sink: AsyncStream<Int32>.Continuation
    private let sources = Mutex<[any DispatchSourceSignal]>([])

    init() { (stream, sink) = AsyncStream.makeStream(of: Int32.self) }

    /// - Parameter number: of a signal that is passed on from now on
    func `catch`(_ number: Int32) {
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number)
        source.setEventHandler { [sink] in sink.yield(number) }
        source.activate()
        sources.withLock { $0.append(source) }
    }
}
