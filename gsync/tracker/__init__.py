"""The tracker: sessions with peers around one `core.directory.Directory`."""
