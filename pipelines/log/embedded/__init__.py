"""A log in one SQLite file: outputs, state and positions become visible in one transaction.

For the demo and for small installs on one machine. It is not Kafka: one member of a group works at
a time, the others stand by.
"""

from pipelines.log.embedded.log import EmbeddedLog

__all__ = ["EmbeddedLog"]
