internal import WorkloadModel

/// What a container finds in /etc of its networks.
enum PlaceFiles {
    /// /etc/hosts: the loopback, the container's own name, the host's, what the recipe adds.
    ///
    /// - Parameters:
    ///   - links: addresses by the name that the container knows them by
    static func hosts(_ container: ContainerSpec, name: String, own: [Address], gateway: Address?, links: [(name: String, address: Address)]) -> String {
        var lines = [
            "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", "fe00::\tip6-localnet", "ff00::\tip6-mcastprefix",
            "ff02::1\tip6-allnodes", "ff02::2\tip6-allrouters",
        ]
        for entry in container.extraHosts {
            guard let address = entry.address == HostEntry.gateway ? gateway?.description : entry.address else { continue }
            lines.append("\(address)\t\(entry.name)")
        }
        let host = "host.docker.internal"
        if let gateway, !container.extraHosts.contains(where: { $0.name == host }) { lines.append("\(gateway)\t\(host)") }
        for link in links { lines.append("\(link.address)\t\(link.name)") }
        let names = [container.domainName.map { "\(name).\($0)" }, name].compactMap { $0 }.joined(separator: " ")
        for address in own { lines.append("\(address)\t\(names)") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// /etc/resolv.conf: the server of the network, which asks those of the recipe or the host; the host's domains where the recipe has none.
    static func resolver(_ settings: ResolverSettings, server: Address?, host: HostResolver) -> String {
        var lines = (server.map { [$0] } ?? (settings.servers.isEmpty ? host.reachable : settings.servers)).map { "nameserver \($0)" }
        let search = settings.search ?? host.search
        if !search.isEmpty { lines.append("search \(search.joined(separator: " "))") }
        // What the host's own resolver is told of its server's abilities says nothing about ours.
        var options = settings.options ?? host.options.filter { $0 != "edns0" && $0 != "trust-ad" }
        // A service's name is asked for as it is before the host's domains are tried, as Docker has it.
        if server != nil, !options.contains(where: { $0.hasPrefix("ndots:") }) { options.append("ndots:0") }
        if !options.isEmpty { lines.append("options \(options.joined(separator: " "))") }
        return lines.joined(separator: "\n") + "\n"
    }
}
