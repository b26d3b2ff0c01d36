"""Models of other programs: read, written, and shared."""
