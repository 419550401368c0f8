"""The bundle: what a device gets, signed, in one folder or archive."""
