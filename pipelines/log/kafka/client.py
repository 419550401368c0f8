"""The client, kafka-python: the one door to it.

It has no types, and tools know those of an older one: here it is whatever it is.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any, Final


def _part(name: str) -> Any:  # noqa: ANN401  # no types
    with warnings.catch_warnings():
        # On Python 3.11 and 3.12 its import calls what was deprecated for a while.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        return importlib.import_module(name)


kafka: Final[Any] = _part("kafka")
errors: Final[Any] = _part("kafka.errors")
codec: Final[Any] = _part("kafka.codec")
structs: Final[Any] = _part("kafka.structs")
assignors: Final[Any] = _part("kafka.coordinator.assignors.cooperative_sticky")
protocol: Final[Any] = _part("kafka.protocol.consumer")
fetching: Final[Any] = _part("kafka.consumer.fetcher")
accumulating: Final[Any] = _part("kafka.producer.record_accumulator")
batches: Final[Any] = _part("kafka.producer.producer_batch")
futures: Final[Any] = _part("kafka.producer.future")
building: Final[Any] = _part("kafka.record.memory_records")
records: Final[Any] = _part("kafka.record.default_records")
varints: Final[Any] = _part("kafka.record.util")

KNOWN: Final[bool] = kafka.__version__.split(".")[:2] == ["3", "0"]
"""Whether its inner parts are those that the fast paths know."""
