enum PlaceholderControlServer {}
