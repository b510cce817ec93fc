import RecipeFile
import Schedules
import TestKit
import Testing
import WorkloadModel

/// `healthcheck` and `depends_on`, as the Compose Specification has them.
@Suite struct GateReadingTests {
    private static func read(_ web: String, others: String = "", jobs: String = "") -> RecipeReader.Result {
        RecipeReaderTests.read(
            "name: t\nservices:\n  db: { image: postgres, healthcheck: { test: [CMD, ask] } }\n  web:\n    image: nginx\n    \(web)\n\(others)\(jobs)")
    }

    @Test(arguments: [
        ("test: [CMD, pg_isready, -U, me]", HealthCheckSpec.Test.command(["pg_isready", "-U", "me"])),
        ("test: [CMD-SHELL, 'curl -f x || exit 1']", .shell("curl -f x || exit 1")), ("test: curl -f $$HOST", .shell("curl -f $HOST")),
        ("test: [NONE]", .disabled), ("disable: true", .disabled), ("{ test: [CMD, x], disable: true }", .disabled), ("test: []", nil), ("test: ''", nil),
        ("interval: 5s", nil),
    ]) func testsHaveTheirForms(_ keys: String, _ test: HealthCheckSpec.Test?) throws {
        let text = keys.hasPrefix("{") ? keys : "{ \(keys) }"
        let result = Self.read("healthcheck: \(text)")
        let recipe = try #require(result.recipe, "\(result.diagnostics)")
        #expect(recipe[WorkloadID(project: recipe.project, name: try WorkloadName("web"))]?.container.healthCheck?.value.test == test)
    }

    @Test func timesOfNothingSayNothing() throws {
        let result = Self.read(
            "healthcheck: { test: x, interval: 1m30s, timeout: 0s, retries: 0, start_period: 0s, start_interval: 2s, on_unhealthy: restart }")
        let recipe = try #require(result.recipe, "\(result.diagnostics)")
        let web = try #require(recipe.workloads.first { $0.id.name.description == "web" })
        var wanted = HealthCheckSpec(test: .shell("x"))
        wanted.interval = .seconds(90)
        wanted.startInterval = .seconds(2)
        #expect(web.container.healthCheck?.value == wanted)
        guard case .service(let policy) = web.kind else { return }
        #expect(policy.onUnhealthy == .restart)
        // What neither it nor its image says is Docker's default.
        var image = HealthCheckSpec(test: .command(["y"]))
        (image.interval, image.timeout) = (.seconds(7), .seconds(8))
        let check = HealthCheckSpec.resolve(web.container.healthCheck, image: image)
        #expect(check == HealthCheck(command: ["/bin/sh", "-c", "x"], interval: .seconds(90), timeout: .seconds(8), startInterval: .seconds(2)))
        #expect(HealthCheckSpec.resolve(nil as HealthCheckSpec?, image: image)?.command == ["y"])
        #expect(HealthCheckSpec.resolve(HealthCheckSpec(test: .disabled), image: image) == nil)
    }

    @Test(arguments: [
        ("depends_on: [db]", Dependency()), ("depends_on: { db: { condition: service_healthy } }", Dependency(condition: .healthy)),
        (
            "depends_on: { db: { condition: service_completed_successfully, required: false, restart: true } }",
            Dependency(condition: .completed, required: false, restart: true)
        ), ("depends_on: { db: }", Dependency()),
        ("links: [db]", Dependency()), ("network_mode: 'service:db'", Dependency()),
        ("links: [db]\n    depends_on: { db: { condition: service_healthy } }", Dependency(condition: .healthy)),
    ]) func dependenciesHaveTheirForms(_ keys: String, _ dependency: Dependency) throws {
        let result = Self.read(keys)
        let recipe = try #require(result.recipe, "\(result.diagnostics)")
        let web = try #require(recipe.workloads.first { $0.id.name.description == "web" })
        #expect(web.dependsOn == [try WorkloadName("db"): dependency])
    }

    @Test func aJobDependsOnServices() throws {
        let result = Self.read("", jobs: "jobs: { dump: { image: x, depends_on: { db: { condition: service_healthy } } } }\n")
        let recipe = try #require(result.recipe, "\(result.diagnostics)")
        let dump = try #require(recipe.workloads.first { $0.id.name.description == "dump" })
        #expect(dump.jobPolicy?.dependsOn == [try WorkloadName("db"): Dependency(condition: .healthy)])
    }

    @Test(arguments: [
        ("depends_on: [bd]", "there is no service 'bd'; did you mean 'db'?"), ("depends_on: [web]", "this depends on itself: web on web"),
        ("depends_on: [a]", "this depends on itself: a on web on a"),
        ("depends_on: { db: { condition: healthy } }", "'healthy' is not a value of 'condition'; use service_started, service_healthy"),
        ("depends_on: { none: { condition: service_healthy } }", "'none' has no 'healthcheck', so it is never healthy"),
        ("depends_on: { db: { condition: service_started, requird: false } }", "unknown key 'requird'; did you mean 'required'?"),
        ("depends_on: [dump]", "'dump' is a job, which runs at its time: a service depends on services"),
        ("depends_on: [off]", "'off' is left out, because none of its profiles was asked for"), ("depends_on: db", "must be a list of services"),
        ("healthcheck: { test: [curl, x] }", "'test' begins with CMD, CMD-SHELL or NONE, not with 'curl'"),
        ("healthcheck: { test: [CMD] }", "'CMD' needs a command after it"), ("healthcheck: { interval: often }", "is not a duration"),
        ("healthcheck: { retries: -1 }", "'retries' must be a whole number"), ("healthcheck: { on_unhealthy: reboot }", "'reboot' is not a value of"),
    ]) func refusesWithAReason(_ keys: String, _ words: String) {
        let result = Self.read(
            keys,
            others: "  a: { image: x, depends_on: [web] }\n  none: { image: x, healthcheck: { disable: true } }\n  off: { image: x, profiles: [p] }\n",
            jobs: "jobs: { dump: { image: x } }\n")
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics.map(\.message))")
    }

    @Test func whatIsLeftOutMayBeMissed() {
        let result = Self.read("depends_on: { off: { condition: service_healthy, required: false } }", others: "  off: { image: x, profiles: [p] }\n")
        #expect(result.recipe != nil, "\(result.diagnostics)")
    }

    @Test func aJobIsNotAsked() {
        let result = Self.read("", jobs: "jobs: { dump: { image: x, healthcheck: { test: y } } }\n")
        #expect(result.recipe != nil && result.diagnostics.map(\.message) == ["a job is not asked whether it works: 'healthcheck' has no meaning for it"])
    }
}
