enum PlaceholderEngineNative {}
