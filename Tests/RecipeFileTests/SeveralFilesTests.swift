import Foundation
import HostOS
import RecipeFile
import Schedules
import TestKit
import Testing
import WorkloadModel

/// Recipes of several files: merged, included, extended (Compose Specification, "Merge", "Include", "Extends").
@Suite struct SeveralFilesTests {
    /// - Parameter files: by name, below the recipe's folder unless absolute; those that begin with `over` are merged over it
    private static func read(_ text: String, _ files: [String: String], variables: [String: String] = [:]) -> RecipeReader.Result {
        let all = Dictionary(uniqueKeysWithValues: files.map { ($0.key.hasPrefix("/") ? $0.key : "/srv/shop/\($0.key)", $0.value) })
        var source = RecipeSource(file: "compose.yaml", baseDirectory: "/srv/shop", text: text)
        source.overlays = all.keys.filter { $0.hasPrefix("/srv/shop/over") }.sorted()
        struct Missing: Error {}
        let inputs = RecipeInputs(
            variables: variables,
            readFile: { path in
                guard let text = all[path] else { throw Missing() }
                return text
            }, zone: { try Make.zones.zone($0) }, hostZone: .utc)
        return RecipeReader.read(source, inputs)
    }

    private static func workloads(_ result: RecipeReader.Result) throws -> [String: ContainerSpec] {
        let recipe = try #require(result.recipe, "\(result.diagnostics)")
        return Dictionary(uniqueKeysWithValues: recipe.workloads.map { ($0.id.name.description, $0.container) })
    }

    private static let base = """
        name: t
        services:
          web:
            image: nginx
            command: [one, two]
            environment: { A: "1", B: "2" }
            ports: ["80:80"]
            volumes: ["data:/data", "./conf:/conf"]
            dns: 10.0.0.1
            labels: [a=1]
            healthcheck: { test: [CMD, x], interval: 5s }
            depends_on: [db]
          db: { image: postgres }
        volumes: { data: {} }
        """

    @Test func laterFilesAreMergedOver() throws {
        let result = Self.read(
            Self.base,
            [
                "over1.yaml": """
                services:
                  web:
                    command: [three]
                    environment: [B=3, C=4]
                    ports: ["80:80", "81:81"]
                    volumes: ["./other:/conf:ro", "./new:/new"]
                    dns: [10.0.0.2]
                    labels: { a: "2", b: "3" }
                    healthcheck: { test: [CMD, y] }
                    depends_on: { cache: { condition: service_started } }
                  cache: { image: redis }
                """, "over2.yaml": "services: { web: { image: 'nginx:2' } }\n",
            ])
        let web = try #require(try Self.workloads(result)["web"])
        #expect(web.image?.description == "docker.io/library/nginx:2" && web.command == ["three"])
        #expect(web.environment.mapValues(\.revealed) == ["A": "1", "B": "3", "C": "4"] && web.labels == ["a": "2", "b": "3"])
        #expect(web.ports.map(\.description).sorted() == ["80:80", "81:81"].sorted() || web.ports.count == 2)
        #expect(web.mounts.map(\.source) == [.volume("data"), .bind("/srv/shop/other"), .bind("/srv/shop/new")] && web.mounts[1].readOnly)
        #expect(web.resolver.servers.map(\.description) == ["10.0.0.1", "10.0.0.2"])
        #expect(web.healthCheck?.value.test == .command(["y"]) && web.healthCheck?.value.interval == .seconds(5))
        #expect(result.recipe?.workloads.first { $0.id.name.description == "web" }?.dependsOn.keys.map(\.description).sorted() == ["cache", "db"])
    }

