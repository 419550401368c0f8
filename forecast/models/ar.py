"""AR(p), with lag subsets, trend and seasonal dummies; as ARX also with regressors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from forecast.errors import InputError
from forecast.models.ar_fit import fit_plan
from forecast.models.ar_spec import (
    BACKENDS,
    METHODS,
    TRENDS,
    Lags,
    Plan,
    SeasonalLags,
    check_choice,
    check_whole,
    read_seasonal_lags,
    resolve_lags,
)
from forecast.models.computed import (
    Pairs,
    is_computed,
    settle_terms,
    terms_of,
    with_computed,
)
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm, Records


@dataclass(frozen=True, slots=True)
class AR:
    r"""Autoregression y_t = c + \sum_i \phi_i y_{t-i} + e_t, as an equation with optional trend and season.

    Parameters
    ----------
    lags
        p for lags 1..p; a list for a subset; or "aic", "aicc", "bic", "hqic" to choose p in
        0..`max_lags` (all orders compared on a common sample). 0: no lag at all.
    max_lags
        Longest lag a criterion may choose; default 24. A short series considers fewer.
    method
        "burg" (always stationary; default for a plain AR), "ols" (conditional least squares, as
        statsmodels' AutoReg; default with trend="ct", seasonal or a lag subset), "mle" (exact
        Gaussian likelihood) or "yule_walker" (biased near the unit circle: for comparison).
        A series with gaps is fitted by exact likelihood whatever the method, or, where there is a
        trend, a season or a lag subset, by least squares on its complete rows; its message says which.
    trend
        "n", "c" (constant) or "ct" (constant and slope).
    seasonal
        Add seasonal dummies of period `season_length`.
    fourier
        Harmonics by season length, ``{24: 3, 168: 5}``: several seasons at once, or long ones.
    calendar
        Fields of the date as dummies: "hour", "dayofweek", "month". Like `fourier`, known for any future.
    seasonal_lags
        How many seasonal lags by season length, ``{24: 2, 168: 1}`` for lags 24, 48 and 168: they join
        `lags`. A criterion takes them first, then as many of 1..`max_lags` as it finds worth it.
    backend
        "native", or "statsmodels": the slow reference (complete series, method "ols").

    Raises
    ------
    InputError
        For values outside these, or a combination without a meaning.
    """

    takes_exog: ClassVar[bool] = False
    lags: Lags = "aicc"
    max_lags: int | None = None
    method: str | None = None
    trend: str = "c"
    seasonal: bool = False
    season_length: int | None = None
    fourier: Mapping[float, int] | Pairs = ()
    calendar: Sequence[str] = ()
    seasonal_lags: Mapping[int, int] | SeasonalLags = ()
    backend: str = "native"
    alias: str = "AR"

    def __post_init__(self) -> None:
        settle_terms(self)
        object.__setattr__(self, "seasonal_lags", read_seasonal_lags(self.seasonal_lags))
        self.plan()

    def plan(self) -> Plan:
        """Return the checked form that the fitting functions take."""
        candidates, criterion = resolve_lags(self.lags, self.max_lags, read_seasonal_lags(self.seasonal_lags))
        check_choice("trend", self.trend, TRENDS)
        check_choice("backend", self.backend, BACKENDS)
        season = _season(self.seasonal, self.season_length)
        terms = terms_of(self)
        plan = Plan(candidates, criterion, "ols", self.trend != "n", self.trend == "ct", season, terms)
        method = self.method or (
            "burg" if plan.pure and not self.seasonal and self.backend == "native" else "ols"
        )
        check_choice("method", method, METHODS)
        _check_method(method, plan)
        if self.backend == "statsmodels" and method != "ols":
            raise InputError(f"backend='statsmodels' fits by method='ols', got method={self.method!r}")
        if self.backend == "statsmodels" and (plan.exog or (criterion and self.seasonal_lags)):
            raise InputError(
                "backend='statsmodels' takes neither fourier nor calendar, and seasonal_lags only with lags=p"
            )
        return replace(plan, method=method)

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series; see `Model.fit`."""
        _need_season(self.seasonal, self.season_length)
        plan = self.plan()
        return fit_plan(plan, with_computed(panel, plan.exog), jobs, backend=self.backend)


