import RecipeFile
import Schedules
import TestKit
import Testing
import WorkloadModel

/// What compose files in the wild say, and Compose takes.
@Suite struct ComposeHabitsTests {
    private static func read(_ keys: String, variables: [String: String] = [:]) -> RecipeReader.Result {
        RecipeReaderTests.read("name: t\nservices:\n  x:\n    image: nginx\n    \(keys)\n", variables: variables)
    }

    private static func container(_ keys: String) throws -> ContainerSpec {
        let result = read(keys)
        return try #require(result.recipe, "\(result.diagnostics)").workloads[0].container
    }

    @Test func valuesThatMeanNothingAreNone() throws {
        let x = try Self.container(
            "mem_limit: 0\n    cpus: 0\n    pids_limit: -1\n    user: ''\n    restart: ''\n    hostname: ''\n    stop_grace_period: 0s\n    working_dir: app/src\n    labels:\n    ports:"
        )
        #expect(x.limits.memoryBytes == nil && x.limits.cpuMillis == nil && x.limits.pids == 4_194_304)
        #expect(x.user == nil && x.hostname == nil && x.stopGracePeriod == .zero && x.workingDirectory == "/app/src" && x.labels.isEmpty)
    }

    @Test(arguments: [
        ("command: echo $(date) 50$ a$", ["echo", "$(date)", "50$", "a$"]), ("command: ['$2y$10$abc', '$$HOME', 'x$']", ["$2y$10", "$HOME", "x$"]),
        ("command: [\"${N:-a$}\", '${N:-$$}']", ["a$", "$"]),
    ])
    func aDollarThatBeginsNoVariableIsItself(_ keys: String, _ words: [String]) throws { #expect(try Self.container(keys).command == words) }

    @Test func servicesMayHaveCapitals() throws {
        let result = RecipeReaderTests.read("name: t\nservices: { Web: { image: nginx }, web: { image: nginx } }\nvolumes: { }\n")
        #expect(result.recipe?.workloads.map(\.id.name.description) == ["Web", "web"], "\(result.diagnostics)")
        #expect(RecipeReaderTests.read("name: T\nservices: { Web: { image: nginx } }\n").recipe == nil)
    }

    @Test func notesAreKept() throws {
        let x = try Self.container(
            "container_name: My_web.1\n    labels: [a.b=c, d]\n    logging: { driver: json-file, options: { max-size: 1 mb, max-file: '3', tag: x } }\n    deploy: { replicas: 1, mode: replicated, labels: { a: b } }"
        )
        #expect(x.containerName == "My_web.1" && x.labels == ["a.b": "c", "d": ""] && x.logBytes == 3 << 20)
        #expect(x.attachments.map(\.aliases) == [["My_web.1"]])
    }

    @Test(arguments: [
        ("logging: { driver: gelf }", "use json-file, local or journald"), ("logging: { options: { max-size: big } }", "is not a size"),
        ("deploy: { mode: replicated-job }", "under 'jobs:'"),
        ("labels: x", "must be a mapping"), ("deploy: { mode: all }", "is not a mode"), ("pull_policy: sometimes", "is not a pull_policy"),
        ("platform: windows/amd64", "is not a platform"),
    ])
    func refusesWithAReason(_ keys: String, _ words: String) {
        let result = Self.read(keys)
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics)")
    }

    @Test func namesOfContainersAreOneEach() {
        let result = RecipeReaderTests.read("name: t\nservices: { x: { image: a, container_name: one }, y: { image: a, container_name: one } }\n")
        #expect(result.diagnostics.map(\.message) == ["two containers have the name 'one'"])
    }

    @Test func servicesOfOtherProfilesAreLeftOut() {
        func names(_ profiles: [String]?) -> [String]? {
            var source = RecipeSource(
                file: "berth.yaml", baseDirectory: "/srv/t",
                text: "services: { a: { image: a }, b: { image: b, profiles: [dev, test] }, c: { image: c, profiles: [ci] } }")
            source.profiles = profiles
            let inputs = RecipeInputs(variables: [:], readFile: { _ in "" }, zone: { throw NoZone(name: $0) }, hostZone: .utc)
            return RecipeReader.read(source, inputs).recipe?.workloads.map(\.id.name.description)
        }
        struct NoZone: Error { let name: String }
        #expect(names(nil) == ["a"] && names(["dev"]) == ["a", "b"] && names(["*"]) == ["a", "b", "c"] && names(["ci", "test"]) == ["a", "b", "c"])
    }

    // MARK: Images

    @Test(arguments: [
        ("postgres", "docker.io/library/postgres:latest"), ("postgres:16", "docker.io/library/postgres:16"),
        ("bitnami/redis:7.2", "docker.io/bitnami/redis:7.2"),
        ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"), ("localhost/x", "localhost/x:latest"), ("127.0.0.1:5000/x:1", "127.0.0.1:5000/x:1"),
        ("index.docker.io/x/y", "docker.io/x/y:latest"),
        ("docker.io/x", "docker.io/library/x:latest"), ("docker://quay.io/x/y_z:1", "quay.io/x/y_z:1"), ("a-b/c.d__e:T_1.0-x", "docker.io/a-b/c.d__e:T_1.0-x"),
        ("x@sha256:" + String(repeating: "a", count: 64), "docker.io/library/x@sha256:" + String(repeating: "a", count: 64)), ("oci:1.0", "oci:/srv/shop/1.0"),
    ])
    func namesOfImagesAreDockers(_ text: String, _ whole: String) throws {
        let result = RecipeReaderTests.read("name: t\nservices: { x: { image: '\(text)' } }\n")
        #expect(result.recipe?.workloads[0].container.image?.description == whole, "\(result.diagnostics)")
    }

    @Test(arguments: ["Nginx", "a//b", "/x", "x:", "x:-1", "a b", "x@md5:1", "x@sha256:12", "-x", "x-", "a..b", "h:99999/x", "", "x___y", "oci:"])
    func refusesWhatNamesNoImage(_ text: String) {
        let result = RecipeReaderTests.read("name: t\nservices: { x: { image: '\(text)' } }\n")
        #expect(result.recipe == nil, "\(text)")
    }

    @Test func pullPoliciesGoWithImages() throws {
        let text =
            "name: t\nservices: { a: { image: x, pull_policy: daily }, b: { image: y, pull_policy: every_12h, platform: linux/arm64 }, c: { image: x, pull_policy: always } }\n"
        let recipe = try #require(RecipeReaderTests.read(text).recipe)
        #expect(recipe.pullPolicies == ["docker.io/library/x:latest": .always, "docker.io/library/y:latest (linux/arm64)": .every(.seconds(43200))])
    }
}
