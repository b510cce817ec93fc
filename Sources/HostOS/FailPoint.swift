#if DEBUG
    internal import Glibc
#endif

/// A step at which a debug build can be made to fail, for the tests of crashes (`Tests/Faults`); a release build has none of it.
///
/// With `BERTH_FAIL_POINTS=DIRECTORY` in the environment, the file `daemon` there says what happens the next time a step is reached, once:
/// `NAME kill`, `NAME error` or `NAME stall MILLISECONDS`. What was reached is a line of `hits`. The shim's steps are in `Sources/berth-shim/hooks.c`.
package enum FailPoint: String, CaseIterable, Sendable {
    // A launch.
    case beforeStarting = "F01"
    case insideStarting = "F02"
    case afterStarting = "F03"
    case directoryMade = "F04"
    case specMade = "F05"
    case groupMade = "F06"
    case shimStarted = "F07"
    case beforeCreated = "F08"
    case created = "F09"
    case beforeGo = "F10"
    case started = "F11"
    case running = "F12"
    // An end.
    case exitSeen = "F13"
    case outcomeDurable = "F14"
    case recordRemoved = "F15"
    // A recipe.
    case recipeRead = "A1"
    case insideApply = "A2"
    case applied = "A3"
    // A place on networks.
    case placeTaken = "P1"
    case placeLeft = "P2"
    // An image.
    case imageFetched = "I1"
    case imageNamed = "I2"

    /// What a step that was made to fail throws.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// The step is reached where the condition holds, and may fail.
    @inline(__always)
    package func hit(when condition: @autoclosure () -> Bool = true) throws(Failure) {
        #if DEBUG
            if condition(), FailPoints.act(self, mayFail: true) { throw Failure(description: "the fail point \(rawValue) was set") }
        #endif
    }

    /// The step is reached where the condition holds, and cannot fail but by the end of the daemon.
    @inline(__always)
    package func pass(when condition: @autoclosure () -> Bool = true) {
        #if DEBUG
            if condition() { _ = FailPoints.act(self, mayFail: false) }
        #endif
    }
}

#if DEBUG
    private enum FailPoints {
        private static let directory = getenv("BERTH_FAIL_POINTS").map { String(cString: $0) }

        /// - Returns: whether the step is to fail
        static func act(_ point: FailPoint, mayFail: Bool) -> Bool {
            guard let directory, let text = try? HostFile.text("\(directory)/daemon", limit: 256) else { return false }
            let words = text.split(whereSeparator: \.isWhitespace)
            guard words.count >= 2, words[0] == point.rawValue, mayFail || words[1] != "error", unlink("\(directory)/daemon") == 0 else { return false }
            let line = "\(words.joined(separator: " "))\n"
            let hits = open("\(directory)/hits", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            _ = write(hits, line, line.utf8.count)
            close(hits)
            switch words[1] {
            case "kill": kill(getpid(), SIGKILL)
            case "stall": usleep((words.count > 2 ? UInt32(words[2]) ?? 0 : 0) * 1000)
            default: break
            }
            return words[1] == "error"
        }
    }
#endif
