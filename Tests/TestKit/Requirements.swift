import Foundation
import Glibc

/// What a test needs of the machine. Where strictness is asked for (BERTH_STRICT=1, as continuous integration does), a
/// machine that lacks it fails the test instead of passing it over.
public enum Requirement {
    /// Whether a machine that lacks something fails tests (`BERTH_STRICT=1`).
    public static let strict = ProcessInfo.processInfo.environment["BERTH_STRICT"] == "1"

    /// Whether tests that need root are run: the process is root's, or strictness is asked for.
    public static let root = strict || geteuid() == 0

    /// Whether tests that need a program are run: it is in the path, or strictness is asked for.
    public static func program(_ name: String) -> Bool { strict || path(of: name) != nil }

    /// Where an executable is, by `PATH`, `/usr/sbin` and `/sbin`; `nil` when it is in none of them.
    public static func path(of name: String) -> String? {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// The shim that tests run: another build of it where BERTH_TEST_SHIM names one, such as that under sanitizers.
    public static var shim: String { ProcessInfo.processInfo.environment["BERTH_TEST_SHIM"] ?? "\(programs)/berth-shim" }

    /// The directory of berth, berthd and berth-shim: where the test bundle is.
    public static let programs: String = {
        // Packaging/test.sh builds the shim beside the bundle; the bundle's own path leads there.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        var directory = URL(fileURLWithPath: bundle).deletingLastPathComponent()
        while directory.path != "/", !FileManager.default.isExecutableFile(atPath: directory.appendingPathComponent("berth-shim").path) {
            directory = directory.deletingLastPathComponent()
        }
        return directory.path
    }()
}

/// A directory of its own for one test, removed at the end, on whatever the machine's disk is.
public final class Scratch: Sendable {
    /// The directory's absolute path, below `/tmp`.
    public let path: String

    /// Makes the directory, with mode 755.
    ///
    /// - Parameter name: a part of the directory's name, for people
    public init(_ name: String = "test") {
        path = "/tmp/berth-\(name)-\(getpid())-\(UInt32.random(in: 0...999_999))"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, and makes the directories that lead to it.
    ///
    /// - Parameter name: the file's path in the directory
    public func write(_ name: String, _ text: String, mode: Int = 0o644) {
        let file = "\(path)/\(name)"
        try? FileManager.default.createDirectory(atPath: URL(fileURLWithPath: file).deletingLastPathComponent().path, withIntermediateDirectories: true)
        _ = FileManager.default.createFile(atPath: file, contents: Data(text.utf8), attributes: [.posixPermissions: mode])
    }

    /// The text of a file by its path in the directory; `nil` when it cannot be read as UTF-8.
    public func text(_ name: String) -> String? { try? String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }
}
