import Testing

@testable import EngineNative

/// What a registry's refusal is said to mean, whatever its names, paths and digests happen to contain.
@Suite struct RegistryFailureTests {
    @Test(arguments: [
        ("toomanyrequests: slow down", "takes no more requests"),
        ("pinging container registry reg.example.com: received unexpected HTTP status: 429 Too Many Requests", "takes no more requests"),
        ("pinging container registry reg.example.com: received unexpected HTTP status: 500 Internal Server Error", "fails: try again later"),
        (
            "writing blob: storing blob to file \"/state/images/unpacking/24AB9429-9E3E/storage7/1\": happened during read: Digest did not match, "
                + "expected sha256:84ff42991f, got sha256:0364590942",
            "not what its manifest says"
        ),
        ("logging into \"reg.example.com\": invalid username/password", "does not take the name and password"),
        ("reading manifest 429 in reg.example.com/x: manifest unknown", "no such image or tag"),
        ("reading manifest denied in reg.example.com/certificate: manifest unknown", "no such image or tag"),
        ("initializing source docker://reg.example.com/unauthorized:1: dial tcp 10.0.0.1:443: connect: connection refused", "nobody listens at"),
        ("Get \"https://reg.example.com/v2/\": dial tcp 10.0.0.1:443: i/o timeout", "does not answer in time"),
        ("Get \"https://reg.example.com/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority", "the certificate of"),
    ])
    func meansWhatItSays(words: String, meaning: String) {
        let sentence = RegistryFailure.sentence(words, registry: "reg.example.com")
        #expect(sentence.contains(meaning) && sentence.hasSuffix("(\(words))"), "\(sentence)")
    }

    @Test func aRegistryMayHaveAnyName() {
        let words = "pinging container registry denied.example.com: received unexpected HTTP status: 503 Service Unavailable"
        #expect(RegistryFailure.sentence(words, registry: "denied.example.com").contains("fails: try again later"))
    }
}
