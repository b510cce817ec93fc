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
        let socketcall: Bool
    }

    init(shimPath: String) {
        self.shimPath = shimPath
    }

    func filter(capabilities: UInt64, socketcall: Bool) async throws(EngineError) -> [UInt8] {
        let key = Key(capabilities: capabilities, socketcall: socketcall)
        if let filter = compiled.withLock({ $0[key] }) { return filter }
        do {
            let result = try await run(
                .path(FilePath(shimPath)), arguments: Arguments(["seccomp", String(capabilities, radix: 16)] + (socketcall ? ["socketcall"] : [])),
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
