import ControlAPI
import Foundation
import TestKit
import Testing

/// Who may what on the control socket, by the endpoints' own table.
@Suite(.serialized) struct RoleEndToEndTests {
    /// Groups that nobody has on the host that tests.
    private static let (group, viewers): (UInt32, UInt32) = (2_147_001, 2_147_002)
    private static let nobody: UInt32 = 65534

    /// The answer's status and body, as that user and group get them; status 0 when they cannot connect.
    private func ask(_ it: Instance, _ method: String, _ path: String, user: UInt32, group: UInt32) -> (status: Int, body: String) {
        let (_, output, errors) = Instance.run(
            "/usr/bin/setpriv",
            [
                "--reuid", "\(user)", "--regid", "\(group)", "--clear-groups", "/usr/bin/curl", "-s", "-m", "3", "--path-as-is", "-X", method, "-w",
                "\n%{http_code}", "--unix-socket", it.socket, "http://berth\(path)",
            ], environment: ["PATH": "/usr/bin:/bin"])
        let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
        return (Int(lines.last ?? "") ?? -1, lines.dropLast().joined(separator: "\n") + errors)
    }

    private func path(_ definition: EndpointDefinition) -> String {
        var path = definition.path
        for (part, value) in [
            ("{id}", "nothing"), ("{project}", "no"), ("{name}", "such"), ("{action}", "run"), ("{network}", "n"), ("{volume}", "v"), ("{image}", "i"),
        ] {
            path = path.replacing(part, with: value)
        }
        return path
    }

    @Test(.timeLimit(.minutes(3))) func eachEndpointIsForThoseWhoHaveItsRole() throws {
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/curl"), FileManager.default.isExecutableFile(atPath: "/usr/bin/setpriv") else {
            if Requirement.strict { Issue.record("curl and setpriv are needed") }
            return
        }
        try EndToEndTests.with(["--group", "\(Self.group)", "--view-group", "\(Self.viewers)"]) { it in
            for endpoint in Endpoint.allCases {
                let definition = endpoint.definition
                let path = path(definition)
                // Not in a group: the kernel lets nobody connect.
                #expect(ask(it, definition.method.rawValue, path, user: Self.nobody, group: Self.nobody).status == 0, "\(endpoint)")
                let viewer = ask(it, definition.method.rawValue, path, user: Self.nobody, group: Self.viewers)
                if definition.role > .viewer {
                    #expect(viewer.status == 403 && viewer.body.contains("needs the role '\(definition.role.rawValue)'"), "\(endpoint): \(viewer)")
                } else {
                    #expect(viewer.status > 0 && viewer.status != 403 && viewer.status < 500, "\(endpoint): \(viewer)")
                }
                // What is refused for its content has been let in.
                let admin = ask(it, definition.method.rawValue, path, user: Self.nobody, group: Self.group)
                #expect(admin.status > 0 && admin.status != 403 && admin.status < 500, "\(endpoint): \(admin)")
            }
            let refused = it.sql("select count(*) from audit where who = 'uid 65534' and role = 'viewer' and status = 403")
            #expect(refused == "\(Endpoint.allCases.count { $0.definition.role > .viewer && $0.definition.changes })")
            #expect(it.sql("select count(*) from audit where role = 'viewer' and status < 400") == "0")
            let told = it.berth("audit", "--limit", "100")
            #expect(told.output.contains("run no/such") && told.output.contains("needs the role 'operator'"), "\(told)")
        }
    }

    /// What was done, and what was refused, by whom.
    @Test(.timeLimit(.minutes(2))) func changesAreOnRecord() throws {
        try EndToEndTests.with { it in
            try it.apply("name: t\njobs: { hello: { rootfs: host, command: ['true'] } }")
            it.berth("run", "hello", "--wait")
            it.berth("pause", "t/hello")
            it.berth("volume", "rm", "nothing")
            it.berth("ps")
            let rows = it.sql("select who || ' ' || role || ' ' || method || ' ' || path || ' ' || status from audit order by id").split(separator: "\n")
            #expect(
                rows == [
                    "uid 0 admin POST /v1/recipes 200", "uid 0 admin POST /v1/workloads/t/hello/run 200", "uid 0 admin POST /v1/workloads/t/hello/pause 200",
                    "uid 0 admin DELETE /v1/volumes/nothing 422",
                ], "\(rows)")
            let told = it.berth("audit").output.split(separator: "\n")
            #expect(told.count == 5 && told[1].contains("remove volume nothing") && told[1].contains("refused") && told[2].contains("pause t/hello"), "\(told)")
        }
    }

    /// The description names each endpoint, with its role.
    @Test(.timeLimit(.minutes(2))) func theDescriptionInOpenAPIHasEachEndpoint() throws {
        try EndToEndTests.with { it in
            let answer = it.ask("GET /v1/openapi.json")
            let body = try #require(answer.range(of: "\r\n\r\n").map { answer[$0.upperBound...] })
            let found = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
            #expect(found["openapi"] as? String == "3.1.0")
            let paths = try #require(found["paths"] as? [String: [String: [String: Any]]])
            for endpoint in Endpoint.allCases {
                let operation = paths[endpoint.definition.path]?[endpoint.definition.method.rawValue.lowercased()]
                #expect(operation?["x-role"] as? String == endpoint.definition.role.rawValue && operation?["operationId"] as? String == endpoint.rawValue)
            }
        }
    }

    /// On TCP there are the numbers and nothing else.
    @Test(.timeLimit(.minutes(2))) func numbersAreServedWhereTheyAreAskedForAndNothingElseIs() throws {
        let programs = Requirement.programs
        for bad in ["", "9736", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:9736", "a b:9736", "/tmp/x:1"] {
            let answer = Instance.run("\(programs)/berthd", ["--state-dir", "/nonexistent/berth", "--metrics", bad], environment: ["PATH": "/usr/bin:/bin"])
            #expect(answer.code == 64 && answer.errors.contains("'\(bad)' is not an address with a port"), "\(answer)")
        }
        let port = try #require(Instance.freePort())
        try EndToEndTests.with(["--metrics", "127.0.0.1:\(port)"]) { it in
            func get(_ path: String) -> String {
                Instance.run("/usr/bin/curl", ["-s", "-i", "-m", "5", "http://127.0.0.1:\(port)\(path)"], environment: ["PATH": "/usr/bin:/bin"]).output
            }
            it.wait(upTo: 10) { get("/metrics").contains("200 OK") }
            #expect(get("/metrics").contains("# TYPE berth_history_writable gauge\nberth_history_writable 1\n"))
            #expect(get("/metrics").contains("text/plain; version=0.0.4"))
            for path in ["/v1/status", "/v1/runs", "/", "/v1/openapi.json"] { #expect(get(path).contains("404 Not Found"), "\(path)") }
            // A second daemon cannot have the port: it says so and ends.
            let second = Instance()
            defer { second.finish() }
            #expect(throws: Instance.Failure.self) {
                try second.start(["--metrics", "127.0.0.1:\(port)"])
                second.wait(upTo: 10) { second.log_.contains("cannot be served") }
                guard second.log_.contains("numbers for Prometheus cannot be served") else { return }
                throw Instance.Failure(description: "it says so")
            }
        }
    }
}
