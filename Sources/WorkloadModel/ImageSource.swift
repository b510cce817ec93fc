/// An image of a registry, or one that lies on this host as a file or directory.
public struct ImageSource: Hashable, Sendable, Codable, CustomStringConvertible {
    /// Where an image comes from; the raw value is the prefix of containers-transports(5).
    public enum Transport: String, Sendable, Codable, CaseIterable {
        /// A directory in the OCI image layout.
        case oci
        /// A tar archive of an OCI image layout.
        case ociArchive = "oci-archive"
        /// A tar archive as `docker save` writes it.
        case dockerArchive = "docker-archive"
        /// A registry that speaks Docker's or OCI's protocol.
        case registry = "docker"
    }

    /// Where it comes from.
    public let transport: Transport
    /// Absolute; of a registry its name and the repository, as `docker.io/library/postgres`.
    public let path: String
    /// Which image of several, `nil` when there is one; of a registry `latest` unless ``manifest`` names one.
    public let tag: String?
    /// Of a registry: the digest of the manifest that is meant, as `sha256:` and hexadecimal.
    public let manifest: String?
    /// For which machine, as `linux/arm64`; `nil` is this one.
    public var platform: String?
    /// SHA-256 of the image's configuration, in hexadecimal: which image it was when the recipe was applied. `nil` before that.
    public var digest: String?

    /// Memberwise; nothing is checked.
    public init(transport: Transport, path: String, tag: String?, manifest: String? = nil, digest: String? = nil) {
        self.transport = transport
        self.path = path
        self.tag = tag
        self.manifest = manifest
        self.digest = digest
    }

    /// As a recipe writes it, whole: `oci:/images/web:v1`, `docker.io/library/postgres:16`; with the platform where one is named.
    public var description: String {
        let name = path + (tag.map { ":\($0)" } ?? "") + (manifest.map { "@\($0)" } ?? "")
        return (transport == .registry ? name : "\(transport.rawValue):\(name)") + (platform.map { " (\($0))" } ?? "")
    }

    /// The registry's name; `nil` of an image that lies on this host.
    public var registry: String? { transport == .registry ? path.split(separator: "/").first.map(String.init) : nil }
}

extension ImageSource {
    /// Reads the name of an image of a registry, as Docker does: `postgres:16` is `docker.io/library/postgres:16`
    /// (github.com/distribution/reference, "Grammar").
    ///
    /// - Throws: ``ImageNameError``
    public static func registry(_ text: String) throws(ImageNameError) -> ImageSource {
        var rest = text[...]
        var manifest: String?
        if let at = rest.firstIndex(of: "@") {
            let digest = String(rest[rest.index(after: at)...])
            let hexadecimal = digest.dropFirst(7)
            guard digest.hasPrefix("sha256:"), hexadecimal.utf8.count == 64, hexadecimal.allSatisfy({ $0.isASCII && $0.isHexDigit && !$0.isUppercase }) else {
                throw ImageNameError(description: "the digest '\(digest)' is not 'sha256:' and 64 hexadecimal digits")
            }
            manifest = digest
            rest = rest[..<at]
        }
        var tag: String?
        // A colon before a slash belongs to a port.
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("/") {
            let word = rest[rest.index(after: colon)...]
            let isTag = (1...128).contains(word.utf8.count) && word.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
            guard isTag, word.utf8.first != UInt8(ascii: "."), word.utf8.first != UInt8(ascii: "-") else {
                throw ImageNameError(description: "the tag '\(word)' is not one: it has letters, digits, '_', '.' and '-'")
            }
            tag = String(word)
            rest = rest[..<colon]
        }
        var parts = rest.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        var domain = "docker.io"
        if parts.count > 1, let first = parts.first, first.contains(".") || first.contains(":") || first == "localhost" || first.lowercased() != first {
            domain = first == "index.docker.io" ? "docker.io" : first
            parts.removeFirst()
        }
        if domain == "docker.io", parts.count == 1 { parts.insert("library", at: 0) }
        guard isDomain(domain) else { throw ImageNameError(description: "'\(domain)' is not the name of a registry") }
        guard !parts.isEmpty, parts.allSatisfy(isPart), (domain + "/" + parts.joined(separator: "/")).utf8.count <= 255 else {
            let isUpper = rest.lowercased() != rest
            throw ImageNameError(description: "'\(text)' is not the name of an image" + (isUpper ? ": it is written in lower case" : ""))
        }
        return ImageSource(
            transport: .registry, path: ([domain] + parts).joined(separator: "/"), tag: tag ?? (manifest == nil ? "latest" : nil), manifest: manifest)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func isDomain(_ text: String) -> Bool {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let host = parts.first, !host.isEmpty,
            host.utf8.allSatisfy({ isWord($0) && $0 != UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") })
        else {
            return false
        }
        return parts.count == 1 || UInt16(parts[1]).map { $0 > 0 } ?? false
    }

    /// Lower-case words with one '.', one or two '_', or some '-' between them.
    private static func isPart(_ text: String) -> Bool {
        var separator = ""
        for character in text {
            if character.isASCII, character.isNumber || character.isLowercase {
                separator = ""
            } else {
                separator.append(character)
                guard separator == "." || separator == "_" || separator == "__" || separator.allSatisfy({ $0 == "-" }), separator.count < text.count else {
                    return false
                }
            }
        }
        return !text.isEmpty && separator.isEmpty && (text.first.map { $0.isNumber || $0.isLowercase } ?? false)
    }
}

/// Why a text names no image.
public struct ImageNameError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A sentence that quotes what is wrong.
    public let description: String
}

/// When an image of a registry is brought in; the raw value is Compose's `pull_policy`.
public enum PullPolicy: Hashable, Sendable, Codable {
    /// Each time the recipe is applied.
    case always
    /// When it is not there.
    case missing
    /// Not at all: it is there, or the recipe is refused.
    case never
    /// When it was brought in longer ago than that.
    case every(Duration)
}
