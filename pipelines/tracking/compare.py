"""Runs against one of them, series by series: which is better, and whether it could be luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from forecast.errors import InputError
from forecast.selection.paired import Paired, holm, paired
from pipelines.tracking.scores import RunScores

BETTER: Final = "better"
WORSE: Final = "worse"
MIXED: Final = "mixed"
"""Significant by ranks, and the mean says the contrary: few series with large differences."""
UNCLEAR: Final = "unclear"
"""It could be luck."""
REFERENCE: Final = "reference"
NOT_COMPARABLE: Final = "not comparable"
NO_SCORES: Final = "no scores"

_DIGEST_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run against the reference, by a score of each series; lower is better."""

    run_id: str
    against: str
    """Job id of the reference."""
    against_model: str
    """Alias of its model."""
    verdict: str
    """better, worse, mixed, unclear, reference, not comparable, no scores."""
    why: str
    """Of a verdict that is no test's."""
    shared: int
    """Series that both have a score of: those that are compared."""
    n_run: int
    n_reference: int
    """Series with a score, of the run and of the reference."""
    difference: float
    """Mean over the shared series of the run's score minus the reference's: below zero, the run is better."""
    lo: float
    hi: float
    """95% interval of it."""
    p_value: float
    """Of the signed-rank test; NaN where nothing is tested."""
    p_holm: float
    """Corrected for the number of runs that are tested."""
    better: int
    worse: int
    """Series on which the run is better, worse."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values; what is not known is None."""
        return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in asdict(self).items()}


def compare(
    runs: Sequence[RunScores], reference: RunScores, alpha: float = 0.05, level: float = 95.0
) -> tuple[Comparison, ...]:
    """Compare runs with one of them, paired by series.

    Only series that both have are used. A run on other data, or scored on other windows, is not comparable:
    its difference is told, and not tested. p-values are corrected by Holm over the runs that are tested.

    Parameters
    ----------
    alpha
        Probability that any of the verdicts is better, worse or mixed where there is no difference.
    level
        Of the intervals, percent.

    Raises
    ------
    InputError
        The reference has no scores.
    """
    if reference.scores is None:
        raise InputError(f"{reference.job_id} has no scores to compare with: {reference.why}")
    found = [_against(run, reference, level) for run in runs]
    corrected = holm([each.p_value for each in found])
    return tuple(_judged(each, float(p), alpha) for each, p in zip(found, corrected, strict=True))


def _against(run: RunScores, reference: RunScores, level: float) -> Comparison:
    """Return the numbers; the verdict of what is tested is open, but for the side that the ranks take."""
    unknown = Paired(0, np.nan, np.nan, np.nan, np.nan, 0, 0, 0)
    if (run.job, run.model) == (reference.job, reference.model):
        n = _known(run)
        return _said(run, reference, replace(unknown, n=n), REFERENCE, "")
    if run.scores is None or reference.scores is None:
        return _said(run, reference, unknown, NO_SCORES, run.why)
    ours, theirs = run.scores.align(reference.scores, join="inner")
    test = paired(ours, theirs, level)
    other = other_basis(run, reference)
    if not test.n:
        other = other or "no series in common"
    if other:
        return _said(run, reference, replace(test, p_value=np.nan), NOT_COMPARABLE, other)
    return _said(run, reference, test, {-1: BETTER, 1: WORSE, 0: UNCLEAR}[test.rank_sign], "")


def other_basis(run: RunScores, reference: RunScores) -> str:
    """Return what makes the scores of two runs incomparable; empty when nothing does."""
    if run.digest != reference.digest or not run.digest:
        if not (run.digest and reference.digest):
            return "data unknown"
        names = f"{_short(run.digest)}, not {_short(reference.digest)}"
        return f"other data ({names})"
    for name, value in reference.basis.items():
        if run.basis.get(name, "") != value:
            return f"other {name} ({run.basis.get(name, '') or 'none'}, not {value or 'none'})"
    return ""


def _judged(found: Comparison, p_holm: float, alpha: float) -> Comparison:
    """Turn the side that the ranks take into a verdict."""
    if np.isnan(found.p_value):
        return found
    if p_holm >= alpha:
        # With n series no p is below 2 ** (1 - n), and none of them can be told from luck.
        why = f"{found.shared} series are too few to tell" if 2.0 ** (1 - found.shared) >= alpha else ""
        if not found.better and not found.worse:
            why = "every score is the same"
        return replace(found, p_holm=p_holm, verdict=UNCLEAR, why=why)
    if (found.difference > 0) == (found.verdict == BETTER) and found.difference != 0:
        why = f"{found.better} series better, {found.worse} worse, and the mean says the contrary"
        return replace(found, p_holm=p_holm, verdict=MIXED, why=why)
    return replace(found, p_holm=p_holm)


def _said(run: RunScores, reference: RunScores, test: Paired, verdict: str, why: str) -> Comparison:
    return Comparison(
        run.run_id, reference.job_id, reference.model, verdict, why, test.n, _known(run), _known(reference),
        test.difference, test.lo, test.hi, test.p_value, np.nan, test.better, test.worse,
    )  # fmt: skip


def _known(run: RunScores) -> int:
    return 0 if run.scores is None else int(np.isfinite(run.scores.to_numpy()).sum())


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGEST_SHOWN]
