import Foundation
import Glibc
import Schedules
import TestKit
import Testing

/// The daemon's door: its files, its socket, the recipes that it reads, the text that it shows.
@Suite(.enabled(if: Requirement.root && Requirement.program("sqlite3"), "needs root and sqlite3"), .serialized)
struct SecurityEndToEndTests {
    private static func recipe(_ name: String) -> String { "name: \(name)\njobs: { j: { rootfs: host, command: ['true'] } }\n" }

    // MARK: Files

    /// CVE-2019-9704's kind: a local user must not keep the daemon from starting.
    @Test("CVE-2019-9704: a lock of any user on the runtime directory is no lock") func aLockOfAnyUserOnTheRuntimeDirectoryIsNoLock() throws {
        let it = Instance()
        defer { it.finish() }
        for directory in ["run", "state"] {
            try FileManager.default.createDirectory(atPath: "\(it.scratch.path)/\(directory)", withIntermediateDirectories: true)
        }
        chmod("\(it.scratch.path)/run", 0o755)
        chmod("\(it.scratch.path)/state", 0o755)
        // As another user would: by the directory, which everybody may read.
        var held: [Int32] = []
        for directory in ["run", "state"] {
            let fd = open("\(it.scratch.path)/\(directory)", O_RDONLY | O_DIRECTORY)
            #expect(flock(fd, LOCK_EX) == 0)
            held.append(fd)
        }
        defer { for fd in held { close(fd) } }
        try it.start()
        #expect(it.berth("version", "--json").code == 0)
        var info = stat()
        for directory in ["run", "state"] {
            #expect(stat("\(it.scratch.path)/\(directory)/lock", &info) == 0 && info.st_mode & 0o777 == 0o600 && info.st_uid == 0)
        }
        // A second daemon still finds it held.
        let second = Instance.run(
            "\(Requirement.programs)/berthd", ["--state-dir", "\(it.scratch.path)/state", "--runtime-dir", "\(it.scratch.path)/run2"], environment: [:])
        #expect(second.code == 75 && second.errors.contains("another berthd"))
    }

    struct Trust: Sendable {
        let name: String
        let prepare: @Sendable (_ folder: String, _ file: String) -> Void
        let words: String?
    }

    /// As cron demands of its tables (CVE-2017-9525): owner, mode, kind, number of names, and the same of the folders above.
    static let trust: [Trust] = [
        Trust(name: "root's own", prepare: { _, _ in }, words: nil),
        Trust(
            name: "a link of root's",
            prepare: { folder, file in
                rename(file, "\(folder)/real"); symlink("real", file)
            }, words: nil),
        Trust(name: "somebody's", prepare: { _, file in chown(file, 1000, 0) }, words: "it belongs to user 1000"),
        Trust(name: "a group may write", prepare: { _, file in chmod(file, 0o664) }, words: "written by others than root (mode 664)"),
        Trust(name: "all may write", prepare: { _, file in chmod(file, 0o646) }, words: "written by others than root (mode 646)"),
        Trust(name: "two names", prepare: { folder, file in link(file, "\(folder)/again") }, words: "it has 2 names"),
        Trust(
            name: "a pipe",
            prepare: { _, file in
                unlink(file); mkfifo(file, 0o600)
            }, words: "not a regular file"),
        Trust(
            name: "a folder",
            prepare: { _, file in
                unlink(file); mkdir(file, 0o755)
            }, words: "not a regular file"),
        Trust(
            name: "somebody's link",
            prepare: { folder, file in
                rename(file, "\(folder)/real"); symlink("real", file); lchown(file, 1000, 0)
            }, words: "belongs to user 1000"),
        Trust(name: "somebody's folder", prepare: { folder, _ in chown(folder, 1000, 0) }, words: "the folder 'trust' belongs to user 1000"),
        Trust(name: "a folder that all may write", prepare: { folder, _ in chmod(folder, 0o777) }, words: "the folder 'trust' can be written"),
        Trust(
            name: "somebody's .env",
            prepare: { folder, _ in
                _ = FileManager.default.createFile(atPath: "\(folder)/.env", contents: Data("A=1\n".utf8)); chown("\(folder)/.env", 1000, 0)
            }, words: ".env is not read: it belongs to user 1000"),
    ]

