"""The server: the drawing page, and HTTP over `generate`. `sketchrnn serve` starts it."""
