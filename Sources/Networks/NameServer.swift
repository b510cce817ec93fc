internal import EngineAPI
internal import Glibc
internal import HostOS
internal import WorkloadModel

/// Answers for the names of services: aardvark-dns, which reads a file a network and listens at the host's address on each.
struct NameServer {
    let directory: String
    private static let programs = ["/usr/lib/podman/aardvark-dns", "/usr/libexec/podman/aardvark-dns", "/usr/bin/aardvark-dns", "/usr/local/bin/aardvark-dns"]

    /// The server's process; `nil` when there is none.
    var process: pid_t? {
        guard let text = try? HostFile.text("\(directory)/aardvark.pid"), let pid = pid_t(text.filter(\.isNumber)), pid > 1,
            let line = try? HostFile.bytes("/proc/\(pid)/cmdline", limit: 4096), String(decoding: line, as: UTF8.self).contains(directory)
        else { return nil }
        return pid
    }

    /// What the server is to know, by the file's name.
    func files(_ networks: [NetworkRecord], _ places: [PlaceRecord]) -> [String: String] {
        var files: [String: String] = [:]
        for network in networks {
            var lines = [network.gateways.map(\.description).joined(separator: ",")]
            for place in places {
                for connection in place.connections where connection.network == network.name {
                    let fourth = connection.addresses.filter { !$0.isIPv6 }.map(\.description).joined(separator: ",")
                    let sixth = connection.addresses.filter(\.isIPv6).map(\.description).joined(separator: ",")
                    // One without a name is listed too: who asks is known by his address.
                    let names = connection.names.isEmpty ? [place.id] : connection.names
                    let servers = place.needs.servers.isEmpty ? "" : " " + place.needs.servers.map(\.description).joined(separator: ",")
                    lines.append("\(place.id) \(fourth) \(sixth) \(names.joined(separator: ","))\(servers)")
                }
            }
            // Not by its name: one may be called as the server's own file is.
            if lines.count > 1 { files["network-\(network.number)"] = lines.joined(separator: "\n") + "\n" }
        }
        return files
    }

    /// Writes what it is to know, and starts it or tells it.
    func serve(_ networks: [NetworkRecord], _ places: [PlaceRecord]) async throws(EngineError) {
        let wanted = files(networks, places)
        var hasChanged = false
        do {
            try HostFile.makeDirectories(directory)
            for name in HostFile.names(in: directory) where name != "aardvark.pid" && wanted[name] == nil {
                unlink("\(directory)/\(name)")
                hasChanged = true
            }
            for (name, text) in wanted where (try? HostFile.text("\(directory)/\(name)", limit: 1 << 22)) != text {
                // It reads every file of the directory: one that is half written must not be there.
                try HostFile.replace("\(directory)-\(name)", with: text, durable: false)
                guard rename("\(directory)-\(name)", "\(directory)/\(name)") == 0 else { throw HostFile.Failure(path: name, action: "move", code: errno) }
                hasChanged = true
            }
        } catch { throw .host("names cannot be written down: \(error)") }
        if wanted.isEmpty {
            if let process { kill(process, SIGTERM) }
            unlink("\(directory)/aardvark.pid")
        } else if let process {
            if hasChanged { kill(process, SIGHUP) }
        } else {
            try await start()
        }
    }

    private func start() async throws(EngineError) {
        guard let program = NameServer.programs.first(where: HostFile.exists) else {
            throw .host("networks need 'aardvark-dns' for names: install it with 'apt-get install aardvark-dns', or write 'network_mode: none'")
        }
        // It leaves for a session of its own, and outlives this daemon.
        do throws(EngineError) { try await HostProgram.setsid.run(["-w", program, "--config", directory, "-p", "53", "run"]) } catch {
            throw .host("aardvark-dns cannot be started: \(error)")
        }
    }
}
