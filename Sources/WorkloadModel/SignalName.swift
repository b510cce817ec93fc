/// Signals by name, as recipes and images write them.
public enum SignalName {
    /// Without `SIG`, with their numbers on Linux (signal(7); the numbers of x86 and ARM).
    public static let numbers: [String: Int32] = [
        "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "IOT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12,
        "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23,
        "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29, "POLL": 29, "PWR": 30, "SYS": 31,
    ]

    /// The number of `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` or `RTMAX-1`, in any case; `nil` when it is none.
    public static func number(_ text: String) -> Int32? {
        let upper = text.uppercased()
        let bare = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
        if let number = numbers[bare] { return number }
        // The C library keeps the first two of the kernel's real-time signals for itself.
        if bare == "RTMIN" { return 34 }
        if bare == "RTMAX" { return 64 }
        if bare.hasPrefix("RTMIN+") { return offset(bare.dropFirst(6)).map { 34 + $0 } }
        if bare.hasPrefix("RTMAX-") { return offset(bare.dropFirst(6)).map { 64 - $0 } }
        guard bare.utf8.allSatisfy({ (48...57).contains($0) }), upper == bare else { return nil }
        return Int32(bare).flatMap { (1...64).contains($0) ? $0 : nil }
    }

    private static func offset(_ digits: Substring) -> Int32? {
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int32(digits).flatMap { (0...30).contains($0) ? $0 : nil }
    }
}
