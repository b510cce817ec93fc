import EngineAPI
import Foundation
import Glibc
import HostOS
import Schedules
import TestKit
import Testing
import WorkloadModel

@testable import EngineNative

/// Images that try to get at the host, made by Tests/HostileImages/images.py, each brought in and run as any other. Whatever
/// becomes of an image, the canary outside is neither read nor changed.
@Suite(.enabled(if: Requirement.root && Requirement.program("skopeo") && Requirement.program("busybox"), "needs root, skopeo and busybox"))
struct HostileImageTests {
    struct Case: Decodable {
        struct Overrides: Decodable {
            struct Volume: Decodable {
                let target: String
                let read_only: Bool?
            }
            let working_dir: String?
            let user: String?
            let command: [String]?
            let entrypoint: [String]?
            let environment: [String: String]?
            let volumes: [Volume]?
            let tmpfs: [String]?
            let read_only: Bool?
            let `init`: Bool?
        }

        let name: String
        let `class`: String
        let why: String
        let recipe: Overrides
        let expect: String
        let output: String?

        func container(_ images: String) -> ContainerSpec {
            var spec = ContainerSpec(root: .image(ImageSource(transport: .oci, path: "\(images)/\(name)", tag: nil)))
            spec.workingDirectory = recipe.working_dir
            spec.user = recipe.user
            spec.command = recipe.command
            spec.entrypoint = recipe.entrypoint
            spec.environment = (recipe.environment ?? [:]).mapValues { EnvironmentValue($0) }
            spec.mounts = (recipe.volumes ?? []).enumerated().map { index, volume in
                VolumeMount(source: .volume("\(name)-\(index)"), target: volume.target, readOnly: volume.read_only ?? false)
            }
            spec.temporaryFileSystems = (recipe.tmpfs ?? []).map { TemporaryFileSystem(target: $0, sizeBytes: 1 << 20) }
            spec.readOnlyRoot = recipe.read_only ?? false
            spec.initProcess = recipe.`init` ?? false
            return spec
        }
    }

    /// All that is below a directory: names, kinds, modes and contents.
    private static func inventory(_ path: String) -> [String] {
        guard let names = FileManager.default.enumerator(atPath: path) else { return [] }
        return names.compactMap { $0 as? String }.sorted().map { name in
            var info = stat()
            lstat("\(path)/\(name)", &info)
            let content = info.st_mode & S_IFMT == S_IFREG ? (try? Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")))?.base64EncodedString() ?? "?" : ""
            return "\(name) \(String(info.st_mode, radix: 8)) \(info.st_uid) \(info.st_nlink) \(content)"
        }
    }

    private static func escaped() -> [String] {
        ["/", "/tmp", "/root", "/etc", "/bin", "/dev"].flatMap { directory in
            HostFile.names(in: directory).filter { $0.hasPrefix("berth-escaped") }.map { "\(directory)/\($0)" }
        }
    }

    @Test(
        "CVE-2019-5736, CVE-2019-16884, CVE-2022-23648, CVE-2024-40635, CVE-2025-52565, CVE-2025-52881 and others: no hostile image reaches the host",
        .timeLimit(.minutes(15)))
    func noHostileImageReachesTheHost() async throws {
        let corpus = Scratch("hostile")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("HostileImages/images.py")
            .path
        let make = Process()
        make.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        make.arguments = ["python3", script, corpus.path]
        try make.run()
        make.waitUntilExit()
        try #require(make.terminationStatus == 0)
        let cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: URL(fileURLWithPath: "\(corpus.path)/cases.json")))
        #expect(cases.count >= 90)
        let canary = Self.inventory("\(corpus.path)/canary")
        let secret = try #require(corpus.text("canary/secret")).trimmingCharacters(in: .whitespacesAndNewlines)
        let before = Self.escaped()
        let only = ProcessInfo.processInfo.environment["BERTH_HOSTILE_CASE"]
        try await EngineFixture.with { fixture in
            for it in cases where only.map({ it.name.contains($0) }) ?? true {
                let container = it.container("\(corpus.path)/images")
                var refusal: String?
                var output = ""
                do {
                    try await fixture.engine.prepare(container) { _ in }
                    let result = try await fixture.run(container, timeout: .seconds(20))
                    output = result.output
                    if case .startError(let sentence) = result.status.ending { refusal = sentence }
                    if it.expect == "runs" {
                        #expect(result.status.ending == .exited(code: 0), "\(it.name): \(it.why) \(result.status.ending) \(output)")
                        if let expected = it.output { #expect(output == expected, "\(it.name): \(it.why)") }
                    }
                } catch let error as EngineError { refusal = error.description }
                if it.expect == "refused" { #expect(refusal != nil, "\(it.name): \(it.why) It ran, and wrote: \(output)") }
                if it.expect == "runs" { #expect(refusal == nil, "\(it.name): \(it.why)") }
                #expect(!output.contains("ESCAPED") && !output.contains(secret), "\(it.name): \(it.why) It wrote: \(output)")
                #expect(!(refusal ?? "").contains(secret), "\(it.name): the refusal tells the secret")
                #expect(Self.inventory("\(corpus.path)/canary") == canary, "\(it.name): \(it.why) The canary has changed")
                #expect(Self.escaped() == before, "\(it.name): \(it.why) Something was made on the host")
                if only != nil { print("\(it.name): \(refusal ?? "ran: \(output)")") }
            }
            // The images' store has gone with the fixture's directory; containers/storage may have marked files.
        }
    }
}
