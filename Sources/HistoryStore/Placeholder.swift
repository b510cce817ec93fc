enum PlaceholderHistoryStore {}
