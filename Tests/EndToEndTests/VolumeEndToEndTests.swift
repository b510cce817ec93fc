import Foundation
import Glibc
import TestKit
import Testing

/// Volumes begin with what the image has at their places, and keep it.
@Suite(.enabled(if: Requirement.root && Requirement.program("umoci") && Requirement.program("sqlite3"), "needs root, umoci and sqlite3"), .serialized)
struct VolumeEndToEndTests {
    /// An image of busybox with files of several kinds in /data, which it says is a volume.
    private static func image(_ it: Instance) throws -> String {
        let build = Instance.run(
            "/bin/sh",
            [
                "-c",
                """
                cd \(it.scratch.path) && mkdir -p root/bin root/data/deep/er root/etc && cp $(command -v busybox) root/bin/busybox && ln -s busybox root/bin/sh \
                && echo hello > root/data/file && chown 7:8 root/data/file && chmod 4711 root/data/file && ln -s /etc/shadow root/data/link \
                && ln -s ../../../../etc/shadow root/data/deep/up && echo x > root/data/deep/er/x && chown 70:80 root/data && chmod 0750 root/data \
                && mknod root/data/disk b 8 0 && mkfifo root/data/pipe && dd if=/dev/zero of=root/data/large bs=1M count=3 2>/dev/null && ln root/data/large root/data/deep/large \
                && umoci init --layout img && umoci new --image img:v && umoci insert --image img:v root / && mkdir more && echo more > more/m \
                && umoci insert --image img:v more /etc/more && umoci config --image img:v --config.volume /data --config.cmd /bin/sh
                """,
            ], environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
        try #require(build.code == 0, "\(build)")
        return "oci:\(it.scratch.path)/img:v"
    }

    @Test func aVolumeBeginsWithWhatTheImageHas() throws {
        try EndToEndTests.with { it in
            let image = try Self.image(it)
            let look =
                "busybox stat -c '%n %u:%g %a %F' . file link deep/er/x pipe large; busybox ls -A | busybox wc -l; busybox cat file; busybox readlink link; busybox readlink deep/up; busybox stat -c %h large deep/large"
            try it.apply(
                """
                name: t
                volumes: { named: {}, bare: {} }
                jobs:
                  named: { image: '\(image)', volumes: ["named:/data"], working_dir: /data, command: [/bin/sh, -c, "\(look)"] }
                  bare: { image: '\(image)', volumes: ["bare:/data:nocopy"], command: [/bin/busybox, ls, -A, /data] }
                  change: { image: '\(image)', volumes: ["named:/data"], command: [/bin/sh, -c, "echo changed > /data/file; busybox rm /data/large"] }
                  again: { image: '\(image)', volumes: ["named:/data:ro"], command: [/bin/sh, -c, "busybox cat /data/file; busybox ls /data/large 2>&1"] }
                """)
            #expect(
                it.berth("run", "named", "--wait").output == """
                    . 70:80 750 directory
                    file 7:8 4711 regular file
                    link 0:0 777 symbolic link
                    deep/er/x 0:0 644 regular file
                    pipe 0:0 644 fifo
                    large 0:0 644 regular file
                    5
                    hello
                    /etc/shadow
                    ../../../../etc/shadow
                    2
                    2

                    """)
            #expect(it.berth("run", "bare", "--wait").output == "")
            #expect(it.berth("run", "change", "--wait").code == 0)
            // What was changed stays so: it is copied into a volume that is empty, and into no other.
            #expect(it.berth("run", "again", "--wait").output == "changed\nls: /data/large: No such file or directory\n")
            let left = EndToEndTests.names("\(it.scratch.path)/state/volumes/t").sorted()
            #expect(left == ["bare", "named"], "\(left)")
        }
    }

