"""Tick v1: one observation of one series, keyed by `series_id`."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipelines.errors import Reason, WireError
from pipelines.wire.message import WireCodec, check_text, check_ts

# A tick with `MAX_EXOG` names of full length, every character escaped, would have 400 kB; one that
# people send has 100 bytes. 64 kB leave room for either side of that without letting one
# producer fill a partition's memory.
MAX_TICK_BYTES = 64 << 10

# Each regressor is a column of the model; ARX with more is not estimated from one series.
MAX_EXOG = 256


class Tick(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """One observation."""

    series_id: str
    ts_ms: int
    """Time of the observation, ms since 1970, UTC."""
    value: float | None
    """None: known to be missing."""
    exog: dict[str, float] = {}
    """Regressors by name at this time; those known ahead come in ticks of their own time."""
    v: int


def decode_tick(data: bytes | None) -> Tick:
    """Return the tick in `data`; `WireError` with its reason for anything else."""
    return _CODEC.decode(data)


def encode_tick(tick: Tick) -> bytes:
    """Return `tick` as JSON; `WireError` for what `decode_tick` would refuse."""
    return _CODEC.encode(tick)


def _check(tick: Tick) -> None:
    check_text("series_id", tick.series_id)
    check_ts("ts_ms", tick.ts_ms)
    if tick.exog:
        if len(tick.exog) > MAX_EXOG:
            raise WireError(Reason.OUT_OF_RANGE, f"exog has {len(tick.exog)} entries, at most {MAX_EXOG}")
        for name in tick.exog:
            check_text("a name in exog", name)


def _n_pairs(tick: Tick) -> int:
    return 5 + len(tick.exog) if tick.exog else 4


def _numbers(tick: Tick) -> Iterable[float]:
    return tick.exog.values() if tick.value is None else (tick.value, *tick.exog.values())


_CODEC = WireCodec(Tick, MAX_TICK_BYTES, _check, _n_pairs, _numbers)
