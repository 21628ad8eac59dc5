"""What the sources of keys that people write have in common."""
