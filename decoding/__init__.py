"""Language-model decoding: comes with its own issue; this package reserves the name."""
