import Foundation
import Glibc
import TestKit
import Testing

/// Who follows what changes, over the socket and with the command line.
@Suite(.enabled(if: Requirement.root && Requirement.program("sqlite3"), "needs root and sqlite3"), .serialized)
struct FeedEndToEndTests {
    private static let recipe = """
        name: t
        services:
          web: { rootfs: host, command: [sleep, "1000"], init: true, restart: always }
        jobs:
          hello: { rootfs: host, command: [echo, hello], schedule: { at: "2099-01-01 00:00", timezone: UTC } }
        """

    /// Server-sent events of a connection, as text, until one of them has a word in it.
    private func events(_ it: Instance, _ line: String, head: String = "Accept: text/event-stream", until word: String) throws -> String {
        let fd = try #require(it.connect())
        defer { close(fd) }
        let text = "\(line) HTTP/1.1\r\nHost: berth\r\n\(head)\r\n\r\n"
        #expect(send(fd, text, text.utf8.count, Int32(MSG_NOSIGNAL)) == text.utf8.count)
        var got = ""
        while !got.contains(word) {
            let more = Instance.receive(fd)
            if more.isEmpty { break }
            got += more
        }
        return got
    }

    private func ids(_ text: String) -> [String] { text.matches(of: /id: ([0-9a-f]+-[0-9a-f]+)/).map { String($0.1) } }