    @Test func tagsTakeAwayAndReplace() throws {
        let web = try #require(
            try Self.workloads(
                Self.read(
                    Self.base,
                    [
                        "over.yaml":
                            "services:\n  web:\n    ports: !reset []\n    environment: !override { Z: \"9\" }\n    depends_on: !reset null\n    dns: !reset\n"
                    ]))["web"])
        #expect(web.ports.isEmpty && web.environment.mapValues(\.revealed) == ["Z": "9"] && web.resolver.servers.isEmpty)
    }

    @Test func whatIsIncludedIsAtHomeInItsFolder() throws {
        let result = Self.read(
            "name: t\ninclude: [lib/compose.yaml, { path: [more.yaml], project_directory: ../x, env_file: v.env }]\nservices: { web: { image: nginx, depends_on: [db] } }\n",
            [
                "lib/compose.yaml":
                    "services: { db: { image: 'postgres:${V}', volumes: ['./data:/data', '${D:-./d2}:/d2'], env_file: e.env, command: 'x $$HOME' } }\nsecrets: { s: { file: ./s.txt } }\n",
                "lib/e.env": "X=1\n", "lib/.env": "V=17\n",
                "more.yaml": "services: { cache: { image: 'redis:${V}', volumes: ['./c:/c'], labels: [\"p=${P}\"] } }\n",
                "v.env": "V=7\nP=a$$b\n",
            ])
        let all = try Self.workloads(result)
        #expect(all["db"]?.image?.description == "docker.io/library/postgres:17")
        #expect(all["db"]?.mounts.map(\.source) == [.bind("/srv/shop/lib/data"), .bind("/srv/shop/lib/d2")])
        #expect(all["db"]?.environment["X"]?.revealed == "1" && all["db"]?.command == ["x", "$HOME"])
        #expect(all["cache"]?.image?.description == "docker.io/library/redis:7" && all["cache"]?.mounts.map(\.source) == [.bind("/srv/x/c")])
        #expect(all["cache"]?.labels == ["p": "a$b"])
        // It reads the same again from what it carries.
        let again = RecipeReader.read(result.captured, RecipeInputs(of: result.captured, zone: { try Make.zones.zone($0) }, hostZone: .utc))
        #expect(again.recipe == result.recipe && again.recipe != nil, "\(again.diagnostics)")
    }

    @Test func whatIsSetOutsideWins() throws {
        let result = Self.read(
            "name: t\ninclude: [lib/c.yaml]\n", ["lib/c.yaml": "services: { a: { image: 'x:${V}' } }\n", "lib/.env": "V=2\n"], variables: ["V": "1"])
        #expect(try Self.workloads(result)["a"]?.image?.description == "docker.io/library/x:1")
    }

    @Test func servicesExtendOthers() throws {
        let result = Self.read(
            """
            name: t
            services:
              web: { extends: { service: common, file: lib/common.yaml }, environment: [B=2], command: [serve] }
              worker: { extends: web, command: [work] }
              plain: { extends: { service: worker } }
            """,
            [
                "lib/common.yaml":
                    "services:\n  common: { extends: root, image: nginx, volumes: [./c:/c], environment: { A: '1', B: '1' } }\n  root: { extends: { file: ../root.yaml, service: r } }\n",
                "root.yaml": "services: { r: { labels: { from: root }, volumes: [./r:/r] } }\n",
            ])
        let all = try Self.workloads(result)
        #expect(all["plain"]?.command == ["work"] && all["web"]?.command == ["serve"])
        #expect(all["plain"]?.environment.mapValues(\.revealed) == ["A": "1", "B": "2"] && all["plain"]?.labels == ["from": "root"])
        #expect(all["web"]?.mounts.map(\.source) == [.bind("/srv/shop/r"), .bind("/srv/shop/lib/c")])
    }

    @Test(arguments: [
        ("services: { a: { extends: b }, b: { extends: a } }", [:], "extends itself"), ("services: { a: { extends: a } }", [:], "'a' extends itself"),
        ("services: { a: { extends: wb }, web: { image: x } }", [:], "there is no service 'wb'; did you mean 'web'?"),
        ("services: { a: { extends: { file: none.yaml, service: x } } }", [:], "/srv/shop/none.yaml cannot be read"),
        ("services: { a: { extends: { file: f.yaml, service: x } } }", ["f.yaml": "services: {}\n"], "there is no service 'x' in /srv/shop/f.yaml"),
        ("services: { a: { extends: { service: b, fil: x } } }", [:], "did you mean 'file'?"), ("include: x.yaml", [:], "'include' must be a list"),
        ("include: [x.yaml]\nservices: { a: { image: x } }", ["x.yaml": "services: { a: { image: y } }\n"], "one name is one thing"),
        ("include: [x.yaml]", ["x.yaml": "include: [x.yaml]\n"], "include one another"), ("include: [{ env_file: x }]", [:], "needs its 'path'"),
        ("jobs: { a: { image: x, extends: b } }", [:], "it is for services"),
    ]) func refusesWithAReason(_ text: String, _ files: [String: String], _ words: String) {
        let result = Self.read("name: t\n\(text)\n", files)
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics.map(\.message))")
    }

    /// What is wrong in another file is told with that file's name and line.
    @Test func mistakesHaveTheirFile() {
        let result = Self.read("name: t\ninclude: [lib/c.yaml]\n", ["lib/c.yaml": "services:\n  a:\n    image: x\n    comand: y\n"])
        #expect(
            result.rendered(file: "compose.yaml").hasPrefix("/srv/shop/lib/c.yaml:4:5: error: unknown key 'comand'; did you mean 'command'?\n      comand: y"))
        let broken = Self.read("name: t\nservices: { a: { image: x } }\n", ["over.yaml": "services: [\n"])
        #expect(broken.rendered(file: "compose.yaml").hasPrefix("/srv/shop/over.yaml:"), "\(broken.rendered(file: "compose.yaml"))")
    }

    @Test func theProjectsNameMayComeFromOutside() {
        #expect(Self.read("name: t\nservices: { a: { image: x } }\n", [:], variables: ["COMPOSE_PROJECT_NAME": "shop"]).recipe?.project.description == "shop")
        #expect(Self.read("name: t\nservices: { a: { image: x } }\n", [:], variables: ["COMPOSE_PROJECT_NAME": "SHOP"]).recipe == nil)
    }

    // MARK: Each of these once came to something else than in Compose

    @Test func theShortFormSaysAllOfADependency() throws {
        let result = Self.read(
            "name: t\nservices: { a: { image: x, depends_on: { b: { condition: service_completed_successfully, required: false } } }, b: { image: x } }\n",
            ["over.yaml": "services: { a: { depends_on: [b] } }\n"])
        #expect(result.recipe?.workloads[0].dependsOn.values.map { $0 } == [Dependency()])
    }

    @Test func whatWasResetStaysSo() throws {
        let ports = try Self.workloads(
            Self.read(
                "name: t\nservices: { a: { image: x, ports: ['80:80'], command: [b], environment: { A: 1 } } }\n",
                [
                    "over1.yaml": "services: { a: { ports: !reset ['81:81'], command: null, environment: !reset { B: 2 } } }\n",
                    "over2.yaml": "services: { a: { ports: ['82:82'] } }\n",
                ]))["a"]
        #expect(ports?.ports.map(\.containerPort) == [82] && ports?.command == nil && ports?.environment.isEmpty == true)
    }

    @Test func formsThatSayTheSameAreOne() throws {
        let a = try Self.workloads(
            Self.read(
                "name: t\nservices: { a: { image: x, extra_hosts: ['b=2.2.2.2'], volumes: ['./a:/data'], configs: [s], ports: ['80:80'] } }\nconfigs: { s: { content: x }, t: { content: y } }\n",
                [
                    "over.yaml":
                        "services: { a: { extra_hosts: { a: 3.3.3.3 }, volumes: ['./b:/data/'], configs: [{ source: t, target: /s }], ports: ['80:80/tcp', { target: 80, published: '80' }] } }\n"
                ]))["a"]
        #expect(a?.extraHosts.map(\.name).sorted() == ["a", "b"] && a?.mounts.map(\.source) == [.bind("/srv/shop/b")])
        #expect(a?.files?.value.map(\.source) == [.text(EnvironmentValue("y"))] && a?.ports.count == 1)
    }

    @Test func variablesOfAnIncludeReachAllOfIt() throws {
        let result = Self.read(
            "name: t\ninclude: [{ path: sub/c.yaml, env_file: [e1, e2] }]\n",
            [
                "sub/c.yaml":
                    "services: { a: { image: x, environment: [TOK, 'W=${W}'], env_file: f.env, secrets: [s] } }\nsecrets: { s: { environment: TOK } }\n",
                "sub/f.env": "R=$TOK\n", "e1": "W=1\nTOK=in\nV=5\n", "e2": "W=${V}2\n",
            ])
        let a = try #require(try Self.workloads(result)["a"])
        #expect(a.environment.mapValues(\.revealed) == ["TOK": "in", "W": "52", "R": "in"] && a.files?.value.map(\.source) == [.text(EnvironmentValue("in"))])
    }

    @Test(arguments: ["name: p\n", ""]) func recipesMayNameTheirProject(_ name: String) throws {
        let a = try Self.workloads(Self.read("\(name)services: { a: { image: x, container_name: '${COMPOSE_PROJECT_NAME}-q' } }\n", [:]))["a"]
        #expect(a?.containerName == (name.isEmpty ? "shop-q" : "p-q"))
    }

    /// What includes itself, or comes back by many ways, ends soon.
    @Test(.timeLimit(.minutes(1))) func filesThatComeBackEnd() {
        let bomb = Self.read("name: t\ninclude: [b.yaml]\n", ["b.yaml": "include: [b.yaml, b.yaml]\nservices: { x: { image: a } }\n"])
        #expect(bomb.recipe == nil && bomb.diagnostics.contains { $0.message.contains("the files include one another: /srv/shop/b.yaml, which includes") })
        var files: [String: String] = [:]
        for level in 0..<18 { files["l\(level).yaml"] = "include: [l\(level + 1).yaml, ./l\(level + 1).yaml]\nservices: { s\(level): { image: a } }\n" }
        files["l18.yaml"] = "services: { x: { image: a } }\n"
        let wide = Self.read("name: t\ninclude: [l0.yaml]\n", files)
        #expect(wide.recipe == nil && wide.diagnostics.contains { $0.message.contains("what is included and extended here comes to more than") })
        let ports = Self.read("name: t\nservices: { a: { image: x, ports: ['1-65535'] } }\n", [:])
        #expect(ports.recipe != nil)
    }

    /// Merging compares ports before anything has said that they are ports.
    @Test(arguments: ["1-99999999999", "8000-9223372036854775807:80", "5-1", "65536", "-1--5", "::", "[", "/"])
    func aWrongPortIsAnErrorThroughAMerge(_ port: String) {
        let result = Self.read(
            "name: t\nservices: { a: { image: x, ports: ['\(port)'] } }\n", ["over.yaml": "services: { a: { ports: ['\(port)', '81:80'] } }\n"])
        #expect(result.recipe == nil && result.diagnostics.contains { $0.severity == .error }, "\(result.diagnostics)")
    }
}
