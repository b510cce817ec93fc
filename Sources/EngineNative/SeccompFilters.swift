internal import EngineAPI
internal import Subprocess
internal import Synchronization
internal import SystemPackage

/// Compiled system call filters, one for each set of capabilities and options, made once by the shim.
final class SeccompFilters: Sendable {
    private let shimPath: String
    private let compiled = Mutex<[Key: [UInt8]]>([:])

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
        if let filter = compiled.withLock({ $0[key] }) { return filter }
        do {
            let result = try await run(
                .path(FilePath(shimPath)), arguments: Arguments(["seccomp", String(capabilities, radix: 16)] + options.words),
                output: .bytes(limit: 1 << 17),
                error: .string(limit: 4096))
            guard result.terminationStatus.isSuccess, !result.standardOutput.isEmpty else {
                throw EngineError.host("the seccomp filter cannot be compiled: \(result.standardError)")
            }
            compiled.withLock { $0[key] = result.standardOutput }
            return result.standardOutput
        } catch let error as EngineError { throw error } catch {
            throw .host("\(shimPath) cannot be run: \(error)")
        }
    }
}
