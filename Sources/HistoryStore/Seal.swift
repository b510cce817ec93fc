internal import Crypto
internal import FoundationEssentials
internal import HostOS

/// Seals what is stored with values of variables and of env files: recipes, and starts that wait with variables of their own.
/// The database is what people copy.
///
/// AES-256-GCM with a key that lies beside the database in a file of its own. A copy of the database alone gives no values
/// away; without the key the recipes in it cannot be read, and are to be applied again.
public struct Seal: Sendable {
    static let mark = "sealed1:"
    private let key: SymmetricKey

    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    /// Reads the key, or makes it when there is none.
    ///
    /// - Parameter path: of the key's file
    /// - Throws: when it can be neither read nor made
    public init(keyFile path: String) throws {
        if HostFile.exists(path) {
            let bytes = try HostFile.bytes(path, limit: 32)
            guard bytes.count == 32 else {
                throw Broken(description: "the key \(path) has \(bytes.count) bytes and not 32: restore it, or remove it and apply the recipes again")
            }
            key = SymmetricKey(data: bytes)
            return
        }
        key = SymmetricKey(size: .bits256)
        try HostFile.replace(path, with: key.withUnsafeBytes { Array($0) })
    }

    func close(_ text: String) throws -> String {
        let box = try AES.GCM.seal(Data(text.utf8), using: key)
        guard let combined = box.combined else { throw Broken(description: "a text cannot be sealed") }
        return Seal.mark + combined.base64EncodedString()
    }

    /// Opens what was sealed; a text that earlier releases stored is as it is.
    func open(_ stored: String) throws -> String {
        guard stored.hasPrefix(Seal.mark) else { return stored }
        guard let combined = Data(base64Encoded: String(stored.dropFirst(Seal.mark.count))), let box = try? AES.GCM.SealedBox(combined: combined),
            let opened = try? AES.GCM.open(box, using: key)
        else { throw Broken(description: "it is damaged, or was sealed with another key than the one beside the database") }
        return String(decoding: opened, as: UTF8.self)
    }
}
