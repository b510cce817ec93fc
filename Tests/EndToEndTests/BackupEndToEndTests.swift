import Foundation
import Glibc
import TestKit
import Testing

/// `berth backup` and `berth restore`: one archive of a whole Berth, and a Berth of one archive.
@Suite(.enabled(if: Requirement.root && Requirement.program("sqlite3"), "needs root and sqlite3"), .serialized)
struct BackupEndToEndTests {
    private static func restore(_ it: Instance, _ arguments: String...) -> (code: Int32, output: String, errors: String) {
        Instance.run(
            "\(Requirement.programs)/berth",
            ["restore", "--state-dir", "\(it.scratch.path)/state", "--runtime-dir", "\(it.scratch.path)/run", "--recipe-dir", "\(it.scratch.path)/recipes"]
                + arguments, environment: ["PATH": "/usr/bin:/bin"])
    }

    /// Its recipe has a value that must not be in the archive, and a volume with a file.
    private static func fill(_ it: Instance) throws {
        it.scratch.write(".env", "WORD=canary-of-the-backup\n")
        try it.apply(
            """
            name: t
            volumes: { data: {} }
            services: { web: { rootfs: host, command: [sh, -c, "test -f /data/file || echo $$WORD-here > /data/file; exec sleep 1000"], init: true, restart: always,
              environment: { WORD: "${WORD}" }, volumes: ["data:/data"] } }
            jobs: { tick: { rootfs: host, command: ["true"], schedule: every 1s } }
            """)
        try it.wait("select state from services", is: "running")
        try it.wait("select count(*) > 1 from due_times", is: "1")
        it.scratch.write("recipes/other.yaml", "name: other\njobs: { j: { rootfs: host, command: ['true'] } }\n")
        it.scratch.write("passphrase", "correct horse\n")
    }

    @Test func anotherHostIsAsThisOneWas() throws {
        try EndToEndTests.with { it in
            try Self.fill(it)
            let archive = "\(it.scratch.path)/backup.tar"
            let refused = it.berth("backup", archive)
            #expect(refused.code == 1 && refused.errors.contains("say what becomes of secrets"), "\(refused)")
            let made = it.berth("backup", archive, "--volume", "t/data", "--passphrase-file", "\(it.scratch.path)/passphrase")
            #expect(made.code == 0, "\(made)")
            let names = RegistryEndToEndTests.shell("tar -tf \(archive)").output
            for name in ["berth-backup/berth.db", "berth-backup/secrets", "berth-backup/recipes/other.yaml", "volumes/t/data/file"] {
                #expect(names.contains(name), "\(names)")
            }
            // The value is in the volume's file, where the container wrote it, and nowhere else.
            #expect(RegistryEndToEndTests.shell("tar -xOf \(archive) ./berth-backup | grep -c canary-of-the-backup").output.hasPrefix("0"))
            #expect(Self.leftovers(it).isEmpty)
            try EndToEndTests.with { other in
                other.kill()
                let held = Self.restore(it, archive)
                #expect(held.code == 75 && held.errors.contains("end it first"), "\(held)")
                // It was started once, so there is a history.
                let there = Self.restore(other, archive, "--passphrase-file", "\(it.scratch.path)/passphrase")
                #expect(there.code == 73 && there.errors.contains("has a history already: --replace"), "\(there)")
                let closed = Self.restore(other, archive, "--replace")
                #expect(closed.code == 74 && closed.errors.contains("give the passphrase"), "\(closed)")
                other.scratch.write("wrong", "wrong horse\n")
                let wrong = Self.restore(other, archive, "--replace", "--passphrase-file", "\(other.scratch.path)/wrong")
                #expect(wrong.code == 74 && wrong.errors.contains("the passphrase is another one"), "\(wrong)")
                #expect(RegistryEndToEndTests.shell("head -c 20000 \(archive) > \(other.scratch.path)/half.tar").code == 0)
                let half = Self.restore(other, "\(other.scratch.path)/half.tar", "--replace", "--passphrase-file", "\(it.scratch.path)/passphrase")
                #expect(half.code == 65, "\(half)")
                let whole = Self.restore(other, archive, "--replace", "--passphrase-file", "\(it.scratch.path)/passphrase")
                #expect(whole.code == 0 && whole.output.contains("1 volumes, 1 recipe files; what was there is in"), "\(whole)")
                try other.start()
                try other.wait("select state from services", is: "running")
                #expect(other.sql("select count(*) > 0 from due_times where reason = 'history lost' and name = 'tick'") == "1")
                #expect(other.scratch.text("state/volumes/t/data/file") == "canary-of-the-backup-here\n")
                // The recipe of the history opens, since its key came along, and the one of the folder is applied.
                #expect(other.berth("ps").output.contains("tick"))
                try other.wait("select count(*) from recipe_rows", is: "2")
            }
        }
    }

    /// Without secrets the history is there, and what is sealed in it is not.
    @Test func secretsMayBeLeftOut() throws {
        try EndToEndTests.with { it in
            try Self.fill(it)
            let archive = "\(it.scratch.path)/backup.tar"
            #expect(it.berth("backup", archive, "--without-secrets").code == 0)
            #expect(!RegistryEndToEndTests.shell("tar -tf \(archive)").output.contains("secrets"))
            try EndToEndTests.with { other in
                other.kill()
                let restored = Self.restore(other, archive, "--replace")
                #expect(restored.code == 0 && restored.output.contains("recipes that this host's key does not open are to be applied again"), "\(restored)")
                try other.start()
                #expect(other.sql("select count(*) > 1 from runs") == "1")
                #expect(other.log_.contains("a stored recipe cannot be read now"))
            }
            // Here the key is: all is as it was.
            it.berth("down", "t")
            #expect(it.terminate() == 0)
            #expect(Self.restore(it, archive, "--replace").code == 0)
            try it.start()
            try it.wait("select state from services", is: "running")
        }
    }

    private static func leftovers(_ it: Instance) -> [String] {
        EndToEndTests.names("\(it.scratch.path)/state/snapshots").filter { $0.hasPrefix("backup-") || $0.hasSuffix(".new") }
    }
}
