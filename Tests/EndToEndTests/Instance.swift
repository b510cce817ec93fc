import Foundation
import Glibc
import HostOS
import TestKit

/// A daemon of its own in a directory of its own, and the command line that talks to it: the programs as users run them.
final class Instance {
    let scratch = Scratch("e2e")
    private let state: String
    private(set) var daemon: Process?

    var socket: String { "\(scratch.path)/run/berth.sock" }
    var database: String { "\(state)/berth.db" }

    /// - Parameter state: another place for the state directory
    init(state: String? = nil) {
        self.state = state ?? "\(scratch.path)/state"
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// - Parameters:
    ///   - environment: in place of, or beside, what this process has
    ///   - meanwhile: called again and again until the daemon answers
    func start(_ arguments: [String] = [], environment: [String: String] = [:], meanwhile: (Process) -> Void = { _ in usleep(10_000) }) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(Requirement.programs)/berthd")
        process.arguments =
            ["--state-dir", state, "--runtime-dir", "\(scratch.path)/run", "--recipe-dir", "\(scratch.path)/recipes", "--shim", Requirement.shim] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        let log = "\(scratch.path)/berthd.log"
        if !FileManager.default.fileExists(atPath: log) { scratch.write("berthd.log", "") }
        let handle = FileHandle(forWritingAtPath: log)
        handle?.seekToEndOfFile()
        process.standardError = handle
        try process.run()
        daemon = process
        let end = ContinuousClock.now + .seconds(30)
        while process.isRunning, .now < end {
            if access(socket, R_OK) == 0, berth("version", "--json").output.contains("\"berthd\"") { return }
            meanwhile(process)
        }
        throw Failure(description: "berthd does not come up: \(log_)")
    }

    var log_: String { (try? String(contentsOfFile: "\(scratch.path)/berthd.log", encoding: .utf8)) ?? "" }

    /// As a crash does: without a word.
    func kill() {
        guard let daemon else { return }
        Glibc.kill(daemon.processIdentifier, SIGKILL)
        daemon.waitUntilExit()
        self.daemon = nil
    }

    /// As systemd does: one that does not end in 90 seconds is killed, and gives 9.
    func terminate() -> Int32 {
        guard let daemon else { return -1 }
        Glibc.kill(daemon.processIdentifier, SIGTERM)
        wait(upTo: 90) { !daemon.isRunning }
        if daemon.isRunning { Glibc.kill(daemon.processIdentifier, SIGKILL) }
        daemon.waitUntilExit()
        self.daemon = nil
        return daemon.terminationStatus
    }

    func hangUp() { if let daemon { Glibc.kill(daemon.processIdentifier, SIGHUP) } }

    /// Runs berth.
    @discardableResult
    func berth(_ arguments: String...) -> (code: Int32, output: String, errors: String) {
        Instance.run("\(Requirement.programs)/berth", arguments, environment: ["BERTH_SOCKET": socket, "PATH": "/usr/bin:/bin", "TZ": "UTC"])
    }

    /// Starts berth and does not wait for its end; what it says goes nowhere.
    func begin(_ arguments: String...) throws -> Process { try begin(arguments) }

    func begin(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(Requirement.programs)/berth")
        process.arguments = arguments
        process.environment = ["BERTH_SOCKET": socket, "PATH": "/usr/bin:/bin", "TZ": "UTC"]
        process.standardOutput = nil
        process.standardError = nil
        try process.run()
        return process
    }

