internal import Glibc
internal import HostOS
internal import Schedules
internal import WorkloadModel

/// What a shim writes down about its run: `shim`, `started`, `exit` (`Sources/berth-shim/record.c` is the other side).
struct RunDirectory {
    let path: String

    struct Facts {
        let bootID: String
        let shim: pid_t
        let shimStart: UInt64
        let container: pid_t
        let containerStart: UInt64
        /// The inodes of its output and error pipes; 0 is not known.
        var streams: (UInt64, UInt64) = (0, 0)
    }

    /// `nil` when they are missing or torn.
    var facts: Facts? {
        guard let text = try? HostFile.text("\(path)/shim", limit: 4096), let values = RunDirectory.values(text, first: "berth-shim 1"),
            let boot = values["boot"], let shim = values["shim"].flatMap({ pid_t($0) }), let container = values["container"].flatMap({ pid_t($0) }),
            let shimStart = values["shim_start"].flatMap({ UInt64($0) }), let containerStart = values["container_start"].flatMap({ UInt64($0) })
        else { return nil }
        let streams = (values["out"].flatMap { UInt64($0) } ?? 0, values["err"].flatMap { UInt64($0) } ?? 0)
        return Facts(bootID: boot, shim: shim, shimStart: shimStart, container: container, containerStart: containerStart, streams: streams)
    }

    /// When user code could first run; `nil` when it never could.
    var startedAt: Timestamp? {
        guard HostFile.exists("\(path)/started") else { return nil }
        let text = (try? HostFile.text("\(path)/started", limit: 4096))?.split(separator: "\n").first ?? ""
        return Timestamp(milliseconds: (Int64(text) ?? 0) / 1_000_000)
    }

    /// Whether its shim has begun to stop it, because it was told to or the run's time is over.
    var isStopping: Bool { HostFile.exists("\(path)/stopping") }

    /// How the run ended, as its shim wrote it; `nil` when there is no record. One that cannot be read is an end that
    /// nobody saw.
    func exitStatus(now: Timestamp) -> ExitStatus? {
        guard HostFile.exists("\(path)/exit") else { return nil }
        guard let text = try? HostFile.text("\(path)/exit", limit: 8192), let status = RunDirectory.exitStatus(text) else {
            return ExitStatus(ending: .lost("its exit record \(path)/exit cannot be read"), finishedAt: now)
        }
        return status
    }

    /// Reads an exit record.
    static func exitStatus(_ text: String) -> ExitStatus? {
        guard let values = values(text, first: "berth-exit 1") else { return nil }
        func number(_ key: String) -> Int64? { values[key].flatMap { Int64($0) } }
        guard let how = values["how"], let status = number("status"), let finished = number("finished_ns"), (0...255).contains(status) else {
            return nil
        }
        let ending: ExitStatus.Ending
        switch how {
        case "exited": ending = .exited(code: Int32(status))
        case "signaled": ending = .signaled(number: Int32(status))
        case "start-error": ending = .startError(values["message"] ?? "it could not be started")
        default: return nil
        }
        var result = ExitStatus(ending: ending, finishedAt: Timestamp(milliseconds: finished / 1_000_000))
        result.timedOut = number("timed_out") == 1
        result.stopRequested = number("stop_requested") == 1
        result.killed = number("killed") == 1
        result.leftProcesses = number("not_empty") == 1
        if let started = number("started_ns"), started > 0 { result.startedAt = Timestamp(milliseconds: started / 1_000_000) }
        result.usage.cpuMicroseconds = number("cpu_usec") ?? 0
        result.usage.memoryPeakBytes = number("memory_peak") ?? 0
        result.usage.ioReadBytes = number("io_read") ?? 0
        result.usage.ioWriteBytes = number("io_write") ?? 0
        result.usage.oomKills = number("oom_kills") ?? 0
        result.usage.logBytes = number("log_bytes") ?? 0
        result.usage.logDroppedBytes = number("log_dropped") ?? 0
        return result
    }

    /// `key=value` lines between a known first line and `end`; `nil` when either is missing.
    private static func values(_ text: String, first: String) -> [String: String]? {
        let lines = text.split(separator: "\n")
        guard lines.first == first[...], lines.last == "end" else { return nil }
        var found: [String: String] = [:]
        for line in lines.dropFirst().dropLast() {
            let pair = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2 else { return nil }
            found[String(pair[0])] = String(pair[1])
        }
        return found
    }

    /// Whether a shim works on this run.
    var isLocked: Bool {
        let fd = HostFile.openPatiently("\(path)/lock", O_RDWR | O_NOFOLLOW)
        // Where it cannot be told, nothing is started beside what may be there.
        guard fd >= 0 else { return errno != ENOENT }
        defer { close(fd) }
        return flock(fd, LOCK_EX | LOCK_NB) != 0
    }

    /// Waits until no shim works on this run.
    func waitUntilUnlocked(milliseconds: Int) -> Bool {
        for _ in 0..<max(1, milliseconds / 5) {
            if !isLocked { return true }
            usleep(5000)
        }
        return !isLocked
    }

    /// Gives the shim a command; false when no shim reads any more.
    func tell(_ command: String) -> Bool {
        let fd = open("\(path)/control", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        let line = command + "\n"
        return write(fd, line, line.utf8.count) == line.utf8.count
    }
}

/// Processes by number and start time, so that a number that is used again is not taken for the old process.
enum HostProcess {
    /// Field 22 of /proc/PID/stat; `nil` when there is no such process.
    static func startTime(_ pid: pid_t) -> UInt64? {
        guard let text = try? HostFile.text("/proc/\(pid)/stat", limit: 4096), let close = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ")
        // The first of these is field 3; a zombie has ended.
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return UInt64(fields[19])
    }

    static func isAlive(_ pid: pid_t, start: UInt64) -> Bool { startTime(pid) == start }

    /// The capabilities of this process, as the kernel's bit mask.
    static func permittedCapabilities() -> UInt64 {
        let text = (try? HostFile.text("/proc/self/status")) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("CapPrm:") }
        return line.flatMap { UInt64($0.dropFirst(7).filter { !$0.isWhitespace }, radix: 16) } ?? 0
    }

    /// This boot of the host.
    static func bootID() -> String {
        ((try? HostFile.text("/proc/sys/kernel/random/boot_id", limit: 128)) ?? "unknown").split(separator: "\n").first.map(String.init) ?? "unknown"
    }
}
