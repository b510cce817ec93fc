internal import WorkloadModel

/// `blkio_config`: what a container may read from and write to disks.
extension RecipeReader {
    enum BlockKey: String, CaseIterable {
        case weight, weightDevice = "weight_device", deviceReadBps = "device_read_bps", deviceReadIops = "device_read_iops"
        case deviceWriteBps = "device_write_bps", deviceWriteIops = "device_write_iops"
    }
    enum BlockWeightKey: String, CaseIterable { case path, weight }
    enum BlockRateKey: String, CaseIterable { case path, rate }

    mutating func blockIO(_ node: YAMLNode) -> BlockIO? {
        let keys = mapping(node, "'blkio_config'", keys: BlockKey.self)
        var found = BlockIO()
        // 0 is as any other, as in Docker.
        if let node = keys[.weight], !node.isNull, let weight = integer(node, 0...1000, "'weight'"), weight > 0 { found.weight = weight }
        if let weight = found.weight, weight < 10, let node = keys[.weight] { error("'weight' is a share from 10 to 1000, not \(weight)", node.place) }
        for item in devices(keys[.weightDevice], "'weight_device'") {
            let values = mapping(item, "a weight", keys: BlockWeightKey.self)
            guard let path = disk(values[.path], item), let node = values[.weight], let weight = integer(node, 10...1000, "'weight'") else { continue }
            found.weights.append(BlockIO.Amount(path: path, amount: weight))
        }
        for limit in BlockIO.Limit.allCases {
            guard let key = BlockKey(rawValue: limit.rawValue) else { continue }
            for item in devices(keys[key], "'\(key.rawValue)'") {
                let values = mapping(item, "a rate", keys: BlockRateKey.self)
                guard let path = disk(values[.path], item), let node = values[.rate] else { continue }
                let isBytes = limit == .readBytes || limit == .writeBytes
                guard let rate = isBytes ? bytes(node, "'rate'") : integer(node, 1...Int64.max, "'rate'") else { continue }
                if rate < 1 { error("'rate' is at least 1 a second", node.place) }
                found[limit].append(BlockIO.Amount(path: path, amount: rate))
            }
        }
        return found == BlockIO() ? nil : found
    }

    private mutating func devices(_ node: YAMLNode?, _ what: String) -> [YAMLNode] {
        guard let node, !node.isNull else { return [] }
        if case .sequence(let items) = node.content { return items }
        error("\(what) must be a list; this is \(node.kindName)", node.place)
        return []
    }

    private mutating func disk(_ node: YAMLNode?, _ item: YAMLNode) -> String? {
        guard let node, let path = text(node), path.hasPrefix("/") else {
            error("a disk needs the 'path' of its node, such as /dev/sda", node?.place ?? item.place)
            return nil
        }
        return path
    }
}
