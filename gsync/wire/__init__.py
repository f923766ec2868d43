"""What is said between peers and trackers: bytes in, messages out, and back; sans-IO."""
