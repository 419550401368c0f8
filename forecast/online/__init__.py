"""Models that move on, one tick at a time."""
