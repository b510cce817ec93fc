import Foundation
import Glibc
import Logging
import Testing

@testable import ServiceManager

@Suite(.serialized) struct ServiceManagerTests {
    /// A manager is a socket that reads what services say: that is all that systemd is to a service.
    @Test func saysHowItIs() throws {
        let path = "/tmp/berth-notify-\(getpid())"
        unlink(path)
        let fd = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer {
            close(fd)
            unlink(path)
            unsetenv("NOTIFY_SOCKET")
        }
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { path.utf8CString.withUnsafeBytes($0.copyMemory) }
        let bound = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        try #require(bound == 0)
        func heard() -> String {
            var buffer = [UInt8](repeating: 0, count: 1024)
            let got = recv(fd, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            return got < 0 ? "" : String(decoding: buffer.prefix(got), as: UTF8.self)
        }
        unsetenv("NOTIFY_SOCKET")
        #expect(!ServiceManager.notify("READY=1"))
        setenv("NOTIFY_SOCKET", path, 1)
        ServiceManager.ready("two\nlines")
        #expect(heard() == "READY=1\nSTATUS=two lines")
        ServiceManager.reloading()
        #expect(heard().wholeMatch(of: /RELOADING=1\nMONOTONIC_USEC=[0-9]{6,}/) != nil)
        ServiceManager.stopping("ends")
        #expect(heard() == "STOPPING=1\nSTATUS=ends")
        setenv("WATCHDOG_USEC", "30000000", 1)
        defer { unsetenv("WATCHDOG_USEC") }
        #expect(ServiceManager.watchdogInterval == .seconds(30))
        // Another process's.
        setenv("WATCHDOG_PID", "1", 1)
        defer { unsetenv("WATCHDOG_PID") }
        #expect(ServiceManager.watchdogInterval == nil)
    }

    @Test func entriesHaveTheFieldsOfWhatTheyAreAbout() {
        let fields = Journal.fields(
            level: .warning, "it failed", ["job": "backup", "project": "shop", "left running": "2"], label: "berthd", source: "Supervision")
        #expect(
            fields.map { "\($0.name)=\($0.value)" } == [
                "MESSAGE=it failed job=backup left running=2 project=shop", "PRIORITY=4", "SYSLOG_IDENTIFIER=berthd", "BERTH_MODULE=Supervision",
                "BERTH_JOB=backup", "BERTH_LEFT_RUNNING=2", "BERTH_PROJECT=shop",
            ])
        #expect(Logger.Level.allCases.map(Journal.priority) == [7, 7, 6, 5, 4, 3, 2])
    }

    @Test func aStreamThatLeadsElsewhereIsNoJournal() {
        setenv("JOURNAL_STREAM", "1:1", 1)
        defer { unsetenv("JOURNAL_STREAM") }
        #expect(!Journal.isConnected)
        var info = stat()
        fstat(2, &info)
        setenv("JOURNAL_STREAM", "\(info.st_dev):\(info.st_ino)", 1)
        #expect(Journal.isConnected)
    }
}
