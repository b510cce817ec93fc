internal import EngineAPI
internal import Glibc
internal import HostOS
internal import WorkloadModel

/// The host's ports that lead to containers. Each is held by a socket that nobody connects to, so that no other program takes it
/// meanwhile and wonders why nothing arrives.
struct HostPorts {
    private var held: [PublishedPort: Int32] = [:]

    /// Whether nobody else has a port.
    ///
    /// - Throws: an error that says who has it
    func check(_ port: PublishedPort) throws(EngineError) {
        guard held[HostPorts.outside(port)] == nil, port.hostPort != nil else { return }
        close(try HostPorts.bound(port).descriptor)
    }

    /// Holds a port; where none was said, one that is free.
    ///
    /// - Returns: the port, with its number
    mutating func hold(_ port: PublishedPort) throws(EngineError) -> PublishedPort {
        if port.hostPort != nil, held[HostPorts.outside(port)] != nil { return port }
        let (descriptor, number) = try HostPorts.bound(port)
        var port = port
        port.hostPort = number
        held[HostPorts.outside(port)] = descriptor
        return port
    }

    mutating func release(_ port: PublishedPort) {
        if let descriptor = held.removeValue(forKey: HostPorts.outside(port)) { close(descriptor) }
    }

    /// What of it counts on the host.
    private static func outside(_ port: PublishedPort) -> PublishedPort {
        PublishedPort(hostAddress: port.hostAddress, hostPort: port.hostPort, containerPort: 0, transport: port.transport)
    }

    private static func bound(_ port: PublishedPort) throws(EngineError) -> (descriptor: Int32, number: UInt16) {
        let address = port.hostAddress ?? Address(bits: 0, isIPv6: false)
        let kind = port.transport == .tcp ? Int32(SOCK_STREAM.rawValue) : port.transport == .udp ? Int32(SOCK_DGRAM.rawValue) : Int32(SOCK_SEQPACKET.rawValue)
        let fd = socket(address.isIPv6 ? AF_INET6 : AF_INET, kind | Int32(SOCK_CLOEXEC.rawValue), port.transport == .sctp ? Int32(IPPROTO_SCTP) : 0)
        guard fd >= 0 else { throw .host("a socket of \(port.transport.rawValue) cannot be made: \(String(cString: strerror(errno)))") }
        // Connections that are over, and wait for late packets, take no port from anybody. What listens still does.
        setReuse(fd, port.transport == .tcp)
        defer { setReuse(fd, false) }
        let code: Int32
        let number: UInt16
        if address.isIPv6 {
            var on: Int32 = 1
            setsockopt(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, socklen_t(MemoryLayout<Int32>.size))
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_port = (port.hostPort ?? 0).bigEndian
            withUnsafeMutableBytes(of: &name.sin6_addr) { bytes in
                for index in 0..<16 { bytes[index] = UInt8(truncatingIfNeeded: address.bits >> UInt128(8 * (15 - index))) }
            }
            code = bind(fd, &name)
            number = UInt16(bigEndian: name.sin6_port)
        } else {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = (port.hostPort ?? 0).bigEndian
            name.sin_addr.s_addr = UInt32(address.bits).bigEndian
            code = bind(fd, &name)
            number = UInt16(bigEndian: name.sin_port)
        }
        guard code != 0 else { return (fd, number) }
        close(fd)
        throw .host(sentence(port, code))
    }

    /// Binds to a name, and reads back which one it became.
    ///
    /// - Returns: 0, or why it failed
    private static func bind<Name>(_ fd: Int32, _ name: inout Name) -> Int32 {
        var size = socklen_t(MemoryLayout<Name>.size)
        return withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                guard Glibc.bind(fd, $0, size) == 0, getsockname(fd, $0, &size) == 0 else { return errno }
                return 0
            }
        }
    }

    private static func setReuse(_ fd: Int32, _ isOn: Bool) {
        var value: Int32 = isOn ? 1 : 0
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func sentence(_ port: PublishedPort, _ code: Int32) -> String {
        let what = "the host's port \(port.hostAddress.map { $0.isIPv6 ? "[\($0)]:" : "\($0):" } ?? "")\(port.hostPort ?? 0)/\(port.transport.rawValue)"
        switch code {
        case EADDRINUSE:
            let owner = owner(of: port).map { "'\($0.name)' (pid \($0.pid)) has it" } ?? "another program has it"
            return "\(what) is taken: \(owner)"
        case EADDRNOTAVAIL: return "\(what) cannot be had: the host has no such address"
        default: return "\(what) cannot be had: \(String(cString: strerror(code)))"
        }
    }

    /// The process that has a port: its socket is in the kernel's table, and among the process's descriptors.
    private static func owner(of port: PublishedPort) -> (name: String, pid: Int)? {
        guard let number = port.hostPort else { return nil }
        let suffix = ":" + String(repeating: "0", count: 4 - String(number, radix: 16).count) + String(number, radix: 16, uppercase: true)
        var sockets: Set<String> = []
        for table in [port.transport.rawValue, port.transport.rawValue + "6"] {
            for line in ((try? HostFile.text("/proc/net/\(table)", limit: 8 << 20)) ?? "").split(separator: "\n").dropFirst() {
                let words = line.split(separator: " ", omittingEmptySubsequences: true)
                guard words.count > 9, words[1].hasSuffix(suffix) else { continue }
                // Connections that came in by it do not hold it.
                if port.transport == .tcp, words[3] != "0A" { continue }
                sockets.insert("socket:[\(words[9])]")
            }
        }
        guard !sockets.isEmpty else { return nil }
        for pid in HostFile.names(in: "/proc").compactMap({ Int($0) }).sorted() {
            let directory = "/proc/\(pid)/fd"
            guard HostFile.names(in: directory).contains(where: { HostFile.link("\(directory)/\($0)").map(sockets.contains) ?? false }) else { continue }
            let name = (try? HostFile.text("/proc/\(pid)/comm"))?.split(separator: "\n").first.map(String.init)
            return (PlainText.shown(name ?? "?"), pid)
        }
        return nil
    }
}
