"""Edge bundles: the exporter comes with its own issue; this package reserves the name."""