    /// What others have mounted stays what they have; a volume's neighbours are nobody's working directories.
    @Test func aVolumeThatIsInUseGetsTheImagesFilesToo() throws {
        try EndToEndTests.with { it in
            let image = try Self.image(it)
            try it.apply(
                """
                name: t
                volumes: { data: {}, data.copy: {}, data.image: {} }
                services:
                  first: { rootfs: host, command: [sh, -c, "until cat /d/file 2>/dev/null; do sleep 0.1; done; sleep 1000"], init: true, volumes: ["data:/d", "data.copy:/c", "data.image:/i"], restart: always }
                jobs:
                  fill: { rootfs: host, command: [sh, -c, "echo kept > /c/kept"], volumes: ["data.copy:/c"] }
                  second: { image: '\(image)', volumes: ["data:/data"], command: [/bin/busybox, cat, /data/file] }
                  third: { rootfs: host, command: [sh, -c, "cat /d/file /c/kept; ls -d /i"], volumes: ["data:/d", "data.copy:/c", "data.image:/i"] }
                """)
            try it.wait("select state from services", is: "running")
            #expect(it.berth("run", "fill", "--wait").code == 0)
            #expect(it.berth("run", "second", "--wait").output == "hello\n")
            // The service's own mount is of the same directory.
            it.wait(upTo: 10) { it.berth("logs", "first").output == "hello\n" }
            #expect(it.berth("logs", "first").output == "hello\n")
            #expect(it.berth("run", "third", "--wait").output == "hello\nkept\n/i\n")
            #expect(EndToEndTests.names("\(it.scratch.path)/state/volumes/t").sorted() == ["data", "data.copy", "data.image"])
        }
    }

