extension Zone {
    /// Whether a wall clock there will show the time of this instant again, because it is set back.
    public func showsAgain(_ instant: Timestamp) -> Bool { repeats(instant)?.first == instant.seconds }

    /// Whether a wall clock there has shown the time of this instant before, because it was set back.
    public func showedBefore(_ instant: Timestamp) -> Bool { repeats(instant)?.last == instant.seconds }

    private func repeats(_ instant: Timestamp) -> (first: Int64, last: Int64)? {
        guard case .repeated(let first, let last) = resolve(local: civilTime(at: instant).localSeconds) else { return nil }
        return (first, last)
    }
}

extension Zone {
    /// The first instant after another, both in UTC seconds, at which clocks there are set; `nil` when they never are again.
    public func nextChange(after utc: Int64) -> Int64? {
        let end = end(ofSegment: segment(at: utc))
        return end == .max ? nil : end
    }
}
