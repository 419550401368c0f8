"""AR on deseasonalised and differenced series: what AutoAR chooses between."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forecast.kernels.burg import fit_burg
from forecast.kernels.differences import difference, remove_mean_function, seasonal_effects
from forecast.kernels.summary import last_values
from forecast.models.certificate import repair
from forecast.models.panel import Panel
from forecast.models.records import Family, Form, Records, Transform
from forecast.models.threads import over_rows
from forecast.types import F64, I64, Bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a series is made stationary before an AR is fitted to it by Burg's method.

    Parameters
    ----------
    log
        Work on log y: season and trend are then factors.
    effects
        Take additive seasonal effects out first (classical decomposition).
    d, D
        Differences, and seasonal differences of what is left.
    mean
        Give what is left a mean: a level (d = D = 0), or a drift.
    """

    log: bool = False
    effects: bool = False
    d: int = 0
    D: int = 0
    mean: bool = True

    def shortest(self, season: int) -> int:
        """Points below which the recipe is not tried: a few more than it has parameters."""
        return max(6, self.d + self.D * season + 6, 2 * season + 1 if self.effects else 0)


def fit_recipe(
    recipe: Recipe, panel: Panel, season: int, max_lags: int, criterion: int, jobs: int = 1
) -> tuple[Records, Bool]:
    """Fit one recipe to complete series in safe units.

    Returns
    -------
    records
        In the REGRESSION form, without certificate and residual check: those are for what is chosen.
    ok
        (n,) False where the recipe does not fit the series (too short, not positive, nothing left to fit).
    """
    n = panel.n_series
    with np.errstate(divide="ignore", invalid="ignore"):
        w = np.log(panel.values) if recipe.log else panel.values
    fine = panel.lengths >= recipe.shortest(season)
    fine &= np.isfinite(np.add.reduceat(w, panel.indptr[:-1]))
    w = np.where(np.repeat(fine, panel.lengths), w, 0.0)
    effects = np.zeros((n, season if recipe.effects else 0))
    if recipe.effects:
        seasonal_effects(w, panel.indptr, season, effects)
    zero = np.zeros(n)
    level = np.empty_like(w)
    remove_mean_function(w, panel.indptr, zero, zero, effects, level)
    fit = _burg(recipe, level, panel.indptr, season, max_lags, criterion, jobs)
    const, slope = _mean_terms(recipe, fit.mean, season)
    remove_mean_function(w, panel.indptr, const, slope, effects, level)
    width = max(1, int(fit.order.max(initial=0)) + recipe.d + season * recipe.D)
    levels = np.empty((n, width))
    last_values(level, panel.indptr, levels)
    count = 1 + fit.order + int(recipe.mean) + (season - 1 if recipe.effects else 0)
    records = Records(
        ids=panel.ids, freq=panel.freq, start=panel.start, nobs=panel.lengths.astype(np.int32),
        family=np.full(n, Family.AR, dtype=np.uint8), form=np.full(n, Form.REGRESSION, dtype=np.uint8),
        status=panel.status, season_length=_same(n, season if recipe.effects or recipe.D else 1),
        p=fit.order.astype(np.int32), d=_same(n, recipe.d), q=_same(n, 0),
        P=_same(n, 0), D=_same(n, recipe.D), Q=_same(n, 0),
        phi=fit.phi[:, : int(fit.order.max(initial=0))], const=const, slope=slope, seasonal=effects,
        sigma2=fit.sigma2, levels=levels,
        transform=np.full(n, Transform.LOG if recipe.log else Transform.NONE, dtype=np.uint8),
        loglik=fit.loglik, n_params=count.astype(np.int32), n_used=fit.length.astype(np.int32),
    )  # fmt: skip
    return records, fine & fit.ok


@dataclass(slots=True, eq=False)
class _Fit:
    phi: F64
    mean: F64
    sigma2: F64
    order: I64
    loglik: F64
    ok: Bool
    length: I64


def _burg(
    recipe: Recipe, level: F64, indptr: I64, season: int, max_lags: int, criterion: int, jobs: int
) -> _Fit:
    n = len(indptr) - 1
    length = np.maximum(np.diff(indptr) - recipe.d - season * recipe.D, 0)
    short = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    rest = np.empty(short[-1])
    difference(level, indptr, recipe.d, recipe.D, season, rest, short)
    fit = _Fit(
        np.zeros((n, max_lags)), np.zeros(n), np.full(n, np.nan), np.zeros(n, dtype=np.int64),
        np.full(n, np.nan), np.zeros(n, dtype=np.bool_), length,
    )  # fmt: skip
    ic, ok = np.empty((n, max_lags + 1)), np.zeros(n, dtype=np.uint8)

    def work(first: int, last: int) -> None:
        fit_burg(
            rest, short, first, last, max_lags, criterion, int(recipe.mean),
            fit.phi, fit.mean, fit.sigma2, fit.order, ic, fit.loglik, ok,
        )  # fmt: skip

    over_rows(work, n, jobs)
    # A series so regular that its AR part leaves the unit circle is for another recipe, not for a repair.
    _, outside = repair(fit.phi, fit.order, jobs=jobs)
    return replace(fit, ok=(ok == 1) & (fit.sigma2 > 0) & ~outside)


def _mean_terms(recipe: Recipe, mean: F64, season: int) -> tuple[F64, F64]:
    """(const, slope) of w that give the differenced series its mean; `mean` is 0 where there is none."""
    zero = np.zeros(len(mean))
    if not recipe.mean or recipe.d + recipe.D > 1:
        return zero, zero
    if recipe.d:
        return zero, mean
    if recipe.D:
        return zero, mean / season
    return mean, zero


def _same(n: int, value: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.full(n, value, dtype=np.int32)
