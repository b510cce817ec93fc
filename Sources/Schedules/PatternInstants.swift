/// The instants at which a pattern is due in a zone: wall times carried over to UTC, clock changes included.
struct PatternInstants {
    let pattern: CivilPattern
    let zone: Zone
    let rule: ClockChangeRule

    /// Whether the repeated hour counts twice, and gaps hold nothing, because the pattern follows real time.
    private var realTime: Bool { pattern.followsRealTime && rule != .skip }

    /// The first due instant after `utc`, with the wall times that a gap moved there.
    func next(after utc: Int64) -> (instant: Int64, moved: [CivilTime])? {
        realTime ? nextInRealTime(after: utc).map { ($0, []) } : nextFixed(after: utc)
    }

    /// The last due instant before `utc`.
    func previous(before utc: Int64) -> Int64? {
        realTime ? previousInRealTime(before: utc) : previousFixed(before: utc)
    }

    private func nextInRealTime(after utc: Int64) -> Int64? {
        var from = utc + 1
        var index = zone.segment(at: from)
        while true {
            let offset = Int64(zone.offsets[index])
            guard let match = pattern.next(from: CivilTime(localSeconds: from + offset)) else { return nil }
            let instant = match.localSeconds - offset
            let end = zone.end(ofSegment: index)
            if instant < end { return instant }
            from = end
            index += 1
        }
    }

    private func previousInRealTime(before utc: Int64) -> Int64? {
        var from = utc - 1
        var index = zone.segment(at: from)
        while true {
            let offset = Int64(zone.offsets[index])
            guard let match = pattern.previous(from: CivilTime(localSeconds: from + offset)) else { return nil }
            let instant = match.localSeconds - offset
            if instant >= zone.starts[index] { return instant }
            from = zone.starts[index] - 1
            index -= 1
        }
    }

    /// The due instants of one wall time, ascending: none, one, or two.
    private func instants(of time: CivilTime) -> (first: Int64?, second: Int64?, moved: Bool) {
        switch zone.resolve(local: time.localSeconds) {
        case .unique(let instant): (instant, nil, false)
        case .repeated(let first, let last): (first, rule == .twice ? last : nil, false)
        case .skipped(let firstAfter): rule == .skip || pattern.followsRealTime ? (nil, nil, false) : (firstAfter, nil, true)
        }
    }

    private func nextFixed(after utc: Int64) -> (instant: Int64, moved: [CivilTime])? {
        // With `twice`, a wall time before the one now shown may still come again.
        let back: Int64 = rule == .twice ? 86400 + 7200 : 0
        var time = CivilTime(localSeconds: utc + Int64(zone.offset(at: utc)) + 1 - back)
        var best: (instant: Int64, moved: [CivilTime])?
        while let match = pattern.next(from: time) {
            let (first, second, moved) = instants(of: match)
            for instant in [first, second] {
                guard let instant, instant > utc else { continue }
                if let current = best {
                    if instant < current.instant {
                        best = (instant, moved ? [match] : [])
                    } else if instant == current.instant, moved {
                        best?.moved.append(match)
                    }
                } else {
                    best = (instant, moved ? [match] : [])
                }
            }
            // A later wall time cannot be due earlier than a day and a bit before what it shows.
            if let best, best.moved.isEmpty ? (rule != .twice || match.localSeconds - best.instant > 2 * 86400) : !moved || best.moved.count >= 64 {
                return best
            }
            time = CivilTime(localSeconds: match.localSeconds + 1)
        }
        return best
    }

    private func previousFixed(before utc: Int64) -> Int64? {
        // Near a change of the clock, a wall time later than the one now shown may have been shown before.
        let ahead: Int64 = zone.isSteady(around: utc) ? -1 : 86400 + 7200
        var time = CivilTime(localSeconds: utc + Int64(zone.offset(at: utc)) + ahead)
        var best: Int64?
        while let match = pattern.previous(from: time) {
            let (first, second, _) = instants(of: match)
            for instant in [first, second] {
                if let instant, instant < utc, instant > best ?? .min { best = instant }
            }
            if let best, match.localSeconds < best + Int64(zone.offset(at: best)) - 86400 - 7200 { return best }
            if best != nil, zone.isSteady(around: utc) { return best }
            time = CivilTime(localSeconds: match.localSeconds - 1)
        }
        return best
    }

    /// How many instants are due in `(after, through]`, without listing them.
    func count(after: Int64, through: Int64) -> Int64 {
        var total: Int64 = 0
        var from = after + 1
        var index = zone.segment(at: from)
        while from <= through {
            let end = min(zone.end(ofSegment: index), through &+ 1)
            let offset = Int64(zone.offsets[index])
            var localFrom = from + offset
            if !realTime, index > 0 {
                let change = zone.starts[index]
                let before = Int64(zone.offsets[index - 1])
                if rule != .twice, offset < before, localFrom < change + before {
                    // What the first pass of a repeated hour has shown is not due again.
                    localFrom = min(change + before, end + offset)
                } else if offset > before, from == change, rule != .skip, !pattern.followsRealTime {
                    let gapFrom = CivilTime(localSeconds: change + before)
                    let gapTo = CivilTime(localSeconds: change + offset)
                    let atEdge = pattern.count(from: gapTo, to: CivilTime(localSeconds: gapTo.localSeconds + 1))
                    if atEdge == 0, pattern.count(from: gapFrom, to: gapTo) > 0 { total += 1 }
                }
            }
            total += pattern.count(from: CivilTime(localSeconds: localFrom), to: CivilTime(localSeconds: end + offset))
            from = end
            index += 1
        }
        return total
    }
}

extension Zone {
    /// Whether no clock is set within three days of an instant.
    func isSteady(around utc: Int64) -> Bool {
        let index = segment(at: utc)
        return (index == 0 || starts[index] < utc - 3 * 86400) && end(ofSegment: index) > utc + 3 * 86400
    }
}