    @Test("CVE-2017-9525: recipe files that the daemon reads must be root's") func recipeFilesThatTheDaemonReadsMustBeRoots() throws {
        for one in Self.trust {
            let it = Instance()
            defer { it.finish() }
            let folder = "\(it.scratch.path)/trust"
            it.scratch.write("trust/r.yaml", Self.recipe("t"))
            chmod(folder, 0o755)
            one.prepare(folder, "\(folder)/r.yaml")
            try it.start(["--recipe", "\(folder)/r.yaml"])
            let isRead = one.words ?? "recipe applied"
            it.wait(upTo: 20) { it.log_.contains(isRead) }
            let applied = it.sql("select count(*) from recipe_rows") == "1"
            if let words = one.words {
                #expect(!applied && it.log_.contains(words), "\(one.name): \(it.log_)")
            } else {
                #expect(applied, "\(one.name): \(it.log_)")
            }
        }
    }

    @Test func aFileIsNotReadBeforeItsSizeIsLookedAt() throws {
        try EndToEndTests.with { it in
            it.scratch.write("big.yaml", "name: t\n")
            truncate("\(it.scratch.path)/big.yaml", 1 << 30)
            let up = it.berth("up", "-f", "\(it.scratch.path)/big.yaml")
            #expect(up.code == 1 && up.errors.contains("more than 1048576 bytes"))
            #expect(it.berth("validate", "-f", "\(it.scratch.path)/big.yaml").code == 1)
            it.scratch.write("t.yaml", "name: t\njobs: { j: { rootfs: host, command: ['true'], env_file: big.yaml } }\n")
            #expect(it.berth("up", "-f", "\(it.scratch.path)/t.yaml").errors.contains("more than 4194304 bytes"))
            // By the daemon itself.
            try FileManager.default.createDirectory(atPath: "\(it.scratch.path)/recipes", withIntermediateDirectories: true)
            rename("\(it.scratch.path)/big.yaml", "\(it.scratch.path)/recipes/big.yaml")
            it.hangUp()
            for _ in 0..<200 where !it.log_.contains("more than 1048576 bytes") { usleep(20_000) }
            #expect(it.log_.contains("more than 1048576 bytes"))
            let rss = Instance.run("/usr/bin/env", ["ps", "-o", "rss=", "-p", "\(it.daemon?.processIdentifier ?? 0)"], environment: ["PATH": "/usr/bin:/bin"])
            #expect((Int(rss.output.filter(\.isNumber)) ?? .max) < 400_000, "\(rss.output) KiB")
        }
    }

    /// The daemon's own environment may hold what is nobody's business.
    @Test func theDaemonsEnvironmentIsNotOpenToRecipes() throws {
        setenv("BERTH_CANARY", "leaked", 1)
        setenv("BERTH_GIVEN", "given", 1)
        defer {
            unsetenv("BERTH_CANARY")
            unsetenv("BERTH_GIVEN")
        }
        let it = Instance()
        defer { it.finish() }
        it.scratch.write("recipes/t.yaml", "name: t\njobs: { j: { rootfs: host, command: [echo, '${BERTH_CANARY:-none}', '${BERTH_GIVEN:-none}'] } }\n")
        try it.start(["--pass-variable", "BERTH_GIVEN"])
        try it.wait("select count(*) from recipe_rows", is: "1")
        #expect(it.berth("run", "j", "--wait").output == "none given\n")
    }

