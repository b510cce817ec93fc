internal import Crypto
internal import CryptoExtras
public import FoundationEssentials

/// The small files that a backup must not give away: the key of what is sealed in the history, and what registries take.
///
/// With a passphrase they are encrypted by AES-256-GCM, under a key that scrypt (RFC 7914) derives from it: some tenths of a second and 64 MiB for
/// each guess.
public struct BackupSecrets: Codable, Sendable, Hashable {
    /// Content by name, as the files are called in the state directory.
    public let files: [String: Data]

    /// As they are.
    public init(files: [String: Data]) {
        self.files = files
    }

    /// Why they cannot be opened.
    public struct Failure: Error, CustomStringConvertible {
        /// Why, for people.
        public let description: String
    }

    private struct Envelope: Codable {
        let version: Int
        let salt: Data
        let rounds: Int
        let sealed: Data
    }

    private static let rounds = 1 << 16
    private static let blockSize = 8

    private static func key(_ passphrase: String, salt: Data, rounds: Int) throws -> SymmetricKey {
        try KDF.Scrypt.deriveKey(
            from: Data(passphrase.utf8), salt: salt, outputByteCount: 32, rounds: rounds, blockSize: blockSize, parallelism: 1, maxMemory: 1 << 28)
    }

    /// - Parameter passphrase: `nil` leaves them in clear
    public func written(passphrase: String?) throws -> Data {
        let plain = try JSONEncoder().encode(self)
        guard let passphrase else { return plain }
        let salt = Data((0..<16).map { _ in UInt8.random(in: .min ... .max) })
        let box = try AES.GCM.seal(plain, using: try BackupSecrets.key(passphrase, salt: salt, rounds: BackupSecrets.rounds))
        guard let combined = box.combined else { throw Failure(description: "the secrets cannot be encrypted") }
        return try JSONEncoder().encode(Envelope(version: 1, salt: salt, rounds: BackupSecrets.rounds, sealed: combined))
    }

    /// - Throws: ``Failure``
    public static func read(_ data: Data, passphrase: String?) throws -> BackupSecrets {
        if let plain = try? JSONDecoder().decode(BackupSecrets.self, from: data) { return plain }
        guard let envelope = try? JSONDecoder().decode(Envelope.self, from: data), envelope.version == 1, (1...(1 << 18)).contains(envelope.rounds) else {
            throw Failure(description: "its secrets are damaged, or of a newer release")
        }
        guard let passphrase else { throw Failure(description: "its secrets are encrypted: give the passphrase by --passphrase-file") }
        guard let key = try? key(passphrase, salt: envelope.salt, rounds: envelope.rounds), let box = try? AES.GCM.SealedBox(combined: envelope.sealed),
            let plain = try? AES.GCM.open(box, using: key), let secrets = try? JSONDecoder().decode(BackupSecrets.self, from: plain)
        else { throw Failure(description: "its secrets do not open: the passphrase is another one, or they are damaged") }
        return secrets
    }
}
