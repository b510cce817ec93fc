import Foundation
import HostOS

enum BerthPaths {
    /// A program of Berth's own: in the same directory as this one or, as a package has it, in `../libexec/berth`.
    static func beside(_ name: String) -> String {
        let own = URL(fileURLWithPath: HostFile.link("/proc/self/exe") ?? "").deletingLastPathComponent()
        let beside = own.appendingPathComponent(name).path
        let packaged = own.deletingLastPathComponent().appendingPathComponent("libexec/berth/\(name)").path
        return HostFile.exists(beside) || !HostFile.exists(packaged) ? beside : packaged
    }
}
