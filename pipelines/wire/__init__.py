"""Wire messages v1: what producers, the stream, monitors and consumers agree on (`docs/contracts.md`)."""

from pipelines.errors import Reason, WireError
from pipelines.wire.control import Control, decode_control, encode_control
from pipelines.wire.drift import DriftEvent, decode_drift, encode_drift
from pipelines.wire.forecast import SIGNIFICANT_DIGITS, Forecast, Source, decode_forecast, encode_forecast
from pipelines.wire.message import WIRE_VERSION
from pipelines.wire.tick import Tick, decode_tick, encode_tick

__all__ = [
    "SIGNIFICANT_DIGITS",
    "WIRE_VERSION",
    "Control",
    "DriftEvent",
    "Forecast",
    "Reason",
    "Source",
    "Tick",
    "WireError",
    "decode_control",
    "decode_drift",
    "decode_forecast",
    "decode_tick",
    "encode_control",
    "encode_drift",
    "encode_forecast",
    "encode_tick",
]
