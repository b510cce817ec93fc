import Foundation
import Glibc
import TestKit
import Testing

/// Images of registries: a real one with TLS and a password, and one that fails in every way.
@Suite(
    .enabled(
        if: Requirement.root && ["docker-registry", "htpasswd", "openssl", "umoci", "sqlite3"].allSatisfy(Requirement.program),
        "needs root, docker-registry, htpasswd, openssl, umoci and sqlite3"), .serialized)
struct RegistryEndToEndTests {
    /// A program that ends with this.
    private final class Server {
        private let process = Process()

        init(_ arguments: [String], log: String) throws {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = arguments
            _ = FileManager.default.createFile(atPath: log, contents: nil)
            process.standardOutput = FileHandle(forWritingAtPath: log)
            process.standardError = process.standardOutput
            try process.run()
        }

        func end() {
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
        }

        deinit { end() }
    }

    static func shell(_ command: String, _ environment: [String: String] = [:]) -> (code: Int32, output: String, errors: String) {
        Instance.run("/bin/sh", ["-c", command], environment: environment.merging(["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]) { $1 })
    }

    /// A registry on a port of its own, and a daemon that trusts it and asks it in place of docker.io.
    private static func with(_ body: (Instance, _ registry: String, _ push: (_ tag: String, _ word: String) throws -> Void, _ end: () -> Void) throws -> Void)
        throws
    {
        let it = Instance()
        defer { it.finish() }
        let home = it.scratch.path
        let port = NetworkEndToEndTests.freePort()
        let registry = "127.0.0.1:\(port)"
        let prepared = shell(
            """
            cd \(home) && mkdir -p root/bin && cp $(command -v busybox) root/bin/sh \
            && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null \
            && htpasswd -Bbn me secret > htpasswd && umoci init --layout img
            """)
        try #require(prepared.code == 0, "\(prepared)")
        it.scratch.write(
            "registry.yml",
            """
            version: 0.1
            storage: { filesystem: { rootdirectory: \(home)/data } }
            http: { addr: "\(registry)", tls: { certificate: \(home)/cert.pem, key: \(home)/key.pem } }
            auth: { htpasswd: { realm: test, path: \(home)/htpasswd } }
            """)
        it.scratch.write(
            "home/.config/containers/registries.conf",
            """
            [[registry]]
            location = "docker.io"
            [[registry.mirror]]
            location = "\(registry)"
            """)
        let server = try Server(["docker-registry", "serve", "\(home)/registry.yml"], log: "\(home)/registry.log")
        defer { server.end() }
        let trust = ["SSL_CERT_FILE": "\(home)/cert.pem", "HOME": "\(home)/home"]
        it.wait(upTo: 10) { shell("skopeo list-tags --creds me:secret docker://\(registry)/none 2>&1", trust).output.contains("name unknown") }
        func push(_ tag: String, _ word: String) throws {
            let pushed = shell(
                """
                cd \(home) && umoci new --image img:\(word) && umoci insert --image img:\(word) root / \
                && umoci config --image img:\(word) --config.cmd /bin/sh --config.cmd -c --config.cmd 'echo $WORD' --config.env WORD=\(word) \
                && skopeo copy --dest-creds me:secret oci:img:\(word) docker://\(registry)/\(tag)
                """, trust)
            try #require(pushed.code == 0, "\(pushed)")
        }
        try it.start(environment: trust)
        try body(it, registry, push, server.end)
    }

    private static func signIn(_ it: Instance, _ registry: String, _ password: String) -> (code: Int32, output: String, errors: String) {
        it.scratch.write("password", password + "\n")
        return shell(
            "\(Requirement.programs)/berth login \(registry) --username me --password-stdin < \(it.scratch.path)/password", ["BERTH_SOCKET": it.socket])
    }

    @Test func imagesComeFromARegistry() throws {
        try Self.with { it, registry, push, end in
            try push("team/app:1", "one")
            it.scratch.write("berth.yaml", "name: t\njobs: { j: { image: '\(registry)/team/app:1' } }\n")
            func berth(_ words: String...) -> (code: Int32, output: String, errors: String) {
                Instance.run(
                    "\(Requirement.programs)/berth", words + ["-f", "\(it.scratch.path)/berth.yaml"], environment: ["BERTH_SOCKET": it.socket, "TZ": "UTC"])
            }
            let stranger = berth("up")
            #expect(stranger.code == 1 && stranger.errors.contains("sign in with 'berth login \(registry)'"), "\(stranger)")
            let wrong = Self.signIn(it, registry, "guess")
            #expect(wrong.code == 1 && wrong.errors.contains("does not take the name and password"), "\(wrong)")
            #expect(Self.signIn(it, registry, "secret").code == 0)
            // Only root may read it.
            #expect(Self.shell("stat -c %a \(it.scratch.path)/state/images/auth.json").output == "600\n")
            #expect(berth("up").code == 0)
            #expect(it.berth("run", "j", "--wait").output == "one\n")
            #expect(it.sql("select image like '\(registry)/team/app:1@sha256:%' from runs") == "1")
            #expect(it.berth("images").output.contains("\(registry)/team/app:1"))
            // A tag that has moved: nothing of it counts before somebody asks for it.
            try push("team/app:1", "two")
            #expect(berth("plan").output.contains("nothing to change"))
            #expect(berth("plan", "--pull", "always").output.contains("1 of 1 would change"))
            #expect(berth("up").output.contains("nothing to change") && it.berth("run", "j", "--wait").output == "one\n")
            #expect(berth("up", "--pull", "always").code == 0 && it.berth("run", "j", "--wait").output == "two\n")
            // Without the registry.
            end()
            #expect(berth("up").code == 0 && it.berth("run", "j", "--wait").output == "two\n")
            let gone = berth("up", "--pull", "always")
            #expect(gone.code == 1 && gone.errors.contains("nobody listens at \(registry)"), "\(gone)")
            it.kill()
            try it.start()
            #expect(it.berth("run", "j", "--wait").output == "two\n")
        }
    }

    @Test func shortNamesAreDockersAndMirrorsAreAsked() throws {
        try Self.with { it, registry, push, _ in
            try push("library/app:latest", "short")
            #expect(Self.signIn(it, registry, "secret").code == 0)
            // The mirror's own account: root's files are those that all tools for containers read.
            _ = Self.shell(
                "mkdir -p \(it.scratch.path)/home/.docker && cp \(it.scratch.path)/state/images/auth.json \(it.scratch.path)/home/.docker/config.json")
            it.kill()
            try it.start(environment: ["HOME": "\(it.scratch.path)/home", "SSL_CERT_FILE": "\(it.scratch.path)/cert.pem"])
            try it.apply("name: t\njobs: { j: { image: app }, k: { image: docker.io/app:latest } }\n")
            #expect(it.berth("run", "j", "--wait").output == "short\n" && it.berth("run", "k", "--wait").output == "short\n")
            #expect(it.sql("select count(*) from runs where image like 'docker.io/library/app:latest@sha256:%'") == "2")
            it.scratch.write("never.yaml", "name: u\njobs: { j: { image: other, pull_policy: never } }\n")
            let never = it.berth("up", "-f", "\(it.scratch.path)/never.yaml")
            #expect(never.code == 1 && never.errors.contains("'pull_policy: never' keeps it from being brought in"), "\(never)")
        }
    }

    /// Each failure has its own sentence, changes nothing, and heals.
    @Test func aRegistryMayFailInEveryWay() throws {
        try EndToEndTests.with { it in
            it.scratch.write(
                "registry.py",
                """
                import hashlib, http.server, json, sys, time
                config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]}, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
                layer = b"\\0" * 10240
                def digest(data): return "sha256:" + hashlib.sha256(data).hexdigest()
                config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]},
                    "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}).encode()
                manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
                    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}]}).encode()
                deep = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]},
                    "rootfs": {"type": "layers", "diff_ids": [digest(layer)] * 10000}}).encode()
                layers = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(deep), "size": len(deep)},
                    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}] * 10000}).encode()
                class Handler(http.server.BaseHTTPRequestHandler):
                    protocol_version = "HTTP/1.1"
                    def log_message(self, *_): pass
                    def say(self, code, body, kind="application/json", length=None):
                        self.send_response(code)
                        self.send_header("Content-Type", kind)
                        self.send_header("Content-Length", str(len(body) if length is None else length))
                        self.end_headers()
                        if self.command != "HEAD": self.wfile.write(body)
                    def do_HEAD(self): self.do_GET()
                    def do_GET(self):
                        if self.path == "/v2/": return self.say(200, b"{}")
                        name = self.path.split("/")[2]
                        if name == "limit": return self.say(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}')
                        if name == "fail": return self.say(500, b"")
                        if name == "missing": return self.say(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
                        if name == "huge" and "/manifests/" in self.path:
                            self.say(200, b"{" + b" " * 65535, "application/vnd.oci.image.manifest.v1+json", 1 << 30)
                            try:
                                for _ in range(16383):
                                    if self.command != "HEAD": self.wfile.write(b" " * 65536)
                            except OSError: pass
                            return self.connection.close()
                        if name == "layers" and "/manifests/" in self.path: return self.say(200, layers, "application/vnd.oci.image.manifest.v1+json")
                        if name == "layers" and digest(deep) in self.path: return self.say(200, deep, "application/octet-stream")
                        if "/manifests/" in self.path: return self.say(200, manifest, "application/vnd.oci.image.manifest.v1+json")
                        data = config if digest(config) in self.path else layer
                        if name == "wrong" and data is layer: data = b"\\1" + layer[1:]
                        if name == "cut" and data is layer:
                            self.say(200, layer[:100], "application/octet-stream", len(layer))
                            return self.connection.close()
                        if name == "slow" and data is layer: time.sleep(2)
                        self.say(200, data, "application/octet-stream")
                server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
                server.serve_forever()
                """)
            let port = NetworkEndToEndTests.freePort()
            let registry = "127.0.0.1:\(port)"
            it.scratch.write("home/.config/containers/registries.conf", "[[registry]]\nlocation = \"\(registry)\"\ninsecure = true\n")
            it.kill()
            try it.start(environment: ["HOME": "\(it.scratch.path)/home"])
            func up(_ name: String) -> (code: Int32, output: String, errors: String) {
                it.scratch.write("berth.yaml", "name: t\njobs: { j: { image: '\(registry)/\(name):1' } }\n")
                return it.berth("up", "-f", "\(it.scratch.path)/berth.yaml")
            }
            let closed = up("good")
            #expect(closed.code == 1 && closed.errors.contains("nobody listens at \(registry)"), "\(closed)")
            let server = try Server(["python3", "\(it.scratch.path)/registry.py", "\(port)"], log: "\(it.scratch.path)/server.log")
            defer { server.end() }
            it.wait(upTo: 10) { Self.shell("timeout 1 busybox wget -q -O - http://\(registry)/v2/").code == 0 }
            let failures = [
                ("limit", "takes no more requests for now"), ("fail", "fails: try again later"), ("missing", "has no such image or tag"),
                ("wrong", "is not what its manifest says"), ("cut", "broke the transfer off"), ("huge", "is larger than a manifest may be"),
                ("layers", "has 10000 layers, and the kernel mounts at most 500"),
            ]
            for (name, words) in failures {
                let failed = up(name)
                #expect(failed.code == 1 && failed.errors.contains(words) && failed.errors.contains("nothing was changed"), "\(name): \(failed)")
            }
            #expect(it.sql("select count(*) from recipe_rows") == "0" && it.berth("images").output == "there are no images\n")
            #expect(up("slow").code == 0 && up("good").code == 0)
        }
    }
}
