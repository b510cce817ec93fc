/// Why a text is not a name.
public struct NameError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A sentence that quotes the text and says which rule it breaks.
    public let description: String
}

private func checkedName(_ text: String, kind: String, allowsCapitals: Bool) throws(NameError) -> String {
    guard let first = text.utf8.first, text.utf8.count <= 63 else {
        throw NameError(description: text.isEmpty ? "the \(kind) is empty" : "the \(kind) '\(text)' is longer than 63 characters")
    }
    func isLetter(_ byte: UInt8) -> Bool { (97...122).contains(byte) || allowsCapitals && (65...90).contains(byte) }
    let startsWell = isLetter(first) || (48...57).contains(first)
    let allowed = text.utf8.allSatisfy { isLetter($0) || (48...57).contains($0) || $0 == 45 || $0 == 95 || $0 == 46 }
    guard startsWell, allowed, !text.contains("..") else {
        let letters = allowsCapitals ? "letters" : "lower-case letters"
        throw NameError(description: "the \(kind) '\(text)' must be \(letters), digits, '-', '_' or single '.', and begin with a letter or digit")
    }
    return text
}

/// The name of a recipe. All names of workloads live inside it.
public struct ProjectName: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The checked text as it was given.
    public let description: String

    /// - Throws: ``NameError`` unless it is 1 to 63 lower-case letters, digits, `-`, `_` and single `.`
    public init(_ text: String) throws(NameError) {
        description = try checkedName(text, kind: "project name", allowsCapitals: false)
    }

    /// Decodes a single string.
    ///
    /// - Throws: ``NameError`` when the string is not a name
    public init(from decoder: any Decoder) throws {
        try self.init(decoder.singleValueContainer().decode(String.self))
    }

    /// Encodes the name as a single string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Alphabetical order.
    public static func < (left: ProjectName, right: ProjectName) -> Bool { left.description < right.description }
}

/// The name of a service or job inside its project. Capitals count: `Web` is not `web`, but on networks, where names have none.
public struct WorkloadName: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The checked text as it was given, without the project.
    public let description: String

    /// - Throws: ``NameError`` unless it is 1 to 63 letters, digits, `-`, `_` and single `.`
    public init(_ text: String) throws(NameError) {
        description = try checkedName(text, kind: "name", allowsCapitals: true)
    }

    /// Decodes a single string.
    ///
    /// - Throws: ``NameError`` when the string is not a name
    public init(from decoder: any Decoder) throws {
        try self.init(decoder.singleValueContainer().decode(String.self))
    }

    /// Encodes the name as a single string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Alphabetical order.
    public static func < (left: WorkloadName, right: WorkloadName) -> Bool { left.description < right.description }
}

/// One of a service's copies, or a job: the workload and a slot. The only copy, and a job, have slot 0.
public struct InstanceID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The service or job.
    public let workload: WorkloadID
    /// From 0.
    public let slot: Int

    /// - Parameter slot: from 0; the default is the only copy
    public init(_ workload: WorkloadID, slot: Int = 0) {
        self.workload = workload
        self.slot = slot
    }

    /// `shop/web`; of further copies `shop/web.1`.
    public var description: String { slot == 0 ? "\(workload)" : "\(workload).\(slot)" }

    /// By workload, then by slot.
    public static func < (left: InstanceID, right: InstanceID) -> Bool {
        left.workload == right.workload ? left.slot < right.slot : left.workload < right.workload
    }
}

/// A workload, named across projects: `shop/backup`.
public struct WorkloadID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The project that it belongs to.
    public let project: ProjectName
    /// Its name inside the project.
    public let name: WorkloadName

    /// Joins two checked names.
    public init(project: ProjectName, name: WorkloadName) {
        self.project = project
        self.name = name
    }

    /// `shop/backup`.
    public var description: String { "\(project)/\(name)" }

    /// By project, then by name.
    public static func < (left: WorkloadID, right: WorkloadID) -> Bool {
        left.project == right.project ? left.name < right.name : left.project < right.project
    }
}
