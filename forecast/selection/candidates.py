"""What AutoAR chooses between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from forecast.models.ar import AR, ARX
from forecast.models.ar_integrated import Recipe, fit_recipe
from forecast.models.ar_records import finish
from forecast.models.ar_spec import CRITERIA
from forecast.models.baselines import walk
from forecast.models.computed import Pairs
from forecast.models.panel import Panel
from forecast.models.records import Family, Records
from forecast.models.spec import Model
from forecast.types import Bool, Status

# A recipe in logarithms extrapolates exponentially: a small advantage at the origins is not enough.
_LOG_HANDICAP: Final = 1.1

# Exact likelihood with gaps costs O(p^3) at a gap: with 60 lags minutes a series, with 24 a second.
_MOST_EXACT_LAGS: Final = 24

_PLAIN: Final = (
    Recipe(),
    Recipe(d=1),
    Recipe(d=1, mean=False),
    Recipe(log=True, d=1),
    Recipe(log=True, d=1, mean=False),
)
_SEASONAL: Final = (
    Recipe(effects=True),
    Recipe(effects=True, d=1),
    Recipe(effects=True, d=1, mean=False),
    Recipe(log=True, effects=True),
    Recipe(log=True, effects=True, d=1),
    Recipe(log=True, effects=True, d=1, mean=False),
    Recipe(D=1),
    Recipe(D=1, mean=False),
    Recipe(log=True, D=1),
    Recipe(log=True, D=1, mean=False),
)


class Candidate(Protocol):
    """Something that can be fitted to a panel cut at an origin."""

    @property
    def baseline(self) -> bool:
        """True for what an AR has to beat."""
        ...

    @property
    def handicap(self) -> float:
        """Factor on its error when it is compared with others of its kind; 1 or more."""
        ...

    def fit(self, panel: Panel, jobs: int) -> tuple[Records, Bool]:
        """Return records, and for which series they can be used."""
        ...

    def publish(self, records: Records, panel: Panel, jobs: int) -> Records:
        """Add what a published record carries, to the records of the last fit."""
        ...


@dataclass(frozen=True, slots=True)
class Baseline:
    """Naive, SeasonalNaive or Drift."""

    family: Family
    season: int = 1
    baseline: bool = True
    handicap: float = 1.0

    def fit(self, panel: Panel, jobs: int) -> tuple[Records, Bool]:
        records = walk(panel, self.family, self.season)
        return records, np.any(~np.isnan(records.levels), axis=1)

    def publish(self, records: Records, panel: Panel, jobs: int) -> Records:
        return records


@dataclass(frozen=True, slots=True)
class Integrated:
    """An AR on a series made stationary by a recipe."""

    recipe: Recipe
    season: int
    max_lags: int
    criterion: int
    baseline: bool = False

    @property
    def handicap(self) -> float:
        return _LOG_HANDICAP if self.recipe.log else 1.0

    def fit(self, panel: Panel, jobs: int) -> tuple[Records, Bool]:
        return fit_recipe(self.recipe, panel, self.season, self.max_lags, self.criterion, jobs)

    def publish(self, records: Records, panel: Panel, jobs: int) -> Records:
        return finish(records, panel, jobs)


@dataclass(frozen=True, slots=True)
class Specified:
    """A model of the public face, which publishes by itself."""

    model: Model
    baseline: bool = False
    handicap: float = 1.0

    def fit(self, panel: Panel, jobs: int) -> tuple[Records, Bool]:
        records = self.model.fit(panel, jobs)
        return records, records.status < Status.GUARDED

    def publish(self, records: Records, panel: Panel, jobs: int) -> Records:
        return records


def baselines(season: int) -> list[Candidate]:
    """Return what every candidate has to beat."""
    seasonal = [Baseline(Family.SEASONAL_NAIVE, season)] if season > 1 else []
    return [Baseline(Family.NAIVE), Baseline(Family.DRIFT), *seasonal]


def for_complete(season: int, max_lags: int, ic: str) -> Sequence[Candidate]:
    """Recipes for series without gaps or regressors."""
    recipes = _PLAIN + (_SEASONAL if season > 1 else ())
    return [Integrated(recipe, season, max_lags, CRITERIA[ic]) for recipe in recipes]


def for_gapped(season: int, max_lags: int, ic: str) -> Sequence[Candidate]:
    """Levels by exact likelihood, or with trend and season by least squares on complete rows.

    No differences: with gaps they lose points at each of them.
    """
    plain = Specified(AR(lags=ic, max_lags=min(max_lags, _MOST_EXACT_LAGS)))
    trend = Specified(AR(lags=ic, max_lags=max_lags, trend="ct"))
    if season == 1:
        return [plain, trend]
    dummies = AR(lags=ic, max_lags=max_lags, trend="ct", seasonal=True, season_length=season)
    return [plain, trend, Specified(dummies)]


def for_regressors(season: int, max_lags: int, ic: str) -> Sequence[Candidate]:
    """ARX, with and without seasonal dummies."""
    plain = Specified(ARX(lags=ic, max_lags=max_lags))
    if season == 1:
        return [plain]
    dummies = ARX(lags=ic, max_lags=max_lags, seasonal=True, season_length=season)
    return [plain, Specified(dummies)]


def for_terms(
    fourier: Pairs, calendar: Sequence[str], regressors: bool, max_lags: int, ic: str
) -> Sequence[Candidate]:
    """AR (ARX where there are regressors) about Fourier and calendar terms, without and with a slope."""
    if not fourier and not calendar:
        return []
    model = ARX if regressors else AR
    return [
        Specified(model(lags=ic, max_lags=max_lags, trend=trend, fourier=fourier, calendar=calendar))
        for trend in ("c", "ct")
    ]
