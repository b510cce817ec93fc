/// What cron gives its commands, and what a crontab's lines change of it.
struct CronEnvironment {
    private var own: [(name: String, value: String)] = []
    var zone: String?
    var jitter: String?

    mutating func set(_ name: String, _ value: String) {
        own.removeAll { $0.name == name }
        own.append((name, value))
    }

    private func value(_ name: String) -> String? { own.first { $0.name == name }?.value }

    private var shell: String { value("SHELL") ?? "/bin/sh" }

    /// A shell that may not know the here-document that input is given by.
    var oddShell: String? {
        let name = shell.split(separator: "/").last.map(String.init) ?? shell
        return ["sh", "bash", "dash", "ksh", "zsh", "mksh", "ash"].contains(name) ? nil : shell
    }

    func command(_ command: String, _ input: String?) -> [String] {
        [shell, "-c", input.map { ShellText.feeding($0, to: command) } ?? command]
    }

    /// As cron sets it: a crontab may change all but LOGNAME and USER (crontab(5)).
    func values(user: String, home: String) -> [(name: String, value: String)] {
        var values = [("HOME", home), ("LOGNAME", user), ("PATH", "/usr/bin:/bin"), ("SHELL", "/bin/sh"), ("USER", user)]
        for (name, value) in own where name != "LOGNAME" && name != "USER" {
            if let index = values.firstIndex(where: { $0.0 == name }) { values[index].1 = value } else { values.append((name, value)) }
        }
        return values
    }
}
