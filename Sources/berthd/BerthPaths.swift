import Foundation
import HostOS

enum BerthPaths {
    /// A program in the same directory as this one.
    static func beside(_ name: String) -> String {
        let own = HostFile.link("/proc/self/exe") ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
    }
}
