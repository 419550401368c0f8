r"""Regressors that follow from the time alone: Fourier terms and calendar fields, known for any future.

In the record they are regressors like others, whose names say how to compute them: ``fourier(168,sin,2)`` is
:math:`\sin(2 \pi 2 t / 168)` with t = 1 at the first point of the series; ``calendar(month,3)`` is 1 in
March. So a stored model forecasts without anybody supplying them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np

from forecast.errors import InputError, nearest
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm
from forecast.types import F64, I64, Bool

# First value and number of values, as pandas counts them; the first is what the constant stands for.
FIELDS: Final = {"hour": (0, 24), "dayofweek": (0, 7), "month": (1, 12)}
_OF_PANDAS: Final = {"hour": "hour", "dayofweek": "day_of_week", "month": "month"}
_NS_HOUR: Final = 3_600_000_000_000

Pairs = tuple[tuple[float, int], ...]

# A season length is at least 2, and the largest float has 309 digits.
_NAME = re.compile(
    r"fourier\((?P<period>(?:[2-9]|[1-9][0-9]{1,308})(?:\.[0-9]+)?),(?P<wave>sin|cos),(?P<k>[0-9]{1,308})\)"
    r"|calendar\((?P<field>hour|dayofweek|month),(?P<value>[0-9]{1,2})\)"
)


def is_computed(name: str) -> bool:
    """Tell whether a regressor follows from the time alone."""
    return _NAME.fullmatch(name) is not None


def read_fourier(fourier: Mapping[float, int] | Sequence[Sequence[float]]) -> Pairs:
    """Return (season length, harmonics) pairs, checked.

    Raises
    ------
    InputError
        A season length below 2, or harmonics that are not whole numbers from 1 to half of it.
    """
    pairs = fourier.items() if isinstance(fourier, Mapping) else fourier
    try:
        read = tuple((float(period), _harmonics(k)) for period, k in pairs)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"fourier must map season lengths to harmonics, as {{24: 3}}, got {fourier!r}"
        ) from None
    for period, k in read:
        if not (2 <= period < np.inf and 1 <= k <= period / 2):
            raise InputError(
                f"fourier={{{period:g}: {k}}}: a season length is at least 2, its harmonics 1 to half of it"
            )
    if len({period for period, _ in read}) < len(read):
        raise InputError(f"fourier={fourier!r} names a season length twice")
    return tuple((int(period) if period.is_integer() else period, k) for period, k in read)


def _harmonics(k: float) -> int:
    if isinstance(k, (bool, np.bool_)) or not float(k).is_integer():
        raise ValueError
    return int(k)


def read_calendar(calendar: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of calendar fields, checked; None is none of them."""
    if calendar is None:
        return ()
    try:
        names = (calendar,) if isinstance(calendar, str) else tuple(calendar)
    except TypeError:
        raise InputError(
            f"calendar must be names of fields, as ['hour', 'month'], got {calendar!r}"
        ) from None
    for name in names:
        if name not in tuple(FIELDS):
            raise InputError(f"unknown calendar field {name!r}{nearest(str(name), FIELDS)}")
    if len(set(names)) < len(names):
        raise InputError(f"calendar={names!r} names a field twice")
    return names


class Seasoned(Protocol):
    """A specification with `fourier` and `calendar`."""

    @property
    def fourier(self) -> Mapping[float, int] | Pairs:
        """Harmonics by season length."""
        ...

    @property
    def calendar(self) -> Sequence[str]:
        """Fields of the date."""
        ...


def settle_terms(spec: Seasoned) -> None:
    """Check `fourier` and `calendar` of a frozen specification, and give them their one spelling."""
    object.__setattr__(spec, "fourier", read_fourier(spec.fourier))
    object.__setattr__(spec, "calendar", read_calendar(spec.calendar))


def terms_of(spec: Seasoned) -> tuple[ExogTerm, ...]:
    """Return the computed terms of a specification."""
    return computed_terms(read_fourier(spec.fourier), spec.calendar)


