"""Messages: tick v1 and requests for forecasts in, forecast v1 out, as in the contracts of the stream."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from .answer import Forecast
from .bundle import Bundle
from .errors import RequestError

VERSION: Final = 1
MAX_TICK_BYTES: Final = 64 << 10
# A history of 100,000 values, and regressors.
MAX_REQUEST_BYTES: Final = 4 << 20
MAX_EXOG: Final = 256
MAX_TEXT_CHARS: Final = 256
MAX_TS_MS: Final = 9_223_372_036_854
# Where a forecast says it came from: no topic of the stream.
_TOPIC: Final = "edge"
# How much of foreign text a message quotes.
_QUOTED_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class Tick:
    """One observation; `value` None where it is known to be missing."""

    series_id: str
    ts_ms: int
    value: float | None
    exog: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Request:
    """A forecast that is asked for: `history` None means from where the series stands."""

    series_id: str
    history: list[float] | None
    ts_ms: int | None
    exog: Mapping[str, list[float]]


def read_tick(data: bytes) -> Tick:
    """Return the tick in `data`; `RequestError` with the reason of the contracts for anything else."""
    found = _object(data, MAX_TICK_BYTES, ("series_id", "ts_ms", "value"), ("exog",))
    value = found["value"]
    return Tick(
        _text("series_id", found["series_id"]),
        _time(found["ts_ms"]),
        None if value is None else _number("value", value),
        {_text("a name in exog", name): _number(name, x) for name, x in _exog(found).items()},
    )


def read_request(data: bytes) -> Request:
    """Return what is asked: `series_id`, and maybe `history`, `ts_ms` of its last value, and `exog`.

    `history` is a list of numbers, oldest first, null where one is missing; `exog` maps names to such lists
    without null.
    """
    found = _object(data, MAX_REQUEST_BYTES, ("series_id",), ("history", "ts_ms", "exog"))
    history, ts_ms = found.get("history"), found.get("ts_ms")
    if history is not None and ts_ms is None:
        raise RequestError("ts_ms is missing: the time of the last value of the history", "missing_field")
    return Request(
        _text("series_id", found["series_id"]),
        None
        if history is None
        else [math.nan if y is None else _number("history", y) for y in _list(history)],
        None if ts_ms is None else _time(ts_ms),
        {
            _text("a name in exog", name): [_number(name, x) for x in _list(values)]
            for name, values in _exog(found).items()
        },
    )


def write_forecast(bundle: Bundle, forecast: Forecast, offset: int) -> bytes:
    """Return forecast v1 as one line of JSON, all digits; `offset` counts the ticks of this input from 0."""
    model = bundle.manifest.model
    message = {
        "series_id": str(forecast.series_id),
        "ts_ms": forecast.ts_ms,
        "model": model.name,
        "version": model.version,
        "dt_ms": bundle.schema.freq.dt_ms,
        "mean": forecast.mean.tolist(),
        "level": list(forecast.levels),
        "lo": forecast.lo.tolist(),
        "hi": forecast.hi.tolist(),
        "z": forecast.z,
        "imputed": forecast.gap,
        "source": {"topic": _TOPIC, "partition": 0, "offset": offset},
        "v": VERSION,
    }
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def answer_tick(bundle: Bundle, data: bytes, offset: int) -> bytes:
    """Take the tick in `data` in; return its forecast."""
    tick = read_tick(data)
    return write_forecast(bundle, bundle.step(tick.series_id, tick.value, tick.ts_ms, tick.exog), offset)


def answer_request(bundle: Bundle, data: bytes, offset: int) -> bytes:
    """Return the forecast that `data` asks for."""
    asked = read_request(data)
    found = bundle.forecast(asked.series_id, asked.history, asked.exog, asked.ts_ms)
    return write_forecast(bundle, found, offset)


def _object(data: bytes, most: int, needed: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a message, `v` checked and gone."""
    if not data.strip():
        raise RequestError("no bytes", "empty")
    if len(data) > most:
        raise RequestError(f"{len(data)} bytes, at most {most}", "too_large")
    try:
        found = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_not_finite,
            parse_int=_int,
            parse_float=_float,
        )
    except (ValueError, RecursionError):
        raise RequestError("not JSON in UTF-8", "malformed") from None
    if not isinstance(found, dict):
        raise RequestError("expected an object", "wrong_type")
    version = found.pop("v", None)
    if type(version) is not int:
        raise RequestError("v must be an int", "missing_field" if version is None else "wrong_type")
    if version != VERSION:
        raise RequestError(f"v is {version}, this reads {VERSION}", "unknown_version")
    for name in needed:
        if name not in found:
            raise RequestError(f"{name} is missing", "missing_field")
    for name in sorted(found.keys() - {*needed, *optional}):
        raise RequestError(f"{_quoted(name)} is no field of this message", "unknown_field")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RequestError("a key appears twice in one object", "duplicate_key")
    return found


def _not_finite(text: str) -> NoReturn:
    raise RequestError(f"{text} is not JSON; a missing value is null", "not_finite")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise RequestError(f"{_quoted(text)} does not fit into a double", "out_of_range")
    return value


def _int(text: str) -> int:
    _float(text)
    return int(text)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{name} must be a text", "wrong_type")
    if not 0 < len(value) <= MAX_TEXT_CHARS or "\0" in value:
        raise RequestError(f"{name} must have 1 to {MAX_TEXT_CHARS} characters and no NUL", "out_of_range")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise RequestError(f"{name} has half of a character", "malformed")
    return value


def _time(value: object) -> int:
    if type(value) is not int:
        raise RequestError("ts_ms must be an int, ms since 1970", "wrong_type")
    if not -MAX_TS_MS <= value <= MAX_TS_MS:
        raise RequestError(f"ts_ms must lie in {-MAX_TS_MS}..{MAX_TS_MS}", "out_of_range")
    return value


def _number(name: str, value: object) -> float:
    if type(value) not in (int, float):
        raise RequestError(f"{_quoted(name)} must be a number", "wrong_type")
    return float(value)  # type: ignore[arg-type]  # checked above


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise RequestError("values must be a list of numbers, oldest first", "wrong_type")
    return value


def _exog(found: Mapping[str, Any]) -> Mapping[str, Any]:
    exog = found.get("exog", {})
    if not isinstance(exog, dict):
        raise RequestError("exog must map names to numbers", "wrong_type")
    if len(exog) > MAX_EXOG:
        raise RequestError(f"exog has {len(exog)} entries, at most {MAX_EXOG}", "out_of_range")
    return exog


def _quoted(text: str) -> str:
    return ascii(text[:_QUOTED_CHARS])
