"""AutoAR, the default model: an AR on what the training data themselves show to forecast best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np

from forecast.errors import InputError
from forecast.models.ar_spec import CRITERIA, MAX_LAG, check_choice, check_whole
from forecast.models.assemble import place
from forecast.models.baselines import fallback
from forecast.models.computed import Pairs, read_fourier, settle_terms
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.triage import Triage, triage
from forecast.selection.candidates import Candidate, for_complete, for_gapped, for_regressors, for_terms
from forecast.selection.tournament import play
from forecast.types import I64

# Half of the panels at hand have less than ten seasons; a longer memory than this costs time and is
# not found anyway.
_LONGEST: Final = 60


@dataclass(frozen=True, slots=True)
class AutoAR:
    """The default: AR on levels or differences, seasonal or not, in logarithms or not.

    For every series each recipe (`selection.candidates`) is fitted at several origins inside the
    training data, and the one with the smallest mean absolute error over the horizon is refitted to all
    of it. Where it loses there to the best of Naive, SeasonalNaive and Drift, that baseline is used and
    the report says so (`Status.GUARDED`). The errors at the origins also set the scale of the intervals.

    With regressors the candidates are ARX models; a series with gaps is fitted in levels, by exact
    likelihood, or with trend and season on its complete rows. Fourier and calendar terms give further
    candidates: they are used where they forecast better than the rest.

    Parameters
    ----------
    season_length
        Points in a season; None: from the frequency.
    max_lags
        Longest lag; None: 24, or a season and a half if that is more, at most 60.
    ic
        Criterion for the order within a recipe.
    n_windows
        Origins inside the training data.
    fourier
        Harmonics by season length, ``{24: 3, 168: 5}``: several seasons at once, or long ones.
    calendar
        Fields of the date as dummies: "hour", "dayofweek", "month".

    Raises
    ------
    InputError
        For values outside these.
    """

    takes_exog: ClassVar[bool] = True
    season_length: int | None = None
    max_lags: int | None = None
    ic: str = "aicc"
    n_windows: int = 10
    fourier: Mapping[float, int] | Pairs = ()
    calendar: Sequence[str] = ()
    alias: str = "AutoAR"

    def __post_init__(self) -> None:
        check_choice("ic", self.ic, tuple(CRITERIA))
        settle_terms(self)
        if self.season_length is not None:
            check_whole("season_length", self.season_length)
        check_whole("n_windows", self.n_windows)
        if self.max_lags is not None:
            check_whole("max_lags", self.max_lags)
        if self.max_lags is not None and self.max_lags > MAX_LAG:
            raise InputError(f"max_lags must be 1 to {MAX_LAG}, got {self.max_lags!r}")

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series; see `Model.fit`."""
        found = triage(panel, jobs=jobs)
        parts, places = [], []
        for rows, candidates in self._groups(panel, found):
            if rows.size:
                parts.append(self._fit_rows(panel, found, rows, candidates, jobs))
                places.append(rows)
        rest = found.hopeless()
        if rest.size:
            parts.append(fallback(panel, rest, found.status[rest], _notes(found, rest)))
            places.append(rest)
        return place(parts, places, panel.n_series)

    def _groups(self, panel: Panel, found: Triage) -> list[tuple[I64, Sequence[Candidate]]]:
        season = self.season_length or 1
        max_lags = self.max_lags or min(max(24, 3 * season // 2), _LONGEST)
        complete, gapped = found.complete(panel), found.gapped(panel)
        fourier = read_fourier(self.fourier)
        terms = for_terms(fourier, self.calendar, bool(panel.exog), max_lags, self.ic)
        if panel.exog:
            return [(np.union1d(complete, gapped), [*for_regressors(season, max_lags, self.ic), *terms])]
        return [
            (complete, [*for_complete(season, max_lags, self.ic), *terms]),
            (gapped, [*for_gapped(season, max_lags, self.ic), *terms]),
        ]

    def _fit_rows(
        self, panel: Panel, found: Triage, rows: I64, candidates: Sequence[Candidate], jobs: int
    ) -> Records:
        part = panel if len(rows) == panel.n_series else panel.take(rows)
        scale = found.scale[rows]
        scaled = (
            replace(part, values=part.values / np.repeat(scale, part.lengths)) if (scale != 1).any() else part
        )
        scaled = replace(scaled, status=found.status[rows], notes=_notes(found, rows))
        records = play(candidates, scaled, self.season_length or 1, self.n_windows, jobs)
        return replace(records, scale=records.scale * scale)


def _notes(found: Triage, rows: I64) -> dict[int, str]:
    return {i: found.messages[int(row)] for i, row in enumerate(rows) if int(row) in found.messages}