    /// What an image says is a volume is a service's from run to run, and a job's not.
    @Test func aServiceKeepsItsImagesVolumes() throws {
        try EndToEndTests.with { it in
            let image = try Self.image(it)
            try it.apply(
                """
                name: t
                services:
                  db: { image: '\(image)', command: [/bin/sh, -c, "echo run >> /data/runs; busybox cat /data/file; busybox wc -l < /data/runs; busybox sleep 1000"], init: true, restart: always,
                    volumes: [/other] }
                jobs:
                  job: { image: '\(image)', command: [/bin/sh, -c, "echo run >> /data/runs; busybox wc -l < /data/runs"] }
                """)
            it.wait(upTo: 10) { it.berth("logs", "db").output == "hello\n1\n" }
            it.berth("restart", "db")
            it.wait(upTo: 10) { it.berth("logs", "db").output == "hello\n2\n" }
            #expect(it.berth("logs", "db").output == "hello\n2\n")
            for _ in 1...2 { #expect(it.berth("run", "job", "--wait").output == "1\n") }
            #expect(EndToEndTests.names("\(it.scratch.path)/state/volumes/t").count == 2)
        }
    }

    /// A folder that is not there is made, unless the recipe says otherwise.
    @Test func theSourceOfABindIsMade() throws {
        try EndToEndTests.with { it in
            let made = "\(it.scratch.path)/made/for/it"
            try it.apply("name: t\njobs: { j: { rootfs: host, command: [touch, /m/file], volumes: ['\(made):/m'] } }\n")
            #expect(it.berth("run", "j", "--wait").code == 0)
            var info = stat()
            #expect(stat(made, &info) == 0 && info.st_mode & 0o7777 == 0o755 && info.st_uid == 0)
            #expect(EndToEndTests.names(made) == ["file"])
            it.scratch.write(
                "no.yaml",
                "name: u\njobs: { j: { rootfs: host, command: ['true'], volumes: [{ type: bind, source: '\(it.scratch.path)/not', target: /m, bind: { create_host_path: false } }] } }\n"
            )
            let refused = it.berth("up", "-f", "\(it.scratch.path)/no.yaml")
            #expect(refused.code == 1 && refused.errors.contains("\(it.scratch.path)/not"), "\(refused)")
            #expect(access("\(it.scratch.path)/not", F_OK) != 0)
        }
    }

    /// Secrets and configs are in memory, with their owners and modes, and nowhere else; a file is read at each start.
    @Test func secretsAndConfigsAreGivenAtEachStart() throws {
        try EndToEndTests.with { it in
            let secret = "\(it.scratch.path)/secret.txt"
            try "first".write(toFile: secret, atomically: true, encoding: .utf8)
            try it.apply(
                """
                name: t
                secrets: { password: { file: \(secret) } }
                configs: { app: { content: "colour=green" } }
                jobs:
                  look:
                    rootfs: host
                    network_mode: none
                    command: [sh, -c, "cat /run/secrets/password; echo; cat /etc/app.conf; echo; stat -c '%u %g %a' /run/secrets/password /etc/app.conf; echo x > /etc/app.conf"]
                    secrets: [{ source: password, uid: '7', gid: '8', mode: 0440 }]
                    configs: [{ source: app, target: /etc/app.conf }]
                """)
            let first = it.berth("run", "look", "--wait")
            #expect(first.output == "first\ncolour=green\n7 8 440\n0 0 444\n" && first.code != 0, "\(first)")
            try "second".write(toFile: secret, atomically: true, encoding: .utf8)
            #expect(it.berth("run", "look", "--wait").output.hasPrefix("second\n"))
            #expect(!it.sql("select * from recipe_rows").contains("first"))
            try FileManager.default.removeItem(atPath: secret)
            let gone = it.berth("run", "look", "--wait")
            #expect(gone.code == 125 && gone.errors.contains("secret.txt"), "\(gone)")
        }
    }

    /// A volume with a name of its own is one for all projects; a part of one is found without following links.
    @Test func volumesAreSharedByName() throws {
        try EndToEndTests.with { it in
            func job(_ name: String, _ mount: String, _ script: String) -> String {
                "  \(name): { rootfs: host, network_mode: none, command: [sh, -c, \"\(script)\"], volumes: [\(mount)] }\n"
            }
            try it.apply(
                "name: t\nvolumes: { v: { name: common }, own: {} }\njobs:\n"
                    + job("write", "'v:/data'", "mkdir -p /data/deep; echo here > /data/deep/file; ln -s /etc /data/link")
                    + job("own", "'own:/data'", "echo mine > /data/file"))
            #expect(it.berth("run", "write", "--wait").code == 0 && it.berth("run", "own", "--wait").code == 0)
            let part = { (path: String) in "{ type: volume, source: c, target: /data, read_only: true, volume: { subpath: \(path) } }" }
            try it.apply(
                "name: u\nvolumes: { c: { external: true, name: common }, theirs: { external: true, name: t_own }, none: { external: true } }\njobs:\n"
                    + job("part", part("deep"), "cat /data/file") + job("link", part("link"), "ls /data | head -1")
                    + job("theirs", "'theirs:/data'", "cat /data/file")
                    + job("none", "'none:/data'", "true"))
            #expect(it.berth("run", "u/part", "--wait").output == "here\n")
            #expect(it.berth("run", "u/theirs", "--wait").output == "mine\n")
            let link = it.berth("run", "u/link", "--wait")
            #expect(link.code == 125 && link.output.isEmpty, "\(link)")
            #expect(it.berth("run", "u/none", "--wait").errors.contains("there is no volume 'none'"))
        }
    }

    /// Volumes outlive their project, are listed with whose they are, and go when a person says so and nobody has them.
    @Test func volumesAreListedAndRemoved() throws {
        try EndToEndTests.with { it in
            let recipe = { (extra: String) in
                "name: t\nvolumes: { v: {}, c: { name: common } }\nservices: { x: { rootfs: host, network_mode: none, stop_signal: SIGKILL, command: [sleep, \"1000\"], volumes: [\(extra)] } }\n"
            }
            try it.apply(recipe("'v:/v', 'c:/c', /own"))
            try it.wait("select state from services", is: "running")
            let listed = it.berth("volume", "ls").output
            for name in ["common", "t/v", "t/~x~"] { #expect(listed.contains(name), "\(listed)") }
            let used = it.berth("volume", "rm", "t/v")
            #expect(used.code == 1 && used.errors.contains("t/v is t/x's: take the project down first"), "\(used)")
            #expect(it.berth("volume", "prune", "--all").output == "there is nothing to remove\n")
            #expect(it.berth("down", "t").code == 0)
            let pruned = it.berth("volume", "prune")
            #expect(pruned.output.hasPrefix("removed t/~x~") && pruned.output.split(separator: "\n").count == 1, "\(pruned)")
            #expect(it.berth("volume", "rm", "t_v").output == "removed t/v\n")
            #expect(it.berth("volume", "prune", "--all").output == "removed common\n")
            #expect(it.berth("volume", "ls").output == "there are no volumes\n" && it.berth("volumes").output == "there are no volumes\n")
            #expect(it.berth("volume", "rm", "t/v").errors.contains("there is no volume 't/v'"))
            let climbing = it.berth("volume", "rm", "../berth.db")
            #expect(climbing.code == 1 && FileManager.default.fileExists(atPath: it.database), "\(climbing)")
        }
    }

    @Test func aVolumeIsSavedAndRestored() throws {
        try EndToEndTests.with { it in
            try it.apply(
                """
                name: t
                volumes: { data: {} }
                services:
                  db: { rootfs: host, network_mode: none, command: [sleep, "1000"], stop_signal: SIGKILL, volumes: ["data:/data"] }
                jobs:
                  fill: { rootfs: host, network_mode: none, volumes: ["data:/data"], command: [sh, -c, "cd /data; mkdir -m 750 d; echo one > d/file; chown 5:6 d/file; ln -s /etc/passwd link; ln d/file hard; truncate -s 1G hole; head -c 70000000 /dev/urandom > big; chmod 1700 ."] }
                  look: { rootfs: host, network_mode: none, volumes: ["data:/data"], command: [sh, -c, "cd /data; find . -printf '%p %m %U %G %n %l\\n' | sort; cat d/file; sha256sum big"] }
                """)
            #expect(it.berth("run", "fill", "--wait").code == 0)
            let before = it.berth("run", "look", "--wait").output
            #expect(before.contains("./d/file 644 5 6 2") && before.contains("./link 777 0 0 1 /etc/passwd") && before.contains(". 1700 "), "\(before)")
            let archive = "\(it.scratch.path)/data.tar"
            let saved = it.berth("volume", "backup", "t_data", "-o", archive)
            #expect(saved.code == 0 && saved.output.isEmpty, "\(saved)")
            let size = (try? FileManager.default.attributesOfItem(atPath: archive)[.size] as? Int) ?? 0
            #expect((70_000_000...75_000_000).contains(size), "holes are kept: \(size)")
            // What a run has is not replaced.
            let busy = it.berth("volume", "restore", "t/data", archive)
            #expect(busy.code == 1 && busy.errors.contains("t/db runs and has it; 'berth stop t/db' ends that"), "\(busy)")
            #expect(it.berth("stop", "db").code == 0)
            try it.wait("select state from services", is: "stopped")
            let folder = "\(it.scratch.path)/state/volumes/t"
            try "other".write(toFile: "\(folder)/data/more", atomically: true, encoding: .utf8)
            // Half of an archive, and what is none, change nothing.
            let whole = try Data(contentsOf: URL(fileURLWithPath: archive))
            try whole.prefix(whole.count / 2 / 512 * 512 - 100).write(to: URL(fileURLWithPath: "\(it.scratch.path)/half.tar"))
            it.scratch.write("none.tar", String(repeating: "no archive ", count: 1000))
            for file in ["half.tar", "none.tar"] {
                let failed = it.berth("volume", "restore", "t/data", "\(it.scratch.path)/\(file)")
                #expect(failed.code == 1 && failed.errors.contains("the volume t/data is as it was: the archive cannot be unpacked"), "\(failed)")
                #expect(FileManager.default.fileExists(atPath: "\(folder)/data/more"))
            }
            let restored = it.berth("volume", "restore", "t/data", archive)
            #expect(restored.code == 0 && restored.output == "the volume t/data is restored\n", "\(restored)")
            #expect(it.berth("run", "look", "--wait").output == before)
            // Through pipes, into one that is not there yet.
            let programs = Requirement.programs
            let piped = Instance.run(
                "/bin/sh", ["-c", "\(programs)/berth volume backup t/data | \(programs)/berth volume restore t/copy -"],
                environment: ["PATH": "/usr/bin:/bin", "BERTH_SOCKET": it.socket])
            #expect(piped.code == 0 && FileManager.default.fileExists(atPath: "\(folder)/copy/d/file"), "\(piped)")
            it.wait(upTo: 10) { EndToEndTests.names(folder).sorted() == ["copy", "data"] }
            #expect(EndToEndTests.names(folder).sorted() == ["copy", "data"])
            // One restore does not disturb another that is still being unpacked.
            let both = Instance.run(
                "/bin/sh",
                [
                    "-c",
                    """
                    cd \(it.scratch.path)
                    (head -c 1000000 data.tar; until test -e go; do sleep 0.05; done; tail -c +1000001 data.tar) | \(programs)/berth volume restore t/slow - &
                    until test -n "$(ls state/volumes/t/~gone~restore-*/ 2>/dev/null)"; do sleep 0.05; done
                    \(programs)/berth volume restore t/copy data.tar && \(programs)/berth volume restore t/copy data.tar
                    touch go; wait
                    """,
                ], environment: ["PATH": "/usr/bin:/bin", "BERTH_SOCKET": it.socket])
            #expect(both.output.contains("the volume t/slow is restored"), "\(both)")
            for file in ["d/file", "hole", "big", "hard"] { #expect(FileManager.default.fileExists(atPath: "\(folder)/slow/\(file)"), "\(file)") }
            #expect(it.berth("volume", "rm", "t/slow").code == 0)
            // A device is written to, and not replaced.
            let device = it.berth("volume", "backup", "t/data", "-o", "/dev/null")
            var info = stat()
            #expect(device.code == 0 && stat("/dev/null", &info) == 0 && info.st_mode & S_IFMT == S_IFCHR, "\(device)")
            #expect(it.berth("volume", "restore", "t_other", archive).errors.contains("write PROJECT/NAME to make one"))
            #expect(it.berth("volume", "backup", "nobody", "-o", "\(it.scratch.path)/x").errors.contains("there is no volume 'nobody'"))
            #expect(!FileManager.default.fileExists(atPath: "\(it.scratch.path)/x"))
            for name in ["../x", "t/..", "a/b/c", ""] { #expect(it.berth("volume", "restore", name, archive).code == 1) }
            // Names of an archive lead nowhere but into the volume.
            let hostile = Instance.run(
                "/usr/bin/env",
                [
                    "python3", "-c",
                    """
                    import io, sys, tarfile
                    with tarfile.open(sys.argv[1], "w") as tar:
                        def add(name, kind=tarfile.REGTYPE, link="", data=b"x"):
                            info = tarfile.TarInfo(name); info.type = kind; info.linkname = link; info.size = len(data) if kind == tarfile.REGTYPE else 0
                            tar.addfile(info, io.BytesIO(data))
                        add("out", tarfile.SYMTYPE, sys.argv[2]); add("out/escaped"); add("/escaped"); add("../../escaped")
                        add("hard", tarfile.LNKTYPE, "../../../berth.db")
                    """, "\(it.scratch.path)/hostile.tar", it.scratch.path,
                ], environment: ["PATH": "/usr/bin:/bin"])
            #expect(hostile.code == 0, "\(hostile)")
            _ = it.berth("volume", "restore", "t/copy", "\(it.scratch.path)/hostile.tar")
            for path in ["\(it.scratch.path)/escaped", "/escaped", "\(it.scratch.path)/state/escaped", "\(it.scratch.path)/state/volumes/escaped"] {
                #expect(!FileManager.default.fileExists(atPath: path), "\(path)")
            }
        }
    }
}
