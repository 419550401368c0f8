"""Final estimates of the best candidate of every series that stands up to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from forecast.models.arima_estimates import Estimates, Fitted, stacked
from forecast.models.arima_records import asked
from forecast.models.native_backend import fit_candidates
from forecast.selection.lock_step import FINAL, Choice, Question
from forecast.types import F64, I64, Status

_FACTORS = ("phi", "theta", "seasonal_phi", "seasonal_theta", "innovations")
_BY_ROW = ("cov", "messages", "innovation_cov")


def best_fits(
    question: Question, rankings: Sequence[Sequence[Choice]], failures: dict[int, Fitted], jobs: int
) -> Estimates:
    """Fit the best candidate of every series; where its search does not end, the next one.

    Parameters
    ----------
    question
        With all points of the series, cut to the observed ones.
    rankings
        n of candidates, best first.
    failures
        Why a series has no candidate, by position.
    """
    n = question.panel.n_series
    answers = [failures.get(i) or _without_model(question, i) for i in range(n)]
    parts, places = [stacked(answers)], [np.arange(n)]
    left, rank = np.array([i for i in range(n) if rankings[i]], dtype=np.int64), 0
    while left.size:
        chosen = [(i, rankings[i][rank]) for i in left.tolist()]
        trends = np.array([question.trend(i, choice.candidate) for i, choice in chosen])
        orders = np.array([question.order(i, choice.candidate) for i, choice in chosen], dtype=np.int64)
        near = _points([choice.point for _, choice in chosen])
        again = np.zeros(len(left), dtype=np.bool_)
        for trend in np.unique(trends).tolist():
            at = np.flatnonzero(trends == trend)
            fits = fit_candidates(question.panel, left[at], orders[at], trend, near[at], FINAL, jobs)
            fine = fits.status == Status.OK
            parts.append(fits.take(np.flatnonzero(fine)))
            places.append(left[at[fine]])
            again[at[~fine]] = True
        rank += 1
        left = np.array([i for i in left[again].tolist() if rank < len(rankings[i])], dtype=np.int64)
    return _laid_over(parts, places)


def _without_model(question: Question, i: int) -> Fitted:
    """Say why no candidate of a series had a score."""
    d, D, least = question.d[i], question.D[i], len(question.panel.exog) + 3
    status, message = Status.NOT_CONVERGED, f"no order with d={d}, D={D} could be estimated; naive instead"
    needed = int(d + question.s * D) + least
    if question.counts[i] < needed:
        status = Status.TOO_SHORT
        message = f"d={d}, D={D} need {needed} observed points, got {question.counts[i]}; naive instead"
    return Fitted(None, asked(question.panel, "n"), status, message)


def _points(points: Sequence[F64]) -> F64:
    """(m, >= 1) points, NaN behind their ends."""
    out = np.full((len(points), max(1, *(len(point) for point in points), 1)), np.nan)
    for row, point in zip(out, points, strict=True):
        row[: len(point)] = point
    return out


def _laid_over(parts: Sequence[Estimates], places: Sequence[I64]) -> Estimates:
    """Put estimates of some rows over those of all, the first of `parts`."""
    whole: dict[str, object] = {}
    n = len(places[0])
    for field in fields(Estimates):
        pieces = [getattr(part, field.name) for part in parts]
        if field.name in _BY_ROW:
            merged: dict[int, object] = {}
            for piece, rows in zip(pieces, places, strict=True):
                for i in rows.tolist():
                    merged.pop(i, None)
                merged.update({int(rows[k]): value for k, value in piece.items()})
            whole[field.name] = merged
            continue
        width = max(piece.shape[1] for piece in pieces) if pieces[0].ndim == 2 else 0
        out = np.zeros((n, width) if pieces[0].ndim == 2 else n, dtype=pieces[0].dtype)
        for piece, rows in zip(pieces, places, strict=True):
            if field.name in _FACTORS:
                out[rows] = 0.0
                out[rows, : piece.shape[1]] = piece
            else:
                out[rows] = piece
        whole[field.name] = out
    return Estimates(**whole)  # type: ignore[arg-type]  # as many fields as there are, each of its kind