    @Test func valuesOfVariablesAreNotInTheDatabase() throws {
        let it = Instance()
        defer { it.finish() }
        try it.start()
        it.scratch.write("secrets.env", "PASSWORD=canary-from-a-file\n")
        it.scratch.write(".env", "TOKEN=canary-from-dot-env\n")
        try it.apply(
            """
            name: t
            jobs:
              j: { rootfs: host, command: [sh, -c, 'echo $$PASSWORD $$TOKEN $$INLINE'], env_file: secrets.env, environment: { TOKEN: "${TOKEN}", INLINE: canary-inline } }
              slow: { rootfs: host, command: [sh, -c, 'sleep 4; test "$$TOKEN" != canary-queued || exit 9'], overlap: queue }
            """)
        let words = "canary-from-a-file canary-from-dot-env canary-inline\n"
        #expect(it.berth("run", "j", "--wait").output == words)
        #expect(it.berth("run", "j", "--wait", "--env", "TOKEN=canary-by-hand").output.contains("canary-by-hand"))
        func files() -> String {
            ["berth.db", "berth.db-wal"].map {
                (try? Data(contentsOf: URL(fileURLWithPath: "\(it.scratch.path)/state/\($0)"))).map { String(decoding: $0, as: Unicode.ASCII.self) } ?? ""
            }
            .joined()
        }
        // A start that waits, too; it outlives the daemon.
        #expect(it.berth("run", "slow").code == 0 && it.berth("run", "slow", "--env", "TOKEN=canary-queued").code == 0)
        #expect(it.sql("select pending like 'sealed1:%' from job_rows where name = 'slow'") == "1")
        for canary in ["canary-from-a-file", "canary-from-dot-env", "canary-inline", "canary-by-hand", "canary-queued"] {
            #expect(!files().contains(canary), "\(canary)")
        }
        // The next daemon reads it all the same; without the key it says so, and keeps what is there.
        it.kill()
        try it.start()
        #expect(it.berth("run", "j", "--wait").output == words)
        try it.wait("select group_concat(exit_code) from runs where name = 'slow' and state = 'finished'", is: "0,9")
        it.kill()
        rename("\(it.scratch.path)/state/seal.key", "\(it.scratch.path)/state/seal.key.away")
        try it.start()
        #expect(it.log_.contains("sealed with another key") && it.sql("select count(*) from recipe_rows") == "1")
    }

    // MARK: Recipes

    @Test(arguments: ["/x:=", "/x:", "/x:=,", "/x:,=", ":", "=", "", "/x::", "/x:size=,mode=", "/x:mode=99999999999"])
    func noTmpfsEndsTheDaemon(text: String) throws {
        let it = Instance()
        defer { it.finish() }
        it.scratch.write("recipes/t.yaml", "name: t\njobs: { j: { rootfs: host, command: ['true'], tmpfs: ['\(text)'] } }\n")
        try it.start()
        #expect(it.log_.contains("t.yaml:2:") && it.sql("select count(*) from recipe_rows") == "0", "\(it.log_)")
        let post = it.ask(
            "POST /v1/plan",
            body:
                #"{"source":{"file":"t","baseDirectory":"/","text":"name: t\njobs: { j: { rootfs: host, command: [a], tmpfs: ['\#(text)'] } }","variables":{},"files":{}}}"#
        )
        #expect(post.hasPrefix("HTTP/1.1 422"), "\(post)")
        #expect(it.berth("version").code == 0)
    }