    /// What berth writes to its standard output, which need not be text.
    func bytes(_ arguments: String...) -> [UInt8] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(Requirement.programs)/berth")
        process.arguments = arguments
        process.environment = ["BERTH_SOCKET": socket, "PATH": "/usr/bin:/bin", "TZ": "UTC"]
        let pipe = Pipe()
        process.standardOutput = pipe
        guard (try? process.run()) != nil else { return [] }
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Array(data)
    }

    static func run(_ program: String, _ arguments: [String], environment: [String: String]) -> (code: Int32, output: String, errors: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = environment
        let scratch = Scratch("io")
        scratch.write("out", "")
        scratch.write("err", "")
        process.standardOutput = FileHandle(forWritingAtPath: "\(scratch.path)/out")
        process.standardError = FileHandle(forWritingAtPath: "\(scratch.path)/err")
        do { try process.run() } catch { return (-1, "", "\(error)") }
        process.waitUntilExit()
        return (process.terminationStatus, scratch.text("out") ?? "", scratch.text("err") ?? "")
    }

    func apply(_ recipe: String) throws {
        scratch.write("berth.yaml", recipe)
        let result = berth("up", "-f", "\(scratch.path)/berth.yaml")
        guard result.code == 0 else { throw Failure(description: result.errors + log_) }
    }

    // MARK: The socket, by hand

    func connect() -> Int32? { Instance.connect(socket) }

    static func connect(_ socket: String) -> Int32? {
        guard let fd = try? UnixSocket.open(socket, .connect) else { return nil }
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        return fd
    }

    /// The first bytes of an answer.
    static func receive(_ fd: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let got = buffer.withUnsafeMutableBytes { recv(fd, $0.baseAddress, $0.count, 0) }
        return String(decoding: buffer[..<max(0, got)], as: UTF8.self)
    }

    /// Sends a request and gives the first bytes of the answer.
    func ask(_ line: String, head: String? = nil, body: String = "") -> String { Instance.ask(socket, line, head: head, body: body) }

    static func ask(_ socket: String, _ line: String, head: String? = nil, body: String = "") -> String {
        guard let fd = connect(socket) else { return "" }
        defer { close(fd) }
        let text = "\(line) HTTP/1.1\r\nHost: berth\r\n\(head ?? "Content-Length: \(body.utf8.count)")\r\n\r\n\(body)"
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent <= 0 { break }
            rest = rest.dropFirst(sent)
        }
        return Instance.receive(fd)
    }

    /// A port of 127.0.0.1 that nobody has just now.
    static func freePort() -> UInt16? {
        let fd = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(fd) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, size) == 0 && getsockname(fd, $0, &size) == 0 }
        }
        return isBound ? UInt16(bigEndian: address.sin_port) : nil
    }

    /// Asks the database as a user would.
    ///
    /// - Parameter writing: harms it, as no user should
    func sql(_ query: String, writing: Bool = false) -> String {
        Instance.run("/usr/bin/env", ["sqlite3", "file:\(database)?mode=\(writing ? "rw" : "ro")", query], environment: ["PATH": "/usr/bin:/bin"]).output
            .trimmingCharacters(
                in: .whitespacesAndNewlines)
    }

    /// Waits until the database says so.
    func wait(_ query: String, is expected: String, seconds: Int = 30) throws {
        for _ in 0..<(seconds * 20) {
            if sql(query) == expected { return }
            usleep(50_000)
        }
        throw Failure(description: "'\(query)' is '\(sql(query))' and not '\(expected)'\n\(log_)")
    }

    /// Waits until something is so; whether it came to be is for the test to say.
    func wait(upTo seconds: Int, until isSo: () -> Bool) {
        for _ in 0..<(seconds * 20) {
            if isSo() { return }
            usleep(50_000)
        }
    }

    /// What names of its interfaces begin with, as it says itself when it makes one.
    var networks: Set<String> {
        Set(log_.matches(of: /interface=([a-z0-9]+)-[0-9]+/).map { String($0.output.1) })
    }

    static func names(_ directory: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] }

    /// Ends everything that was started here.
    func finish() {
        if daemon == nil { try? start() }
        // All of them: what the last container leaves, its network is removed with.
        for project in Set(["t", "u"] + sql("select project from recipe_rows").split(separator: "\n").map(String.init)) { berth("down", project) }
        _ = terminate()
    }
}
