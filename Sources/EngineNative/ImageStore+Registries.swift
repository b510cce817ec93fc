internal import EngineAPI
internal import HostOS

/// Accounts at registries.
extension ImageStore {
    var authorizations: String { "\(directory)/auth.json" }

    private struct Authorizations: Decodable { let auths: [String: [String: String]]? }

    /// Whether somebody signed in here; otherwise the files count that all tools for containers read (containers-auth.json(5)).
    func isSignedIn(_ registry: String) -> Bool {
        let known: Authorizations? = HostFile.json(authorizations)
        return known?.auths?.keys.contains { $0 == registry || $0.hasPrefix(registry + "/") } ?? false
    }

    /// An empty name signs out.
    func signIn(_ registry: String, user: String, password: String) async throws(EngineError) {
        do { try HostFile.makeDirectories(directory) } catch { throw .image("\(error)") }
        let failure = user.isEmpty ? "signing out of \(registry) failed" : "signing in at \(registry) failed"
        if user.isEmpty {
            _ = try await skopeo(["logout", "--authfile", authorizations, registry], failure, registry: registry)
        } else {
            _ = try await skopeo(
                ["login", "--authfile", authorizations, "--username", user, "--password-stdin", registry], failure, registry: registry, input: password)
        }
    }
}
