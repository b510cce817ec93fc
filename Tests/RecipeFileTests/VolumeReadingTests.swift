import RecipeFile
import TestKit
import Testing
import WorkloadModel

/// Volumes of the recipe, secrets and configs.
@Suite struct VolumeReadingTests {
    private static func read(_ top: String, _ keys: String, variables: [String: String] = [:]) -> RecipeReader.Result {
        RecipeReaderTests.read("name: t\n\(top)\nservices:\n  x:\n    image: nginx\n    \(keys)\n", variables: variables)
    }

    private static func container(_ top: String, _ keys: String, variables: [String: String] = [:]) throws -> ContainerSpec {
        let result = read(top, keys, variables: variables)
        return try #require(result.recipe, "\(result.diagnostics)").workloads[0].container
    }

    @Test(arguments: [
        ("{}", VolumeMount.Source.volume("v")), ("{ driver: local, labels: [a=b] }", .volume("v")), ("{ name: real }", .shared("real", isExternal: false)),
        ("{ external: true }", .shared("v", isExternal: true)), ("{ external: true, name: real }", .shared("real", isExternal: true)),
        ("{ external: { name: real } }", .shared("real", isExternal: true)), ("{ external: false }", .volume("v")),
        ("{ driver_opts: { type: none, o: bind, device: /srv/data } }", .bind("/srv/data")), ("{ driver_opts: {} }", .volume("v")),
    ]) func volumesAreOfTheirKind(_ volume: String, _ source: VolumeMount.Source) throws {
        let x = try Self.container("volumes: { v: \(volume) }", "volumes: ['v:/data']")
        #expect(x.mounts.map(\.source) == [source])
    }

    @Test func aVolumeMayBeInMemory() throws {
        let x = try Self.container("volumes: { v: { driver_opts: { type: tmpfs, device: tmpfs, o: 'size=10m,mode=0700' } } }", "volumes: ['v:/data']")
        var expected = TemporaryFileSystem(target: "/data", sizeBytes: 10 << 20, mode: 0o700)
        expected.isExecutable = true
        #expect(x.temporaryFileSystems == [expected])
        let owned = try Self.container("volumes: { v: { driver_opts: { type: tmpfs, device: tmpfs, o: 'uid=5,noexec' } } }", "volumes: ['v:/data:ro']")
        expected = TemporaryFileSystem(target: "/data", sizeBytes: nil)
        (expected.owner, expected.isExecutable, expected.isReadOnly) = (5, false, true)
        #expect(owned.temporaryFileSystems == [expected])
    }

    /// As `docker run --tmpfs` takes them.
    @Test func aTmpfsTakesTheOptionsOfMount() throws {
        let x = try Self.container("", "tmpfs: ['/a:rw,noexec,nosuid,nodev,size=65536k', '/b:exec,mode=0700,uid=1000,gid=1001,nr_inodes=9', '/c:ro', /d]")
        var b = TemporaryFileSystem(target: "/b", sizeBytes: nil, mode: 0o700)
        (b.isExecutable, b.owner, b.group, b.mostFiles) = (true, 1000, 1001, 9)
        var c = TemporaryFileSystem(target: "/c", sizeBytes: nil)
        c.isReadOnly = true
        #expect(x.temporaryFileSystems == [TemporaryFileSystem(target: "/a", sizeBytes: 65536 << 10), b, c, TemporaryFileSystem(target: "/d", sizeBytes: nil)])
        for wrong in ["suid", "uid=x", "uid=4294967295", "uid=-1", "mode=99999", "nr_inodes=0", "size=x", "exec=1", "noatime"] {
            let result = Self.read("", "tmpfs: ['/a:\(wrong)']")
            #expect(result.recipe == nil && result.diagnostics.contains { $0.message.hasPrefix("the tmpfs option '\(wrong)' is not supported") }, "\(wrong)")
        }
    }

    @Test(arguments: ["/var/run/docker.sock:/var/run/docker.sock:ro", "{ type: bind, source: /run/docker.sock, target: /s }"])
    func dockersSocketGetsAWord(_ volume: String) {
        let result = Self.read("", "volumes: [\"\(volume)\"]".replacing("\"{", with: "{").replacing("}\"", with: "}"))
        #expect(result.recipe != nil && result.diagnostics.contains { $0.severity == .warning && $0.message.contains("is root on this host") })
    }

    @Test func aPartOfAVolumeIsMounted() throws {
        let x = try Self.container("volumes: { v: {} }", "volumes: [{ type: volume, source: v, target: /data, volume: { subpath: a/b } }]")
        #expect(x.mounts.map(\.subpath) == ["a/b"])
    }

    @Test func secretsAndConfigsAreFiles() throws {
        let x = try Self.container(
            "secrets: { a: { file: ./a.txt }, b: { environment: TOKEN } }\nconfigs: { c: { content: \"x=${Y:-1}\" } }",
            "secrets: [a, { source: b, target: token, uid: '70', gid: '71', mode: 0400 }]\n    configs: [c, { source: c, target: /etc/app.conf, mode: 0o640 }]",
            variables: ["TOKEN": "s3"])
        let files = try #require(x.files).value
        #expect(files.map(\.target) == ["/run/secrets/a", "/run/secrets/token", "/c", "/etc/app.conf"])
        #expect(files[1] == GivenFile(source: .text(EnvironmentValue("s3")), target: "/run/secrets/token", uid: 70, gid: 71, mode: 0o400))
        #expect(files[3] == GivenFile(source: .text(EnvironmentValue("x=1")), target: "/etc/app.conf", mode: 0o640))
        guard case .file(let path) = files[0].source else { return }
        #expect(path.hasSuffix("/a.txt") && path.hasPrefix("/"))
        #expect(!"\(x)".contains("s3"))
    }

    @Test(arguments: [
        ("volumes: { v: { driver: rexray } }", "", "the volume driver 'rexray' is not supported"),
        ("volumes: { v: { name: '../x' } }", "", "is not a name for a volume"),
        ("volumes: { v: { driver_opts: { type: nfs, o: 'addr=10.0.0.1', device: ':/x' } } }", "", "a volume of type 'nfs' is not supported yet"),
        ("volumes: { v: { external: true, driver_opts: { type: nfs } } }", "", "has no meaning for it"),
        ("volumes: { v: { drivr: x } }", "", "did you mean 'driver'?"),
        ("volumes: { v: {} }", "volumes: [{ type: volume, source: v, target: /d, volume: { subpath: ../x } }]", "is a path inside the volume"),
        ("secrets: { a: { file: x, environment: Y } }", "", "from one of 'file', 'environment' and 'content'"),
        ("secrets: { a: { environment: Y } }", "", "is not set"),
        ("secrets: { a: { external: true } }", "", "an external secret is not supported"),
        ("secrets: { abc: { file: x } }", "secrets: [abd]", "did you mean 'abc'?"),
        ("configs: { a: { content: x } }", "configs: [{ source: a, target: /proc/x }]", "it belongs to the sandbox"),
        ("configs: { a: { content: x } }", "configs: [{ source: a, mode: 999 }]", "is not a mode"),
        ("configs: { a: { content: x } }", "configs: [a, a]", "two mounts have the target '/a'"),
    ]) func refusesWithAReason(_ top: String, _ keys: String, _ words: String) {
        let result = Self.read(top, keys)
        #expect(result.recipe == nil && result.diagnostics.contains { $0.message.contains(words) }, "\(result.diagnostics.map(\.message))")
    }
}
