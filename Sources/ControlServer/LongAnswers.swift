internal import Hummingbird
internal import Synchronization

/// Places for answers that last as long as their client likes: followers of changes and logs, who waits for the end of a run.
///
/// Such a connection never gives way to another, so some are kept for short questions.
final class LongAnswers: Sendable {
    private let most: Int
    private let taken = Mutex(0)

    init(most: Int) {
        self.most = most
    }

    /// Held for the time of an answer; given back when nothing holds it any more.
    final class Place: Sendable {
        private let answers: LongAnswers

        fileprivate init(_ answers: LongAnswers) {
            self.answers = answers
        }

        deinit { answers.taken.withLock { $0 -= 1 } }
    }

    /// - Throws: `HTTPError` with 503 when all are taken
    func place() throws -> Place {
        let isFree = taken.withLock { taken in
            guard taken < most else { return false }
            taken += 1
            return true
        }
        guard isFree else { throw HTTPError(.serviceUnavailable, message: "\(most) clients follow or wait already, and no more may: try again later") }
        return Place(self)
    }
}
