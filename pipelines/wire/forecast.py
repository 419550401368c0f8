"""Forecast v1: the whole path after one tick, one message a tick, keyed by `series_id`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

import msgspec

from pipelines.errors import Reason, WireError
from pipelines.wire.message import (
    MAX_INT,
    MAX_TS_MS,
    WireCodec,
    check_int,
    check_text,
    check_ts,
)

# Kafka's default limit of a message is 1 MiB with its record overhead; a producer's batch of one
# message must fit as well.
MAX_FORECAST_BYTES = 900_000

# A year of hours is 8,760. With two levels and 7 digits that is 0.5 MB; more does not fit.
MAX_HORIZON = 10_000

# Beyond the 19 of 5..95 nobody draws bands; each level doubles the numbers of a message again.
MAX_LEVELS = 32

# Digits that are sent: the rounding is 1e-7 of a value, far below any forecast error, and a third of the
# bytes of exact doubles are saved.
SIGNIFICANT_DIGITS = 7


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Where the tick was read that led to a forecast."""

    topic: str
    partition: int
    offset: int


class Forecast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The path of one series after one tick; entry k of every list is for ts_ms + (k + 1) dt_ms."""

    series_id: str
    ts_ms: int
    """Origin: time of the last tick that the forecast knows, ms since 1970, UTC."""
    model: str
    """Alias of the model within its version."""
    version: str
    """Model version."""
    dt_ms: int
    """Nominal grid step, ms."""
    mean: list[float]
    """(H,) in the units of the series."""
    level: list[float]
    """(L,) nominal coverages in percent, ascending; may be empty."""
    lo: list[list[float]]
    """(L, H)"""
    hi: list[list[float]]
    """(L, H)"""
    z: float | None
    """Standardised one-step innovation of the tick at `ts_ms`; None when that tick was imputed."""
    imputed: int
    """Grid points filled since the last observed one, `ts_ms` included; 0 when it was observed."""
    source: Source
    v: int


def decode_forecast(data: bytes | None) -> Forecast:
    """Return the forecast in `data`; `WireError` with its reason for anything else."""
    return _CODEC.decode(data)


def encode_forecast(forecast: Forecast, digits: int | None = None) -> bytes:
    """Return `forecast` as JSON; `WireError` for what `decode_forecast` would refuse.

    Parameters
    ----------
    digits
        Significant decimal digits of mean, lo, hi and z, see `SIGNIFICANT_DIGITS`; None: all, exactly.
    """
    if digits is not None:
        forecast = msgspec.structs.replace(
            forecast,
            mean=_rounded(forecast.mean, digits),
            lo=[_rounded(row, digits) for row in forecast.lo],
            hi=[_rounded(row, digits) for row in forecast.hi],
            z=None if forecast.z is None else _rounded([forecast.z], digits)[0],
        )
    return _CODEC.encode(forecast)


def _rounded(values: Sequence[float], digits: int) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values]


def _check(forecast: Forecast) -> None:
    check_text("series_id", forecast.series_id)
    check_text("model", forecast.model)
    check_text("version", forecast.version)
    check_text("source.topic", forecast.source.topic)
    check_ts("ts_ms", forecast.ts_ms)
    check_int("dt_ms", forecast.dt_ms, 1, MAX_TS_MS)
    check_int("imputed", forecast.imputed, 0, MAX_INT)
    check_int("source.partition", forecast.source.partition, 0, 2**31 - 1)
    check_int("source.offset", forecast.source.offset, 0, MAX_INT)
    h, n_levels = len(forecast.mean), len(forecast.level)
    check_int("the length of mean", h, 1, MAX_HORIZON)
    check_int("the length of level", n_levels, 0, MAX_LEVELS)
    if any(not 0 < level < 100 for level in forecast.level) or any(
        a >= b for a, b in pairwise(forecast.level)
    ):
        raise WireError(Reason.OUT_OF_RANGE, "level must ascend within (0, 100)")
    for name, rows in (("lo", forecast.lo), ("hi", forecast.hi)):
        if len(rows) != n_levels or any(len(row) != h for row in rows):
            raise WireError(Reason.OUT_OF_RANGE, f"{name} must be {n_levels} lists of {h} numbers")


def _n_pairs(forecast: Forecast) -> int:
    return 16  # 13 fields, and 3 in source


def _numbers(forecast: Forecast) -> Iterable[float]:
    z = () if forecast.z is None else (forecast.z,)
    return chain(z, forecast.level, forecast.mean, *forecast.lo, *forecast.hi)


_CODEC = WireCodec(Forecast, MAX_FORECAST_BYTES, _check, _n_pairs, _numbers)