@dataclass(frozen=True, slots=True)
class ARX:
    r"""AR with regressors in the equation: y_t = c + \sum \phi_i y_{t-i} + \sum \beta_j x_{j,t-l_j} + e_t.

    Not the same as ARIMAX (regression with ARIMA errors): the effect of x lives on through the lags of y.

    Parameters
    ----------
    lags, max_lags, trend, seasonal, season_length, fourier, calendar, seasonal_lags
        As in `AR`. Common default is "aicc".
    exog_lags
        Lags of each regressor, ``{"temp": [0, 1, 24]}``; a regressor that is not named enters at lag 0.
    method
        "ols", or "lasso": regressors and lags chosen along the lasso path by BIC (the constant,
        slope and season are not penalised). Tibshirani (1996); Zou, Hastie & Tibshirani (2007).
    """

    takes_exog: ClassVar[bool] = True
    lags: Lags = "aicc"
    max_lags: int | None = None
    exog_lags: Mapping[str, Sequence[int]] = field(default_factory=dict)
    method: str = "ols"
    trend: str = "c"
    seasonal: bool = False
    season_length: int | None = None
    fourier: Mapping[float, int] | Pairs = ()
    calendar: Sequence[str] = ()
    seasonal_lags: Mapping[int, int] | SeasonalLags = ()
    alias: str = "ARX"

    def __post_init__(self) -> None:
        settle_terms(self)
        object.__setattr__(self, "seasonal_lags", read_seasonal_lags(self.seasonal_lags))
        self.plan(())

    def plan(self, names: Sequence[str]) -> Plan:
        """Return the checked form for regressors `names`."""
        candidates, criterion = resolve_lags(self.lags, self.max_lags, read_seasonal_lags(self.seasonal_lags))
        check_choice("trend", self.trend, TRENDS)
        check_choice("method", self.method, ("ols", "lasso"))
        season = _season(self.seasonal, self.season_length)
        _check_exog_lags(self.exog_lags)
        terms = tuple(ExogTerm(name, int(lag)) for name in names for lag in self.exog_lags.get(name, (0,)))
        terms += terms_of(self)
        lasso = self.method == "lasso"
        candidates = np.sort(candidates) if lasso else candidates
        return Plan(candidates, criterion, "ols", self.trend != "n", self.trend == "ct", season, terms, lasso)

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series; see `Model.fit`.

        Raises
        ------
        InputError
            When `exog_lags` names a regressor that the panel lacks, or there is no regressor at all.
        """
        unknown = sorted(set(self.exog_lags) - set(panel.exog))
        if unknown:
            raise InputError(f"exog_lags names {unknown[0]!r}, but exog holds {sorted(panel.exog)}")
        if not panel.exog:
            raise InputError("ARX needs regressors: pass exog=[...], or use AR")
        _need_season(self.seasonal, self.season_length)
        plan = self.plan(list(panel.exog))
        return fit_plan(plan, with_computed(panel, [t for t in plan.exog if is_computed(t.name)]), jobs)


def _season(seasonal: bool, season_length: int | None) -> int:
    """Return the number of dummies; `season_length` may be left to the frequency until the fit."""
    if not isinstance(seasonal, bool):
        raise InputError(f"seasonal must be True or False, got {seasonal!r}")
    if season_length is not None:
        check_whole("season_length", season_length)
    if not seasonal or season_length is None:
        return 0
    if season_length < 2:
        raise InputError(f"seasonal=True needs season_length of 2 or more, got {season_length}")
    return season_length


def _check_exog_lags(exog_lags: object) -> None:
    if not isinstance(exog_lags, Mapping) or not all(
        isinstance(v, (list, tuple)) for v in exog_lags.values()
    ):
        raise InputError(
            f"exog_lags must map names to lists of lags, as {{'temp': [0, 1]}}, got {exog_lags!r}"
        )
    for name, lags in exog_lags.items():
        for lag in lags:
            check_whole(f"exog_lags[{name!r}]", lag, least=0)


def _need_season(seasonal: bool, season_length: int | None) -> None:
    if seasonal and season_length is None:
        raise InputError("seasonal=True needs a period: pass season_length=12, say")


def _check_method(method: str, plan: Plan) -> None:
    if method == "ols":
        return
    if plan.exog:
        raise InputError(f"method={method!r} takes no fourier and no calendar terms; use method='ols'")
    if not plan.contiguous:
        raise InputError(f"method={method!r} needs all lags 1..p; use method='ols' for a lag subset")
    if method == "mle" and not plan.pure:
        raise InputError(
            "method='mle' takes trend 'n' or 'c'; use ARIMA(order=(p, 0, 0)) for a trend or season"
        )