    @Test(.timeLimit(.minutes(2))) func changesAreToldFromACursorOn() throws {
        try EndToEndTests.with { it in
            try it.apply(Self.recipe)
            let beginning = try events(it, "GET /v1/changes", until: "event: reset")
            #expect(beginning.contains("Content-Type: text/event-stream") && beginning.contains("200 OK"), "\(beginning)")
            let first = try #require(ids(beginning).last)
            it.berth("run", "hello", "--wait")
            it.berth("pause", "hello")
            it.berth("restart", "web")
            // What came since, and only that.
            let since = try events(it, "GET /v1/changes?after=\(first)&name=hello", until: #""state":"paused""#)
            #expect(!since.contains("event: reset") && !since.contains(#""name":"web""#), "\(since)")
            let states = since.matches(of: /event: run\ndata: [^\n]*"state":"([a-z]+)"/).map { String($0.1) }
            #expect(states == ["starting", "running", "succeeded"], "\(since)")
            #expect(since.contains(#""kind":"run""#) && since.contains(#""text":"run by hand""#), "\(since)")
            // From the middle on, as a browser that lost its connection asks.
            let middle = try #require(ids(since).dropLast().last)
            let rest = try events(it, "GET /v1/changes?name=hello", head: "Last-Event-ID: \(middle)", until: #""state":"paused""#)
            #expect(ids(rest) == [ids(since).last], "\(rest)")
            #expect(try events(it, "GET /v1/changes?after=1-1", until: "event: reset").contains("event: reset"))
            #expect(it.ask("GET /v1/changes?after=x").contains("400"))
        }
    }

    /// A question with a misspelt filter is not answered as if it had none.
    @Test(.timeLimit(.minutes(2))) func parametersThatAnEndpointDoesNotHaveAreRefused() throws {
        try EndToEndTests.with { it in
            for (line, sentence) in [
                ("GET /v1/runs?outcom=failed", "has no parameter 'outcom': it takes id, limit, name, outcome, project, since, trigger, until"),
                ("GET /v1/runs?limit=3&limit=4", "'limit' is given twice"), ("GET /v1/runs?trigger=after&trigger=retry", "'trigger' is given twice"),
                ("GET /v1/status?x=1", "has no parameter 'x': it takes none"),
                ("GET /v1/events?follow=1", "no parameter 'follow'"), ("POST /v1/workloads/a/b/stop?force=1", "no parameter 'force'"),
                ("DELETE /v1/projects/a?x", "no parameter 'x'"),
            ] {
                let answer = it.ask(line)
                #expect(answer.contains("400 Bad Request") && answer.contains(sentence), "\(line): \(answer)")
            }
            #expect(it.ask("GET /v1/runs?outcome=failed&outcome=lost&limit=2").contains("200 OK"))
            #expect(it.ask("GET /v1/runs?").contains("200 OK"))
            // An id that is none is not found, with or without parameters that exist.
            #expect(it.ask("GET /v1/runs/nothing/log?follow=1").contains("404"))
        }
    }

    @Test(.timeLimit(.minutes(2))) func eventsAreFollowed() throws {
        try EndToEndTests.with { it in
            try it.apply(Self.recipe)
            let (out, err) = ("\(it.scratch.path)/out", "\(it.scratch.path)/err")
            let follower = Process()
            follower.executableURL = URL(fileURLWithPath: "/bin/sh")
            follower.arguments = ["-c", "exec '\(Requirement.programs)/berth' events -f > '\(out)' 2> '\(err)'"]
            follower.environment = ["BERTH_SOCKET": it.socket, "PATH": "/usr/bin:/bin", "TZ": "UTC"]
            try follower.run()
            it.wait(upTo: 30) { it.scratch.text("out")?.contains("applied") == true }
            it.berth("pause", "hello")
            it.berth("resume", "hello")
            it.wait(upTo: 30) { it.scratch.text("out")?.contains("resumed by hand") == true }
            let lines = (it.scratch.text("out") ?? "").split(separator: "\n")
            #expect(lines.count { $0.contains("t/hello") && $0.contains("paused by hand") } == 1 && lines.count { $0.contains("resumed") } == 1, "\(lines)")
            #expect(lines.last?.contains("resumed") == true)
            #expect(it.terminate() == 0)
            follower.waitUntilExit()
            #expect(follower.terminationStatus == 1 && it.scratch.text("err")?.contains("it has ended") == true, "\(it.scratch.text("err") ?? "")")
        }
    }

    /// However many follow and wait, the daemon ends when it is told to, and everybody hears of it.
    @Test(.timeLimit(.minutes(2))) func whoFollowsDoesNotHoldTheDaemonsEndUp() throws {
        try EndToEndTests.with { it in
            try it.apply(Self.recipe)
            try it.wait("select state from services where name = 'web'", is: "running")
            let followers = try [
                ["wait", "web"], ["logs", "web", "-f"], ["events", "-f"], ["ps", "--watch"], ["run", "hello", "--wait", "--", "sleep", "1000"],
            ]
            .map { try it.begin($0) }
            try it.wait("select count(*) from runs where name = 'hello' and state = 'running'", is: "1")
            it.wait(upTo: 30) { (it.daemon.map { Self.connections(of: $0.processIdentifier) } ?? 0) >= followers.count }
            // Nothing else ends it: each of them would wait for ever.
            #expect(it.terminate() == 0)
            for follower in followers { follower.waitUntilExit() }
            try it.start()
            it.berth("stop", "hello")
        }
    }

    /// Sockets of a process, its listener aside.
    private static func connections(of pid: Int32) -> Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []
        return names.count { (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\($0)"))?.hasPrefix("socket:") == true } - 1
    }

    /// Followers leave room for short questions.
    @Test(.timeLimit(.minutes(2))) func followersDoNotTakeEveryConnection() throws {
        try EndToEndTests.with { it in
            var followers: [Int32] = []
            defer { for fd in followers { close(fd) } }
            let request = "GET /v1/changes HTTP/1.1\r\nHost: berth\r\n\r\n"
            var refused = 0
            for _ in 0..<300 where refused == 0 {
                let fd = try #require(it.connect())
                followers.append(fd)
                #expect(send(fd, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count)
                let answer = Instance.receive(fd)
                if answer.contains("503") { refused += 1 } else { #expect(answer.contains("200 OK")) }
            }
            #expect(refused == 1 && followers.count > 50, "\(followers.count)")
            #expect(it.berth("ps").code == 0)
            // Who leaves makes room.
            for fd in followers.prefix(20) { close(fd) }
            followers.removeFirst(20)
            it.wait(upTo: 30) { it.ask("GET /v1/changes").contains("200 OK") }
            #expect(it.ask("GET /v1/changes").contains("200 OK"))
        }
    }
}