    /// A recipe in whose reading the daemon died is not read again as it is.
    @Test func aRecipeThatEndedTheDaemonIsSetAside() throws {
        let it = Instance()
        defer { it.finish() }
        let file = "\(it.scratch.path)/recipes/t.yaml"
        it.scratch.write("recipes/t.yaml", Self.recipe("t"))
        it.scratch.write("recipes/u.yaml", Self.recipe("u"))
        var info = stat()
        stat(file, &info)
        // What a daemon leaves that dies while it reads the file.
        let stamp = "\(info.st_size) \(info.st_mtim.tv_sec).\(info.st_mtim.tv_nsec) \(info.st_ino)"
        it.scratch.write("state/being-read/1", #"{"key":"\#(file)","stamp":"\#(stamp)","most":1,"deaths":0}"#)
        chmod("\(it.scratch.path)/state", 0o700)
        try it.start()
        try it.wait("select group_concat(project) from recipe_rows", is: "u")
        #expect(it.log_.contains("the daemon died while it read a recipe") && it.log_.contains("is set aside"))
        // Changed, it is read.
        it.scratch.write("recipes/t.yaml", Self.recipe("t") + "# changed\n")
        it.hangUp()
        try it.wait("select count(*) from recipe_rows", is: "2")
        // What is in force is not set aside for one death, which may have been anybody's, but for a second one.
        let text = Self.recipe("u")
        for deaths in 1...2 {
            it.kill()
            it.scratch.write(
                "state/being-read/1",
                #"{"key":"the stored recipe of \#(it.scratch.path)/recipes/u.yaml","stamp":"\#(StableHash(text).value)","most":2,"deaths":\#(deaths - 1)}"#)
            try it.start()
            #expect(it.log_.contains("a stored recipe cannot be read now") == (deaths == 2), "\(deaths)")
            // The file of the recipe is whole, and applies it again.
            #expect(it.sql("select group_concat(project) from recipe_rows") == "t,u")
        }
    }

    @Test func hugeRecipesFullOfMistakesHoldNobodyUp() throws {
        try EndToEndTests.with { it in
            try it.apply("name: t\njobs: { tick: { rootfs: host, command: ['true'], schedule: every 1s } }")
            let keys = (0..<40_000).map { "  unknown_key_number_\($0): 1\n" }.joined()
            it.scratch.write("big.yaml", "name: u\n\(keys.replacingOccurrences(of: "  ", with: ""))")
            let before = it.sql("select count(*) from due_times where result = 'ran'")
            // Many at once, by the API as `plan` asks.
            let text = try #require(it.scratch.text("big.yaml")).replacingOccurrences(of: "\n", with: "\\n")
            let body = #"{"source":{"file":"big","baseDirectory":"/","text":"\#(text)","variables":{},"files":{}}}"#
            let socket = it.socket
            let threads = (0..<8).map { _ in
                Thread { _ = Instance.ask(socket, "POST /v1/plan", body: body) }
            }
            for thread in threads { thread.start() }
            sleep(4)
            while threads.contains(where: { !$0.isFinished }) { usleep(20_000) }
            let after = it.sql("select count(*) from due_times where result = 'ran'")
            #expect((Int(after) ?? 0) - (Int(before) ?? 0) >= 3, "\(before) to \(after)")
            #expect((Int(it.sql("select max(started_ms - due_ms) from run_rows where due_ms is not null")) ?? .max) < 1500)
        }
    }

    // MARK: The socket

    @Test func idleAndHalfRequestsAreLetGo() throws {
        try EndToEndTests.with { it in
            // More than may be there at once; some say nothing, some say half.
            var idle: [Int32] = []
            for index in 0..<400 {
                guard let fd = it.connect() else { break }
                if index % 2 == 0 { _ = "POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Len".withCString { send(fd, $0, strlen($0), Int32(MSG_NOSIGNAL)) } }
                idle.append(fd)
            }
            defer { for fd in idle { close(fd) } }
            #expect(idle.count == 400)
            #expect(it.berth("version", "--json").output.contains("berthd"))
            try it.apply("name: t\njobs: { j: { rootfs: host, command: ['true'] } }")
            #expect(it.berth("run", "j", "--wait").code == 0)
            // All are gone after the time for a first request.
            for _ in 0..<100 where !idle.allSatisfy({ Self.isClosed($0) }) { usleep(100_000) }
            #expect(idle.allSatisfy { Self.isClosed($0) })
        }
    }

    private static func isClosed(_ fd: Int32) -> Bool {
        var byte: UInt8 = 0
        let got = recv(fd, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK))
        return got == 0 || got < 0 && errno != EAGAIN
    }

    /// Root in a container is root's number outside, so the socket's check of it must not be reached: neither by its path nor,
    /// with the host's network, by an abstract name.
    @Test("CVE-2020-15257: a container of the host's network reaches no socket of the daemon's") func noContainerReachesTheSocket() throws {
        try EndToEndTests.with { it in
            let script = """
                import os, socket
                for path in ["\(it.socket)"]:
                    try:
                        socket.socket(socket.AF_UNIX).connect(path); print("CONNECTED", path)
                    except OSError as error: print(error.errno)
                """
            it.scratch.write("connect.py", script)
            try it.apply(
                "name: t\njobs: { j: { rootfs: host, network_mode: host, command: [python3, '\(it.scratch.path)/connect.py'], volumes: ['\(it.scratch.path):/m'] } }\n"
            )
            #expect(it.berth("run", "j", "--wait").output == "2\n")
            let abstract = (try? String(contentsOfFile: "/proc/\(it.daemon?.processIdentifier ?? 0)/net/unix", encoding: .utf8))?.split(separator: "\n") ?? []
            #expect(!abstract.contains { $0.contains(" @") && $0.contains("berth") })
        }
    }

    @Test func aBodyThatIsTooLargeIsRefusedAtOnce() throws {
        try EndToEndTests.with { it in
            let announced = it.ask("POST /v1/plan", head: "Content-Length: 100000000", body: "{")
            #expect(announced.hasPrefix("HTTP/1.1 413"), "\(announced.prefix(200))")
            // Not announced: in chunks, without an end.
            guard let fd = it.connect() else { return }
            defer { close(fd) }
            _ = "POST /v1/plan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".withCString { send(fd, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
            let chunk = Array("100000\r\n".utf8) + [UInt8](repeating: 0x20, count: 1 << 20) + Array("\r\n".utf8)
            var sent = 0
            while sent < 80 {
                var rest = chunk[...]
                while !rest.isEmpty {
                    let n = rest.withUnsafeBytes { send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                    if n <= 0 { break }
                    rest = rest.dropFirst(n)
                }
                if !rest.isEmpty { break }
                sent += 1
            }
            #expect(sent >= 60 && it.berth("version").code == 0)
            #expect(Instance.receive(fd).hasPrefix("HTTP/1.1 413"))
        }
    }

    // MARK: Text of others

    @Test("CVE-2021-25743: a recipe's escapes are shown and not obeyed") func aRecipesEscapesAreShownAndNotObeyed() throws {
        try EndToEndTests.with { it in
            let hostile = "\u{1B}]0;owned\u{07}\u{9B}31m\u{202E}evil"
            it.scratch.write(
                "h.yaml",
                "name: t\njobs:\n  j:\n    rootfs: host\n    command: ['true']\n    \"\(hostile.replacingOccurrences(of: "\u{1B}", with: "\\e").replacingOccurrences(of: "\u{07}", with: "\\a").replacingOccurrences(of: "\u{9B}", with: "\\x9b"))\": 1\n"
            )
            for verb in ["validate", "plan", "up"] {
                let result = it.berth(verb, "-f", "\(it.scratch.path)/h.yaml")
                #expect(result.code == 1)
                let harmful: [Unicode.Scalar] = ["\u{1B}", "\u{07}", "\u{9B}", "\u{202E}"]
                for text in [result.output, result.errors] { #expect(!text.unicodeScalars.contains { harmful.contains($0) }, "\(verb)") }
                #expect(result.errors.contains("^[]0;owned^G<U+9B>31m<U+202E>evil"), "\(verb): \(result.errors)")
            }
            try it.apply("name: t\njobs: { j: { rootfs: host, command: [\"echo\", \"\\e[31m\\x9b\\u202e\"] } }\n")
            let json = it.berth("inspect", "j", "--json").output
            #expect(json.contains("\\u009b") && json.contains("\\u202e"))
            #expect(!json.unicodeScalars.contains { $0.value == 0x9B || $0.value == 0x202E || $0.value == 0x1B })
        }
    }

    @Test func aCalendarThatIsNoneDoesNotShowWhatItIs() throws {
        try EndToEndTests.with { it in
            it.scratch.write("shadow", "root:$6$canary$hash:19000:0:99999:7:::\n", mode: 0o600)
            it.scratch.write("c.yaml", "name: t\ncalendars: { c: { file: shadow } }\njobs: { j: { rootfs: host, command: ['true'] } }\n")
            let result = it.berth("up", "-f", "\(it.scratch.path)/c.yaml")
            #expect(result.code == 1 && result.errors.contains("shadow:1: this is not a date") && !result.errors.contains("canary"))
        }
    }

    // MARK: The disk

    /// A file system of its own.
    struct SmallDisk {
        let scratch = Scratch("disk")
        var mount: String { "\(scratch.path)/mnt" }

        init(megabytes: Int) throws {
            scratch.write("image", "")
            truncate("\(scratch.path)/image", off_t(megabytes) << 20)
            try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
            try #require(SmallDisk.sh("mkfs.ext4 -q -m 0 -N 40000 \(scratch.path)/image && mount -o loop \(scratch.path)/image \(mount)") == 0)
        }

        func unmount() { _ = SmallDisk.sh("umount \(mount) || umount -l \(mount)") }

        static func sh(_ line: String) -> Int32 {
            Instance.run("/bin/sh", ["-c", line], environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]).code
        }
    }

    /// Where not even the database can be opened, the socket says so, and the daemon goes on by itself when there is space.
    @Test func aDaemonWhoseDiskIsFullListensAndSaysSo() throws {
        let disk = try SmallDisk(megabytes: 128)
        defer { disk.unmount() }
        let it = Instance(state: "\(disk.mount)/state")
        defer { it.finish() }
        try it.start()
        try it.apply("name: t\njobs: { j: { rootfs: host, command: ['true'] } }\n")
        #expect(it.berth("run", "j", "--wait").code == 0 && it.terminate() == 0)
        // The last to close it takes the files beside it along; a daemon has to make them anew.
        #expect(it.sql("pragma journal_mode = delete", writing: true) == "delete")
        _ = SmallDisk.sh("rm \(disk.mount)/state/reserve; cat /dev/zero > \(disk.mount)/big; dd if=/dev/zero of=\(disk.mount)/rest bs=1")
        try it.start()
        for verb in ["ps", "runs", "due"] {
            let result = it.berth(verb)
            #expect(result.code == 1 && result.errors.contains("the history cannot be opened") && result.errors.contains("the disk is full"), "\(result)")
        }
        let doctor = it.berth("doctor")
        #expect(doctor.code == 1 && doctor.output.contains("the disk is full"), "\(doctor)")
        #expect(it.log_.contains("the history cannot be opened"))
        _ = SmallDisk.sh("rm \(disk.mount)/big \(disk.mount)/rest")
        it.wait(upTo: 20) { it.berth("ps").code == 0 }
        #expect(it.berth("run", "j", "--wait").code == 0)
        #expect(it.sql("select group_concat(outcome) from runs") == "succeeded,succeeded")
    }

    /// One container takes all bytes or inodes of the state disk: it is frozen and named, and the others, the jobs and the history go on.
    @Test(.timeLimit(.minutes(10)), arguments: ["cat /dev/zero > /big", "i=0; while :; do i=$((i + 1)); : > /file.$i; done"])
    func whoFillsTheDiskIsFrozenAndTheRestGoesOn(script: String) throws {
        let disk = try SmallDisk(megabytes: 512)
        defer { disk.unmount() }
        let it = Instance(state: "\(disk.mount)/state")
        defer { it.finish() }
        try it.start()
        try it.apply(
            """
            name: t
            services:
              filler: { rootfs: host, command: [sh, -c, "\(script.replacingOccurrences(of: "$", with: "$$"))"], init: true, restart: always, stop_grace_period: 1s }
              good: { rootfs: host, command: [sh, -c, "while :; do date > /tmp/now; sleep 0.2; done"], init: true }
            jobs:
              tick: { rootfs: host, command: ['true'], schedule: every 1s }
            """)
        it.wait(upTo: 60) { it.berth("ps").errors.contains("t/filler") }
        let notice = it.berth("ps").errors
        #expect(notice.contains("t/filler (run ") && notice.contains("is frozen until "), "\(notice)")
        #expect(it.berth("doctor").output.contains("t/filler"))
        let before = Int(it.sql("select count(*) from due_times where result = 'ran'")) ?? 0
        sleep(8)
        #expect((Int(it.sql("select count(*) from due_times where result = 'ran'")) ?? 0) - before >= 3)
        #expect(
            // On a busy machine a run may last longer than a second.
            it.sql("select name, result, reason, due_at from due_times where result != 'ran' and reason != 'overlap'") == "",
            "\(it.sql("select * from runs order by due_at limit 12")) \(it.log_)")
        #expect(it.sql("select group_concat(name || ' ' || state) from services") == "filler running,good running")
        // Stopped, it gives the space back.
        #expect(it.berth("stop", "filler").code == 0)
        it.wait(upTo: 20) { !it.berth("ps").errors.contains("filler") }
        #expect(!it.berth("ps").errors.contains("frozen"))
        #expect(it.sql("select name, reason from runs where outcome = 'start-error' limit 3") == "")
    }
}
