"""Everything that touches the world: commands, wire messages, services."""
