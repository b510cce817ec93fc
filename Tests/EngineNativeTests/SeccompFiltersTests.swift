import EngineAPI
import Foundation
import TestKit
import Testing

@testable import EngineNative

/// A filter is made once, however many launches want it at once, and again when it could not be made.
@Suite struct SeccompFiltersTests {
    /// A shim that writes down each call, takes its time, and fails as long as a file is there.
    private func shim(_ scratch: Scratch) -> String {
        scratch.write(
            "shim", "#!/bin/sh\necho \"$*\" >> \(scratch.path)/calls\nsleep 0.2\n[ ! -e \(scratch.path)/fails ] || exit 1\necho \"filter $*\"\n", mode: 0o755)
        return "\(scratch.path)/shim"
    }

    @Test func launchesAtOnceMakeOneFilterEach() async throws {
        let scratch = Scratch("filters")
        let filters = SeccompFilters(shimPath: shim(scratch))
        let made = try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<60 {
                group.addTask { String(decoding: try await filters.filter(capabilities: UInt64(index % 2), index % 3 == 0 ? .socketcall : []), as: UTF8.self) }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        let all: Set = ["seccomp 0", "seccomp 1", "seccomp 0 socketcall", "seccomp 1 socketcall"]
        #expect(made == Set(all.map { "filter \($0)\n" }))
        let calls = (scratch.text("calls") ?? "").split(separator: "\n").map(String.init)
        #expect(calls.count == 4 && Set(calls) == all, "\(calls)")
    }

    @Test func aFilterThatCouldNotBeMadeIsTriedAgain() async throws {
        let scratch = Scratch("filters")
        scratch.write("fails", "")
        let filters = SeccompFilters(shimPath: shim(scratch))
        await #expect(throws: EngineError.self) { try await filters.filter(capabilities: 7, []) }
        try FileManager.default.removeItem(atPath: "\(scratch.path)/fails")
        #expect(try await filters.filter(capabilities: 7, []) == Array("filter seccomp 7\n".utf8))
        #expect(scratch.text("calls") == "seccomp 7\nseccomp 7\n")
    }
}
