internal import EngineAPI
internal import Subprocess
internal import Synchronization
internal import SystemPackage

/// Compiled system call filters, one for each set of capabilities, made once by the shim.
final class SeccompFilters: Sendable {
    private let shimPath: String
    private let compiled = Mutex<[UInt64: [UInt8]]>([:])

    init(shimPath: String) {
        self.shimPath = shimPath
    }

    func filter(capabilities: UInt64) async throws(EngineError) -> [UInt8] {
        if let filter = compiled.withLock({ $0[capabilities] }) { return filter }
        do {
            let result = try await run(
                .path(FilePath(shimPath)), arguments: ["seccomp", String(capabilities, radix: 16)], output: .bytes(limit: 1 << 17),
                error: .string(limit: 4096))
            guard result.terminationStatus.isSuccess, !result.standardOutput.isEmpty else {
                throw EngineError.host("the seccomp filter cannot be compiled: \(result.standardError)")
            }
            compiled.withLock { $0[capabilities] = result.standardOutput }
            return result.standardOutput
        } catch let error as EngineError { throw error } catch {
            throw .host("\(shimPath) cannot be run: \(error)")
        }
    }
}
