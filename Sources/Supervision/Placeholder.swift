enum PlaceholderSupervision {}