def check_not_differenced(fourier: Pairs, D: int, s: int) -> None:
    """Raise InputError for waves that D seasonal differences of length `s` turn into zeros."""
    for period, most in fourier:
        gone = [k for k in range(1, most + 1) if (s * k / period).is_integer()]
        if D and gone:
            raise InputError(
                f"fourier={{{period}: {most}}} repeats every {s} steps, which D = {D} differences away; "
                f"use D = 0, or leave {period} out of fourier"
            )


def computed_terms(fourier: Pairs, calendar: Sequence[str]) -> tuple[ExogTerm, ...]:
    """Return the terms of a model; the sine of two points a turn is 0 at every t, and left out."""
    terms = [
        ExogTerm(f"fourier({period!r},{wave},{k})")
        for period, most in fourier
        for k in range(1, most + 1)
        for wave in ("sin", "cos")
        if wave == "cos" or 2 * k != period
    ]
    for name in calendar:
        first, count = FIELDS[name]
        terms += [ExogTerm(f"calendar({name},{value})") for value in range(first + 1, first + count)]
    return tuple(terms)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Grid positions, and the regressors there; a calendar field is looked up once for all its values."""

    freq: Freq
    start: I64
    positions: I64
    """Counted from `start` (broadcast), 0 the first point of the series."""
    _fields: dict[str, I64] = field(default_factory=dict)

    def values(self, name: str) -> F64:
        """Return the values of a regressor.

        Raises
        ------
        InputError
            A calendar field of times that are plain ints.
        """
        parts = _NAME.fullmatch(name)
        if parts is None:
            raise InputError(f"regressor {name!r} does not follow from the time")
        if parts["wave"]:
            return _wave(parts["wave"], float(parts["k"]), float(parts["period"]), self._at())
        if parts["field"] not in self._fields:
            self._fields[parts["field"]] = calendar_field(parts["field"], self.freq, self.start, self._at())
        hit: Bool = self._fields[parts["field"]] == int(parts["value"])
        return hit.astype(np.float64)

    def _at(self) -> I64:
        at, _ = np.broadcast_arrays(np.asarray(self.positions, dtype=np.int64), self.start)
        return at


def _wave(wave: str, k: float, period: float, at: I64) -> F64:
    # Whole turns go first, without rounding: the angle of a late t would lose digits.
    turns = np.mod((at + 1) * k, period) / period
    values: F64 = (np.sin if wave == "sin" else np.cos)(2.0 * np.pi * turns)
    return values


def calendar_field(name: str, freq: Freq, start: I64, at: I64) -> I64:
    """Return the hour, weekday or month at grid positions, by the clock on the wall.

    Raises
    ------
    InputError
        The times are plain ints.
    """
    if freq.is_int:
        raise InputError(f"calendar={name!r} needs dates, but the times are plain ints; use fourier={{...}}")
    times = freq.times(start, at)
    if freq.tz is not None and not freq.wall:
        return _field_in_zone(name, times, freq.tz)
    if name == "hour":
        return times // _NS_HOUR % 24
    if name == "dayofweek":
        return (times // (24 * _NS_HOUR) + 3) % 7  # 1970-01-01 was a Thursday
    return times.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64) % 12 + 1


def _field_in_zone(name: str, times: I64, tz: str) -> I64:
    """Return the field of times in UTC, ns, by the clock of a zone."""
    import pandas as pd  # only here: services, which forecast without zones, start without it

    local = pd.DatetimeIndex(times.ravel()).tz_localize("UTC").tz_convert(tz)
    return np.asarray(getattr(local, _OF_PANDAS[name]), dtype=np.int64).reshape(times.shape)


def computed_values(name: str, freq: Freq, start: I64, positions: I64) -> F64:
    """Return the values of one regressor; see `Moments`."""
    return Moments(freq, start, positions).values(name)


def with_computed(panel: Panel, terms: Sequence[ExogTerm]) -> Panel:
    """Add the columns of `terms` to a panel whose series begin with their first point."""
    if not terms:
        return panel
    row = np.repeat(np.arange(panel.n_series), panel.lengths)
    when = Moments(panel.freq, panel.start[row], np.arange(len(panel.values)) - panel.indptr[row])
    return replace(panel, exog={**panel.exog, **{term.name: when.values(term.name) for term in terms}})
