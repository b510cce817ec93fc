import Foundation
import RecipeFile
import TestKit
import Testing
import WorkloadModel

/// Files of variables, as Compose reads them.
@Suite struct EnvironmentFileTests {
    @Test(arguments: [
        ("A=b", ["A": "b"]), ("A = b ", ["A": "b"]), ("A: b", ["A": "b"]), ("export A=b", ["A": "b"]), ("export=b", ["export": "b"]),
        ("\u{FEFF}A=b\r\nB=c\r\n", ["A": "b", "B": "c"]), ("# A=b\n\n  B=c", ["B": "c"]), ("A=b # c", ["A": "b"]), ("A=b#c", ["A": "b#c"]), ("A=#c", ["A": ""]),
        ("A=", ["A": ""]), ("A=b=c", ["A": "b=c"]), ("A.b-c_1=x", ["A.b-c_1": "x"]), ("A='b c' # d", ["A": "b c"]), ("A='$B\\n'", ["A": "$B\\n"]),
        (#"A='it\'s'"#, ["A": "it's"]), (#"A="a\"b\tc\nd\\e\$f""#, ["A": "a\"b\tc\nd\\e$f"]), ("A=\"one\ntwo\"\nB=c", ["A": "one\ntwo", "B": "c"]),
        ("A='one\n# two'\nB=c", ["A": "one\n# two", "B": "c"]), ("A=1\nB=${A}2\nC=$B", ["A": "1", "B": "12", "C": "12"]), ("A=${X:-y}", ["A": "y"]),
        ("A=\"${HOME}/x\"", ["A": "/root/x"]), ("HOME=/here\nA=$HOME", ["HOME": "/here", "A": "/root"]), ("HOME", ["HOME": "/root"]), ("NONE\nB=c", ["B": "c"]),
        ("A=a$$b", ["A": "a$b"]), ("A=50$", ["A": "50$"]), ("A=\"\"", ["A": ""]),
    ]) func valuesAreAsComposeHasThem(_ text: String, _ values: [String: String]) {
        let content = EnvironmentFile.parse(text, environment: ["HOME": "/root"])
        #expect(content.values == values && content.problems.isEmpty, "\(content.problems)")
    }

    @Test(arguments: [
        ("A=b\n!=c\nB=d", [2], ["A": "b", "B": "d"]), ("A=\"b\nB=c", [1], ["B": "c"]), ("A='b' c\nB=c", [1], ["B": "c"]), ("=b", [1], [:]), ("A b=c", [1], [:]),
        ("A=${b", [1], [:]), ("A=${X:?must be}", [1], [:]),
    ]) func whatIsNoVariableIsSaid(_ text: String, _ lines: [Int], _ values: [String: String]) {
        let content = EnvironmentFile.parse(text)
        #expect(content.problems.map(\.line) == lines && content.values == values, "\(content)")
    }

    @Test func whatIsAskedForIsKnown() {
        let content = EnvironmentFile.parse("A=1\nB=$A$C\nD", environment: ["C": "x"])
        #expect(content.asked == ["C", "D"])
    }

    @Test func anEnvFileMayBeRaw() throws {
        let result = RecipeReaderTests.read(
            "name: t\nservices: { x: { image: a, env_file: [{ path: /e, format: raw }, { path: /f, required: false }] } }\n",
            files: ["/e": "A='b' # $C\n# no\n"])
        let recipe = try #require(result.recipe, "\(result.diagnostics)")
        #expect(recipe.workloads[0].container.environment.mapValues(\.revealed) == ["A": "'b' # $C"])
    }
}
