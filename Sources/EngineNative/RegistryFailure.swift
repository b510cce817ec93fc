/// What a registry's refusal means, and what to do about it: skopeo passes on what the registry said, in the words of its libraries.
enum RegistryFailure {
    private static let meanings: [(signs: [String], meaning: @Sendable (String) -> String)] = [
        (["invalid username/password", "incorrect username or password"], { "\($0) does not take the name and password: 'berth login \($0)' sets them" }),
        (
            ["unauthorized", "authentication required", "no basic auth credentials", "denied"],
            {
                "\($0) refuses: sign in with 'berth login \($0)'; with an account that may not read it, and sometimes for an image that is not there, it says the same"
            }
        ),
        (["manifest unknown", "name unknown", "not found", "repository name not known"], { "\($0) has no such image or tag" }),
        (
            ["toomanyrequests", "too many requests", "status code 429", "http status: 429"],
            { "\($0) takes no more requests for now: sign in with 'berth login \($0)', or wait" }
        ),
        (["no such host", "server misbehaving", "temporary failure in name resolution"], { "the name \($0) cannot be looked up: is the network there?" }),
        (["connection refused"], { "nobody listens at \($0)" }),
        (["network is unreachable", "no route to host"], { "there is no way to \($0)" }),
        (["i/o timeout", "context deadline exceeded", "tls handshake timeout"], { "\($0) does not answer in time" }),
        (
            ["x509", "certificate"],
            { "the certificate of \($0) is not one that this host trusts: put its authority's into /etc/containers/certs.d/\($0)/ca.crt" }
        ),
        (
            ["server gave http response to https client", "does not look like a tls handshake"],
            { "\($0) speaks HTTP without TLS: say 'insecure = true' for it in /etc/containers/registries.conf, if that is meant" }
        ),
        (["digest did not match", "does not match", "digest mismatch"], { "what \($0) sent is not what its manifest says: damaged, or tampered with" }),
        (["exceeded maximum allowed size"], { "what \($0) sent is larger than a manifest may be: damaged, or made to do harm" }),
        (["unexpected eof", "connection reset", "broken pipe"], { "\($0) broke the transfer off: try again" }),
        (
            ["status code 5", "internal server error", "bad gateway", "service unavailable", "invalid status code from registry 5"],
            { "\($0) fails: try again later" }
        ),
        (["no image found in manifest list", "no image found in image index"], { "\($0) has it for other machines only: 'platform' names one" }),
    ]

    /// - Parameters:
    ///   - words: what skopeo said
    ///   - registry: its name
    static func sentence(_ words: String, registry: String) -> String {
        let said = withoutNames(words.lowercased(), registry: registry.lowercased())
        guard let meaning = meanings.first(where: { $0.signs.contains { said.contains($0) } })?.meaning else { return words }
        return "\(meaning(registry)) (\(words))"
    }

    /// The sentence without what others chose: addresses, paths and digests, and the tag in "reading manifest TAG in NAME". A sign must not
    /// be found in them: a folder's random name can hold a status code, and an image may be called `denied`.
    private static func withoutNames(_ words: String, registry: String) -> String {
        var kept: [Substring] = []
        for word in words.split(separator: " ") {
            let isPath = word.contains("://") || word.drop { "\"'(".contains($0) }.first == "/"
            if isPath || word.contains("sha256:") || word.contains(registry) { continue }
            if word == "in", kept.count > 1, kept[kept.count - 2] == "manifest" { kept.removeLast() }
            kept.append(word)
        }
        return kept.joined(separator: " ")
    }
}
