/// What became of one line of what was imported.
public struct ImportedLine: Hashable, Sendable {
    /// What became of it; the text names the job, or is a sentence.
    public enum Verdict: Hashable, Sendable {
        /// It is a job now, or a part of one.
        case carried(String)
        /// It is in the recipe, as nearly as can be; the sentence says what is different.
        case changed(String)
        /// It is in the recipe as a comment only.
        case comment(String)
        /// It is not in the recipe; the sentence says why, and what to do.
        case left(String)
    }

    /// The path of its file; for a unit as a whole, the unit's name.
    public let file: String
    /// From 1; 0 is the file as a whole.
    public let line: Int
    /// The line as it stands, or `Key=value` of a unit's setting; empty for the file as a whole.
    public let text: String
    /// What became of it.
    public let verdict: Verdict

    /// - Parameter line: from 1; 0 is the file as a whole
    public init(file: String, line: Int, text: String, _ verdict: Verdict) {
        self.file = file
        self.line = line
        self.text = text
        self.verdict = verdict
    }
}

/// A recipe that was made of something else, and what became of each line of it.
public struct ImportResult: Sendable {
    /// The recipe's text.
    public let recipe: String
    /// How many jobs the recipe has.
    public let jobs: Int
    /// In the order of the files and their lines.
    public let lines: [ImportedLine]

    /// Memberwise.
    public init(recipe: String, jobs: Int, lines: [ImportedLine]) {
        self.recipe = recipe
        self.jobs = jobs
        self.lines = lines
    }

    /// Whether anything is not in the recipe.
    public var isComplete: Bool {
        lines.allSatisfy { line in if case .left = line.verdict { false } else { true } }
    }
}

/// What an import needs to know of the host. The module itself opens no file.
public struct ImportInputs {
    /// The project's name.
    public var project: String
    /// A user's home directory, `nil` when there is no such user.
    public var home: (String) -> String?
    /// Whether an absolute path is a directory of the host; links are followed.
    public var isDirectory: (String) -> Bool
    /// Whether the host's tz database has a zone of that name.
    public var hasZone: (String) -> Bool
    /// The host's directories that a job may write to as it could before: they are bound into each job.
    public var writableDirectories: [String]

    /// Memberwise.
    public init(
        project: String, home: @escaping (String) -> String?, isDirectory: @escaping (String) -> Bool, hasZone: @escaping (String) -> Bool,
        writableDirectories: [String]
    ) {
        self.project = project
        self.home = home
        self.isDirectory = isDirectory
        self.hasZone = hasZone
        self.writableDirectories = writableDirectories
    }
}
