"""The disk: the one room that opens, stages, publishes and remembers files; it knows no network."""
