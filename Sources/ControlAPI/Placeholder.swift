enum PlaceholderControlAPI {}
