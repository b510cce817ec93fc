enum PlaceholderPlanning {}
