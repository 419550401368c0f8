"""Drift event v1: a detector raised an alarm; keyed by `series_id`, or by the model for a whole fleet."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipelines.wire.message import WireCodec, check_text, check_ts

# Ten fields of at most 256 characters, escaped as 12 bytes each in the worst case.
MAX_DRIFT_BYTES = 16 << 10


class DriftEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An alarm."""

    series_id: str | None
    """None: of the whole fleet."""
    ts_ms: int
    """Time of the tick that raised it, ms since 1970, UTC."""
    model: str
    version: str
    detector: str
    statistic: float
    threshold: float
    dedup_key: str
    """Equal for repeats of one alarm, so that it is recorded once."""
    v: int


def decode_drift(data: bytes | None) -> DriftEvent:
    """Return the drift event in `data`; `WireError` with its reason for anything else."""
    return _CODEC.decode(data)


def encode_drift(event: DriftEvent) -> bytes:
    """Return `event` as JSON; `WireError` for what `decode_drift` would refuse."""
    return _CODEC.encode(event)


def _check(event: DriftEvent) -> None:
    if event.series_id is not None:
        check_text("series_id", event.series_id)
    check_ts("ts_ms", event.ts_ms)
    for name in ("model", "version", "detector", "dedup_key"):
        check_text(name, getattr(event, name))


def _n_pairs(event: DriftEvent) -> int:
    return 9


def _numbers(event: DriftEvent) -> Iterable[float]:
    return event.statistic, event.threshold


_CODEC = WireCodec(DriftEvent, MAX_DRIFT_BYTES, _check, _n_pairs, _numbers)
