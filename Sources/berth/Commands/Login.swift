import ArgumentParser
import ControlAPI
import Glibc

struct Login: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Sign in at a registry of images.",
        discussion: "The daemon keeps it in a file of its state directory that only root can read. Without it, what podman and docker know of root's counts.")
    @Argument(help: "The registry; by default docker.io.") var registry = "docker.io"
    @Option(name: .shortAndLong, help: "The user's name there.") var username: String
    @Flag(help: "Read the password from the standard input; without it, it is asked for.") var passwordStdin = false
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let upload = SignInUpload(registry: registry, user: username, password: try password())
            guard !upload.user.isEmpty else { throw CommandFailure(description: "the user's name is empty") }
            let info: ActionInfo = try await ControlClient.use(connection) { try await $0.post(ControlPaths.registries, upload) }
            if connection.json { try Terminal.print(json: info) } else { Terminal.say("signed in at \(Terminal.harmless(registry))") }
        }
    }

    private func password() throws -> String {
        if passwordStdin || isatty(0) == 0 { return readLine() ?? "" }
        guard let typed = getpass("Password: ") else { throw CommandFailure(description: "no password was given") }
        return String(cString: typed)
    }
}

struct Logout: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "logout", abstract: "Forget how the daemon signs in at a registry.")
    @Argument(help: "The registry; by default docker.io.") var registry = "docker.io"
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await report(connection) {
            let upload = SignInUpload(registry: registry, user: "", password: "")
            let info: ActionInfo = try await ControlClient.use(connection) { try await $0.post(ControlPaths.registries, upload) }
            if connection.json { try Terminal.print(json: info) } else { Terminal.say("signed out of \(Terminal.harmless(registry))") }
        }
    }
}
