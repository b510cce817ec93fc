import Foundation

enum HostShutdown {
    /// Whether systemd is taking the host down: then containers do not survive, and are better stopped than killed.
    static var isUnderWay: Bool {
        guard FileManager.default.fileExists(atPath: "/run/systemd/system") else { return false }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/systemctl")
        process.arguments = ["is-system-running"]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text.trimmingCharacters(in: .whitespacesAndNewlines) == "stopping"
    }
}
