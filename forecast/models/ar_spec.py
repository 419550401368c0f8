"""What an autoregression is asked to be, checked."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecast.errors import InputError, nearest
from forecast.models.records import ExogTerm
from forecast.types import I64

# Codes that the fitting kernels know; 0 is "all lags asked for".
CRITERIA: Final = {"aic": 1, "aicc": 2, "bic": 3, "hqic": 4}
METHODS: Final = ("burg", "ols", "mle", "yule_walker")
TRENDS: Final = ("n", "c", "ct")
BACKENDS: Final = ("native", "statsmodels")

# An automatic order never looks further back than this unless asked to: two days of hours or two
# years of months, and the fit stays below 10 us a series.
DEFAULT_MAX_LAGS: Final = 24

# A longer memory than this is a mistake in units (a lag in seconds on hourly data), not a model.
MAX_LAG: Final = 10_000

Lags = int | str | Sequence[int]
SeasonalLags = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """An autoregression with every default resolved; what the fitting functions take."""

    lags: I64
    """Ascending; with `criterion` > 0 candidates, seasonal ones first, of which a leading part is used."""
    criterion: int
    method: str
    const: bool
    slope: bool
    season: int
    """Number of seasonal dummies, 0 for none."""
    exog: tuple[ExogTerm, ...] = ()
    lasso: bool = False

    @property
    def contiguous(self) -> bool:
        """True when the lags are 1, 2, ..., p."""
        return bool(np.array_equal(self.lags, np.arange(1, len(self.lags) + 1)))

    @property
    def pure(self) -> bool:
        """True for a plain AR(p) with at most a constant: the case of the fast kernels."""
        return self.contiguous and not (self.slope or self.season or self.exog or self.lasso)


def read_seasonal_lags(seasonal_lags: Mapping[int, int] | Sequence[Sequence[int]]) -> SeasonalLags:
    """Return (season length, how many of its multiples) pairs, checked.

    Raises
    ------
    InputError
        A season length below 2, fewer multiples than one, or a lag beyond `MAX_LAG`.
    """
    given = seasonal_lags.items() if isinstance(seasonal_lags, Mapping) else seasonal_lags
    try:
        pairs = tuple((_season(season), operator.index(count)) for season, count in given)
    except (TypeError, ValueError):
        raise InputError(
            f"seasonal_lags must map season lengths to numbers of lags, as {{24: 2}}, got {seasonal_lags!r}"
        ) from None
    for season, count in pairs:
        if season < 2 or count < 1 or season * count > MAX_LAG:
            raise InputError(
                f"seasonal_lags={{{season}: {count}}}: a season length is at least 2, the number of its lags "
                f"at least 1, and none is beyond {MAX_LAG}"
            )
    if len({season for season, _ in pairs}) < len(pairs):
        raise InputError(f"seasonal_lags={seasonal_lags!r} names a season length twice")
    return pairs


def _season(season: int | str) -> int:
    """JSON has no keys but strings."""
    return int(season) if isinstance(season, str) else operator.index(season)


def resolve_lags(lags: Lags, max_lags: int | None, seasonal_lags: SeasonalLags = ()) -> tuple[I64, int]:
    """Return candidate lags and the code of the criterion that chooses among them.

    Seasonal lags come first where a criterion adds one lag after the other, so that it needs not pay for
    all the short ones before it may have them.

    Raises
    ------
    InputError
        For a lag below 1, an unknown criterion, or `max_lags` without one.
    """
    plain, criterion = _plain_lags(lags, max_lags)
    seasonal = np.unique([season * k for season, count in seasonal_lags for k in range(1, count + 1)])
    if not seasonal.size:
        return plain, criterion
    if not criterion:
        return np.union1d(plain, seasonal).astype(np.int64), criterion
    return np.concatenate([seasonal, np.setdiff1d(plain, seasonal)]).astype(np.int64), criterion


def _plain_lags(lags: Lags, max_lags: int | None) -> tuple[I64, int]:
    if isinstance(lags, str):
        if lags not in CRITERIA:
            raise InputError(f"unknown criterion lags={lags!r}{nearest(lags, CRITERIA)}")
        return np.arange(
            1, _check_lag(DEFAULT_MAX_LAGS if max_lags is None else max_lags, "max_lags") + 1
        ), CRITERIA[lags]
    if max_lags is not None:
        raise InputError(f"max_lags={max_lags} goes with lags='aic' or another criterion, got lags={lags!r}")
    if isinstance(lags, (int, np.integer)) and not isinstance(lags, bool):
        return np.arange(1, (_check_lag(int(lags), "lags") if lags else 0) + 1), 0
    if not isinstance(lags, Iterable):
        raise InputError(
            f"lags must be a number, a list of them, or one of {', '.join(CRITERIA)}, got {lags!r}"
        )
    chosen = sorted({_check_lag(lag, "lags") for lag in lags})
    if len(chosen) != len(list(lags)):
        raise InputError(f"lags={list(lags)!r} names a lag twice")
    return np.array(chosen, dtype=np.int64), 0


def _check_lag(lag: object, name: str) -> int:
    if isinstance(lag, bool) or not isinstance(lag, (int, np.integer)) or not 1 <= lag <= MAX_LAG:
        raise InputError(f"{name} must be whole numbers from 1 to {MAX_LAG}, got {lag!r}")
    return int(lag)


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Raise InputError unless `value` is a whole number of `least` or more."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number of {least} or more, got {value!r}")


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raise an InputError that names the nearest choice unless `value` is known."""
    if value not in known:
        raise InputError(f"unknown {name}={value!r}{nearest(str(value), known)}")
