enum PlaceholderEngineAPI {}
