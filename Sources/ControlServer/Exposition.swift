internal import Supervision

/// Numbers in the text format of Prometheus (its documentation, "Exposition formats", version 0.0.4).
struct Exposition {
    /// The content type of the format.
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// What kind of number it is.
    enum Kind: String {
        case counter, gauge
    }

    /// Names and values, in order.
    typealias Labels = [(String, String)]
    /// A value with its labels.
    typealias Sample = (Labels, Double)

    private(set) var text = ""

    /// Values of one name, each with its labels. One without values is left out.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ values: [Sample]) {
        guard !values.isEmpty else { return }
        begin(name, kind.rawValue, help)
        for (labels, value) in values { line(name, labels, value) }
    }

    /// Histograms of one name, each with its labels.
    mutating func add(_ name: String, _ help: String, _ values: [(Labels, Histogram)]) {
        guard !values.isEmpty else { return }
        begin(name, "histogram", help)
        for (labels, histogram) in values {
            var total: Int64 = 0
            for (index, count) in histogram.counts.enumerated() {
                total += count
                let bound = index < histogram.bounds.count ? Exposition.number(histogram.bounds[index]) : "+Inf"
                line("\(name)_bucket", labels + [("le", bound)], Double(total))
            }
            line("\(name)_sum", labels, histogram.sum)
            line("\(name)_count", labels, Double(total))
        }
    }

    private mutating func begin(_ name: String, _ kind: String, _ help: String) { text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n" }

    private mutating func line(_ name: String, _ labels: Labels, _ value: Double) {
        let list = labels.map { "\($0.0)=\"\(Exposition.escaped($0.1))\"" }.joined(separator: ",")
        text += "\(name)\(list.isEmpty ? "" : "{\(list)}") \(Exposition.number(value))\n"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    /// Whole numbers without a fraction: counters of bytes are to be read exactly.
    static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 9e15 ? String(Int64(value)) : String(value)
    }
}
