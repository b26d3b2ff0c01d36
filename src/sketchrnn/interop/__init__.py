"""Other programs' models, and ours for other programs."""
