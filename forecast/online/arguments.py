"""What a caller hands to a tick, checked."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np

from forecast.errors import FutureExogError, InputError
from forecast.types import F64


def read_value(y: object) -> float:
    """Return an observation as a float, NaN for None."""
    if isinstance(y, float):
        return float(y)
    return math.nan if y is None else _number("y", y)


def _number(name: str, value: object) -> float:
    if not isinstance(value, Real):
        raise InputError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{name} is too large for a float") from None


def read_slot(slot: object, n: int) -> int:
    """Return the position of one of `n` series."""
    if type(slot) is int and 0 <= slot < n:
        return slot
    try:
        at = -1 if isinstance(slot, (bool, np.bool_)) else operator.index(slot)  # type: ignore[arg-type]
    except TypeError:
        at = -1
    if not 0 <= at < n:
        raise InputError(f"slot {slot!r} is out of range, there are {n}, counted from 0")
    return at


def read_exog(exog: object, needed: Sequence[str]) -> dict[str, float]:
    """Return the regressors of a tick that are `needed`, all finite."""
    if exog is None and not needed:
        return {}
    given = {} if exog is None else exog
    if not isinstance(given, Mapping):
        raise InputError(f"exog must map names to numbers, got {exog!r}")
    read = {}
    for name in needed:
        if name not in given:
            raise InputError(f"regressor {name!r} is needed at every tick, got {sorted(map(str, given))}")
        read[name] = _number(f"regressor {name!r}", given[name])
        if not math.isfinite(read[name]):
            raise InputError(f"regressor {name!r} is needed at every tick, got {given[name]!r}")
    return read


def read_future(future: object, name: str, h: int) -> F64:
    """Return (h,) values of a regressor at the next steps, all finite."""
    if not isinstance(future, Mapping):
        raise InputError(f"future must map names to {h} numbers each, got {future!r}")
    if name not in future:
        raise FutureExogError(f"regressor {name!r} has no future values; given: {sorted(map(str, future))}")
    try:
        coming = np.asarray(future[name], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"future {name!r} must be {h} numbers, got {future[name]!r}") from None
    if coming.shape != (h,):
        raise InputError(f"future {name!r} has shape {coming.shape}, needs {(h,)}")
    finite = np.isfinite(coming)
    if not finite.all():
        raise InputError(f"future {name!r} is NaN or infinite at step {int(finite.argmin()) + 1}")
    return coming
