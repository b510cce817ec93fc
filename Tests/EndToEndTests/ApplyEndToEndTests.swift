import Foundation
import Glibc
import HostOS
import TestKit
import Testing

/// Recipes that are applied while others are, while their images are brought in, and while the daemon starts.
@Suite(.enabled(if: Requirement.root && Requirement.program("sqlite3"), "needs root and sqlite3"), .serialized)
struct ApplyEndToEndTests {
    /// A daemon whose skopeo waits, when it copies the image `slow`, for a file; with recipes of that image and of none.
    private static func with(_ body: (Instance) throws -> Void) throws {
        let it = Instance()
        defer { it.finish() }
        let folder = it.scratch.path
        it.scratch.write(
            "bin/skopeo",
            """
            #!/bin/sh
            echo $$ >> \(folder)/asked
            case "$*" in *copy*slow*) while [ ! -e \(folder)/open ]; do sleep 0.02; done ;; esac
            exec /usr/bin/skopeo "$@"
            """, mode: 0o755)
        let made = Instance.run(
            "/bin/sh",
            [
                "-c",
                "cd \(folder) && mkdir -p root/bin && cp $(command -v busybox) root/bin/sh && umoci init --layout slow && umoci new --image slow:v1 && umoci insert --image slow:v1 root /",
            ], environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
        try #require(made.code == 0, "\(made)")
        it.scratch.write("slow.yaml", "name: t\njobs: { slow: { image: 'oci:\(folder)/slow:v1', command: [sh, -c, 'echo slow'] } }\n")
        it.scratch.write("fast.yaml", "name: t\njobs: { fast: { rootfs: host, command: ['true'] } }\n")
        try it.start(environment: ["PATH": "\(folder)/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
        try body(it)
    }

    /// The jobs in force, each with its project.
    private static func jobs(_ it: Instance) -> [String] {
        it.berth("ps").output.split(separator: "\n").dropFirst().map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
    }

    private static func beginSlow(_ it: Instance) throws -> Process {
        let process = try it.begin("up", "-f", "\(it.scratch.path)/slow.yaml")
        // It is inspected first, and copied then.
        it.wait(upTo: 30) { (it.scratch.text("asked") ?? "").split(separator: "\n").count >= 2 }
        return process
    }

    @Test func recipesOfAProjectTakeEffectInTheOrderInWhichTheyCame() throws {
        try Self.with { it in
            let first = try Self.beginSlow(it)
            let second = try it.begin("up", "-f", "\(it.scratch.path)/fast.yaml")
            // Others do not wait for it.
            it.scratch.write("other.yaml", "name: u\njobs: { other: { rootfs: host, command: ['true'] } }\n")
            #expect(it.berth("up", "-f", "\(it.scratch.path)/other.yaml").code == 0)
            #expect(first.isRunning && second.isRunning)
            it.scratch.write("open", "")
            first.waitUntilExit()
            second.waitUntilExit()
            #expect(first.terminationStatus == 0 && second.terminationStatus == 0)
            #expect(Self.jobs(it) == ["t fast", "u other"])
            #expect(it.sql("select group_concat(kind) from events where project = 't' and kind = 'applied'") == "applied,applied")
        }
    }

    @Test func whoLeavesTakesARecipeAlong() throws {
        try Self.with { it in
            let first = try Self.beginSlow(it)
            kill(first.processIdentifier, SIGINT)
            first.waitUntilExit()
            // Its skopeo is ended, and the next one does not wait for the file.
            #expect(it.berth("up", "-f", "\(it.scratch.path)/fast.yaml").code == 0)
            let process = (it.scratch.text("asked") ?? "").split(separator: "\n").last.flatMap { pid_t($0) } ?? 0
            #expect(process > 0 && kill(process, 0) != 0)
            it.scratch.write("open", "")
            #expect(Self.jobs(it) == ["t fast"])
            #expect(it.sql("select count(*) from events where project = 't' and kind = 'applied'") == "1")
            // Nothing of it is in the way of another attempt.
            #expect(it.berth("up", "-f", "\(it.scratch.path)/slow.yaml").code == 0)
            #expect(it.berth("run", "slow", "--wait").output == "slow\n")
        }
    }

    @Test func aProjectThatIsTakenDownDoesNotComeBack() throws {
        try Self.with { it in
            #expect(it.berth("up", "-f", "\(it.scratch.path)/fast.yaml").code == 0)
            let first = try Self.beginSlow(it)
            #expect(it.berth("down", "t").code == 0)
            it.scratch.write("open", "")
            first.waitUntilExit()
            #expect(first.terminationStatus == 1)
            #expect(Self.jobs(it) == [])
        }
    }

    /// A reload that is asked for at any moment of the start comes after it, and images of recipe files keep nobody from the socket.
    @Test func aReloadWhileTheDaemonStartsIsDone() throws {
        try Self.with { it in
            _ = it.terminate()
            let folder = it.scratch.path
            it.scratch.write("recipes/slow.yaml", it.scratch.text("slow.yaml") ?? "")
            var sent = 0
            try it.start(environment: ["PATH": "\(folder)/bin:/usr/sbin:/usr/bin:/sbin:/bin"]) { process in
                // Once it catches the signal, whose default action would end it: the lowest bit of the masks.
                let status = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)) ?? ""
                let masks = status.split(separator: "\n").filter { $0.hasPrefix("SigIgn:") || $0.hasPrefix("SigCgt:") }
                if masks.contains(where: { ($0.last?.hexDigitValue ?? 0) & 1 == 1 }) {
                    // Some at once: a fast start is looked at only a few times.
                    for _ in 0..<4 {
                        kill(process.processIdentifier, SIGHUP)
                        sent += 1
                        usleep(200)
                    }
                }
                usleep(500)
            }
            #expect(sent > 3, "\(sent)")
            #expect(it.berth("ps").code == 0)
            it.wait(upTo: 30) { (it.scratch.text("asked") ?? "").split(separator: "\n").count >= 2 }
            #expect(Self.jobs(it) == [])
            it.scratch.write("open", "")
            it.wait(upTo: 30) { Self.jobs(it) == ["t slow"] }
            #expect(it.log_.contains("reading recipes again") && it.berth("run", "slow", "--wait").output == "slow\n")
            // A stop does not wait for an image either.
            unlink("\(folder)/open")
            _ = Instance.run("/bin/sh", ["-c", "cd \(folder) && cp -r slow slow2"], environment: ["PATH": "/usr/bin:/bin"])
            it.scratch.write("recipes/slow.yaml", (it.scratch.text("slow.yaml") ?? "").replacingOccurrences(of: "/slow:", with: "/slow2:"))
            let asked = (it.scratch.text("asked") ?? "").split(separator: "\n").count
            it.hangUp()
            it.wait(upTo: 30) { (it.scratch.text("asked") ?? "").split(separator: "\n").count >= asked + 2 }
            #expect(it.terminate() == 0)
        }
    }

    // MARK: Images

    /// Makes the image `web:v1`, or puts another file into it.
    private static func makeImage(_ it: Instance, saying text: String) throws {
        let made = Instance.run(
            "/bin/sh",
            [
                "-c",
                """
                cd \(it.scratch.path) && mkdir -p files/bin && cp $(command -v busybox) files/bin/sh && cp files/bin/sh files/bin/cat && cp files/bin/sh files/bin/sleep \
                && echo \(text) > files/hello && { [ -e web ] || { umoci init --layout web && umoci new --image web:v1; } } && umoci insert --image web:v1 files /
                """,
            ], environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
        try #require(made.code == 0, "\(made)")
    }

    /// Identities of the images in the store.
    private static func images(_ it: Instance) -> [String] {
        struct Image: Decodable { let id: String }
        let text = it.scratch.text("state/images/overlay-images/images.json") ?? "[]"
        return ((try? JSONDecoder().decode([Image].self, from: Data(text.utf8))) ?? []).map(\.id).sorted()
    }

    @Test func aChangedImageIsAChangedRecipe() throws {
        let it = Instance()
        defer { it.finish() }
        try Self.makeImage(it, saying: "one")
        let recipe = """
            name: t
            services:
              w: { image: 'oci:\(it.scratch.path)/web:v1', command: [sh, -c, 'cat /hello; sleep 1000'], restart: always, init: true, stop_grace_period: 1s }
              other: { rootfs: host, command: [sleep, '1000'], init: true }
            jobs:
              j: { image: 'oci:\(it.scratch.path)/web:v1', command: [cat, /hello] }
            """
        func actions(_ verb: String) throws -> [String] {
            struct Plan: Decodable {
                struct Step: Decodable { let name, action: String; let reasons: [String] }
                let steps: [Step]
            }
            let result = it.berth(verb, "-f", "\(it.scratch.path)/berth.yaml", "--json")
            return try JSONDecoder().decode(Plan.self, from: Data(result.output.utf8)).steps.map {
                "\($0.name) \($0.action) \($0.reasons.joined(separator: " "))"
            }
        }
        try it.start(["--keep-images", "0s"])
        try it.apply(recipe)
        let keep = ["j keep ", "other keep ", "w keep "]
        #expect(try actions("plan") == keep)
        #expect(try actions("up") == keep)
        let first = Self.images(it)
        #expect(first.count == 1 && it.berth("run", "j", "--wait").output == "one\n")
        try Self.makeImage(it, saying: "two")
        // What is in force is what was applied, for the next daemon too.
        #expect(it.berth("run", "j", "--wait").output == "one\n")
        it.kill()
        try it.start(["--keep-images", "0s"])
        #expect(it.berth("run", "j", "--wait").output == "one\n")
        let changed = ["j change image", "other keep ", "w restart image"]
        #expect(try actions("plan") == changed)
        #expect(it.sql("select count(*) from runs where name = 'w'") == "1" && Self.images(it) == first)
        #expect(try actions("up") == changed)
        #expect(try actions("plan") == keep)
        #expect(it.berth("run", "j", "--wait").output == "two\n")
        it.wait(upTo: 20) {
            it.sql("select count(*) from runs where name = 'w' and state = 'running' and due_at is null") == "1" && it.berth("logs", "w").output == "two\n"
        }
        #expect(it.berth("logs", "w").output == "two\n")
        #expect(it.sql("select count(distinct image) from runs where name = 'w'") == "2" && it.sql("select count(*) from runs where name = 'other'") == "1")
        // The old one is removed once nothing runs from it.
        #expect(try actions("up") == keep)
        func linked() -> [String] { HostFile.names(in: "\(it.scratch.path)/state/images/berth-layers") }
        it.wait(upTo: 20) { Self.images(it).count == 1 && linked().count == 1 }
        #expect(Self.images(it).count == 1 && Self.images(it) != first)
        #expect(linked() == Self.images(it))
        #expect(it.berth("run", "j", "--wait").output == "two\n")
        #expect(it.berth("down", "t").code == 0)
        // Skopeo takes an image out of its list first, then its layers off the disk.
        func layers() -> [String] { HostFile.names(in: "\(it.scratch.path)/state/images/overlay").filter { $0.count == 64 } }
        it.wait(upTo: 20) { Self.images(it).isEmpty && layers().isEmpty }
        #expect(Self.images(it) == [] && layers() == [])
        try it.apply(recipe)
        #expect(it.berth("run", "j", "--wait").output == "two\n")
    }

    @Test func imagesStayForAWhileAndGoWhenAskedTo() throws {
        let it = Instance()
        defer { it.finish() }
        try Self.makeImage(it, saying: "one")
        try it.start(["--keep-images", "100d"])
        let name = "oci:\(it.scratch.path)/web:v1"
        it.scratch.write("pulled.yaml", "name: t\njobs: { j: { image: '\(name)', command: [cat, /hello] } }\n")
        // A recipe that is not in force has its images brought in.
        let pulled = it.berth("-f", "\(it.scratch.path)/pulled.yaml", "pull")
        #expect(pulled.code == 0 && pulled.output == "\(name) is there\n", "\(pulled)")
        #expect(it.sql("select count(*) from runs") == "0" && it.berth("ps", "--json").output == "[]\n")
        try it.apply("name: t\njobs: { j: { image: '\(name)', command: [cat, /hello] } }\n")
        #expect(it.berth("images").output.contains("t/j"))
        let refused = it.berth("rmi", name)
        #expect(refused.code == 1 && refused.errors.contains("is the image of t/j: it stays"), "\(refused)")
        #expect(it.berth("prune").output == "there is nothing to remove\n")
        // Taken down, it stays: its source is not needed to bring the project up again.
        #expect(it.berth("down", "t").code == 0)
        let since = "\(it.scratch.path)/state/images/unneeded/\(Self.images(it)[0])"
        it.wait(upTo: 20) { HostFile.exists(since) }
        #expect(Self.images(it).count == 1 && HostFile.exists(since))
        try it.apply("name: t\njobs: { j: { image: '\(name)', command: [cat, /hello] } }\n")
        #expect(it.berth("run", "j", "--wait").output == "one\n")
        it.wait(upTo: 20) { !HostFile.exists(since) }
        #expect(!HostFile.exists(since))
        #expect(it.berth("down", "t").code == 0)
        let unknown = it.berth("rmi", "nobody")
        #expect(unknown.code == 1 && unknown.errors.contains("there is no image 'nobody': 'berth images' lists them"))
        #expect(it.berth("rmi", String(Self.images(it)[0].prefix(12))).output == "removed \(name)\n")
        #expect(Self.images(it) == [])
        #expect(it.berth("-f", "\(it.scratch.path)/pulled.yaml", "pull").code == 0)
        #expect(it.berth("prune").output == "removed \(name)\n" && Self.images(it) == [])
    }
}
