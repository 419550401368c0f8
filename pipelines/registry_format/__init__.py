"""Ticks and forecasts as Avro or Protobuf, in the wire format of schema registries (extra `formats`).

A byte 0, the id of the schema as four bytes, big-endian, then the message; in Protobuf the position of the
message in its file comes first. Ids mean what the settings say, never what a message says.
"""

from pipelines.registry_format.formats import ForecastFormat, TickFormat
from pipelines.registry_format.mapping import Encoding, Kind, Schema, load_schemas

__all__ = ["Encoding", "ForecastFormat", "Kind", "Schema", "TickFormat", "load_schemas"]
