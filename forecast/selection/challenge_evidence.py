"""What a challenge rests on, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from forecast.models.codec import plain_id
from forecast.models.panel import Panel
from forecast.selection.challenge_folds import Plan, Rounds
from forecast.selection.challenge_verdict import Sides, Verdict
from forecast.types import F64, I64

# Series that are told one by one: evidence is a row of the store, not a report of the fleet.
_NAMED: Final = 200


def evidence(
    sides: Sides,
    panel: Panel,
    kept: Mapping[int, str],
    rows: I64 | None = None,
    plan: Plan | None = None,
    rounds: Rounds | None = None,
    fit: I64 | None = None,
    verdict: Verdict | None = None,
) -> dict[str, Any]:
    """Return the evidence, as far as a challenge came; every number is finite, or null."""
    told: dict[str, Any] = {
        "alpha": sides.alpha, "h": sides.h, "level": sides.level, "band": list(sides.band),
        "series": panel.n_series, "kept": _kept(panel, kept),
    }  # fmt: skip
    if plan is None or rounds is None or rows is None or fit is None or verdict is None:
        return told
    gain = verdict.gain
    told |= {
        "folds": len(plan.origins) - plan.warm,
        "horizon": plan.h,
        "paths": plan.paths,
        "test": gain.method,
        "gain": _plain(gain.gain),
        "statistic": _plain(gain.statistic),
        "p_value": _plain(gain.p_value),
        "alpha_used": verdict.alpha,
        "changed": len(verdict.change),
        **_losses(rounds, fit),
        "coverage": _coverage(rounds, fit, verdict),
        "with_change": int((rounds.final.since >= 0).sum()),
        "windows": _windows(rounds, verdict.change),
        "by_series": _by_series(panel, rows, rounds, fit, verdict),
    }  # fmt: skip
    return told


def _losses(rounds: Rounds, fit: I64) -> dict[str, Any]:
    mine, theirs = rounds.champion, rounds.challenger
    return {
        "loss": {"champion": _mean(mine.loss[:, fit]), "challenger": _mean(theirs.loss[:, fit])},
        "interval_score": {
            "champion": _mean(mine.interval[:, fit]), "challenger": _mean(theirs.interval[:, fit]),
        },
        "by_fold": {"champion": _by_fold(mine.loss[:, fit]), "challenger": _by_fold(theirs.loss[:, fit])},
    }  # fmt: skip


def _coverage(rounds: Rounds, fit: I64, verdict: Verdict) -> dict[str, Any]:
    cover, theirs = verdict.cover, rounds.challenger
    return {
        "champion": _plain(cover.coverage),
        "challenger": _share(theirs.inside[:, fit], theirs.count[:, fit]),
        "points": cover.n,
        "points_effective": _plain(cover.n_effective),
        "p_below": _plain(cover.p_below),
        "p_above": _plain(cover.p_above),
        "left_band": cover.left(verdict.alpha),
    }


def _kept(panel: Panel, kept: Mapping[int, str]) -> dict[str, Any]:
    named = {str(panel.ids[i]): why for i, why in sorted(kept.items())[:_NAMED]}
    return {"count": len(kept), "reasons": named}


def _windows(rounds: Rounds, fit: I64) -> dict[str, int]:
    labels, counts = np.unique(rounds.chosen[fit], return_counts=True)
    return {rounds.final.labels[label]: int(count) for label, count in zip(labels, counts, strict=True)}


def _by_series(
    panel: Panel, rows: I64, rounds: Rounds, fit: I64, verdict: Verdict
) -> list[dict[str, Any]]:  # fmt: skip
    out = []
    for i in fit[:_NAMED].tolist():
        first = int(rounds.final.first[rounds.chosen[i], i])
        out.append(
            {
                "id": plain_id(panel.ids[rows[i]]),
                "champion": _mean(rounds.champion.loss[:, i]),
                "challenger": _mean(rounds.challenger.loss[:, i]),
                "p_value": verdict.alone.get(i),
                "window": rounds.final.labels[rounds.chosen[i]],
                "points": int(panel.lengths[rows[i]]) - first,
            }
        )
    return out


def _by_fold(loss: F64) -> list[float | None]:
    return [_mean(row) for row in loss]


def _share(inside: F64, count: F64) -> float | None:
    return _plain(float(inside.sum() / count.sum())) if count.sum() > 0 else None


def _mean(values: F64) -> float | None:
    seen = values[~np.isnan(values)]
    return _plain(float(seen.mean())) if len(seen) else None


def _plain(value: float) -> float | None:
    """Return a number as JSON knows it; what is infinite or none is null."""
    return float(value) if np.isfinite(value) else None
