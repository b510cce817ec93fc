internal import EngineAPI
internal import Subprocess
internal import Synchronization
internal import SystemPackage

/// Compiled system call filters, one for each set of capabilities and options, made once by the shim.
final class SeccompFilters: Sendable {
    private let shimPath: String
    /// Those that are made, and those that are being made: many launches at once wait for the same one.
    private let compiled = Mutex<[Key: Task<[UInt8], any Error>]>([:])

    private struct Key: Hashable {
        let capabilities: UInt64
        let options: Options
    }

    struct Options: OptionSet, Hashable {
        let rawValue: Int
        /// 32-bit programs have the call that hides a socket's family.
        static let socketcall = Options(rawValue: 1)
        /// Files stay in the project whose size is limited.
        static let fixedProjects = Options(rawValue: 2)

        var words: [String] { (contains(.socketcall) ? ["socketcall"] : []) + (contains(.fixedProjects) ? ["fixed-projects"] : []) }
    }

    init(shimPath: String) {
        self.shimPath = shimPath
    }

    func filter(capabilities: UInt64, _ options: Options) async throws(EngineError) -> [UInt8] {
        let key = Key(capabilities: capabilities, options: options)
        var hasJoined = false
        while true {
            let (task, isOwn) = compiled.withLock { compiled in
                if let task = compiled[key] { return (task, false) }
                let task = Task { try await compile(key) }
                compiled[key] = task
                return (task, true)
            }
            do { return try await task.value } catch {
                compiled.withLock { if $0[key] == task { $0[key] = nil } }
                // Somebody else's attempt failed: this launch has one of its own.
                if isOwn || hasJoined { throw error as? EngineError ?? .host("\(shimPath) cannot be run: \(error)") }
                hasJoined = true
            }
        }
    }

    private func compile(_ key: Key) async throws -> [UInt8] {
        let result = try await run(
            .path(FilePath(shimPath)), arguments: Arguments(["seccomp", String(key.capabilities, radix: 16)] + key.options.words),
            output: .bytes(limit: 1 << 17), error: .string(limit: 4096))
        guard result.terminationStatus.isSuccess, !result.standardOutput.isEmpty else {
            throw EngineError.host("the seccomp filter cannot be compiled: \(result.standardError)")
        }
        return result.standardOutput
    }
}
