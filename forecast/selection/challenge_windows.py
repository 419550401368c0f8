"""Which part of the past a challenger is fitted to: since a change, the last points, or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecast.errors import InputError
from forecast.types import F64, I64, Bool

# A log-likelihood ratio of 8: a CUSUM of pure noise stands above it at one point of some 9,000.
_STRONG: Final = 8.0
# Beyond this an innovation is an outlier, which is no change.
_CLIP: Final = 3.0
# Errors of earlier origins count for this much less with every origin: after a change the past is worth less.
_FADING: Final = 0.8
# Candidates that are fitted after the first origins, and how many those are.
_RACING: Final = 2
_OPENING: Final = 2
# Fewer points hold no model of two or three parameters.
SHORTEST: Final = 8

ALL: Final = "all"
SINCE: Final = "since the change"


def last_change(z: F64, spread: bool = True) -> int:
    r"""Return the point at which the latest change of level or spread began, -1 where there is none.

    Parameters
    ----------
    z
        (t,) standardised innovations, oldest first; NaN where missing.
    spread
        False: of the level only.

    Notes
    -----
    Four CUSUMs of log-likelihood ratios against N(0, 1): mean :math:`\pm 1` (increment
    :math:`\pm z - 1/2`, z clipped at 3), standard deviation times r = 1.5 and 1 / 1.5 (increment
    :math:`z^2 (1 - r^{-2}) / 2 - \log r`). A change is there where one of them stands above 8 at the end;
    it began after the last point at which that one was 0, which is its maximum likelihood estimate.
    Source: Page (1954), *Biometrika* 41; Hinkley (1971), *Biometrika* 58.
    """
    z = np.clip(np.where(np.isnan(z), 0.0, z), -_CLIP, _CLIP)
    seen = z != 0.0  # a missing point is no evidence, and neither is one exactly as foreseen
    square = z * z / 2.0
    best, began = _STRONG, -1
    increments = [z - 0.5, -z - 0.5]
    if spread:
        increments += [square * (1.0 - 1.0 / 2.25) - np.log(1.5), square * (1.0 - 2.25) + np.log(1.5)]
    for increment in increments:
        walk = np.concatenate([[0.0], np.cumsum(np.where(seen, increment, 0.0))])
        low = len(walk) - 1 - int(np.argmin(walk[::-1]))  # the last of several
        if walk[-1] - walk[low] > best:
            best, began = walk[-1] - walk[low], low
    return began


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Candidates of every series at one origin."""

    labels: tuple[str, ...]
    first: I64
    """(c, n) point from which a candidate is fitted."""
    there: Bool
    """(c, n) whether the candidate is one of its own: long enough, and shorter than the next longer."""
    since: I64
    """(n,) where the change began, -1 for none."""


def windows_at(origin: I64, since: I64, sizes: Sequence[int]) -> Windows:
    """Return the candidates at an origin.

    Parameters
    ----------
    origin
        (n,) points before the origin.
    since
        (n,) point at which a change began that is seen at the origin, -1 for none.
    sizes
        Points of the windows that end at the origin.
    """
    labels = (ALL, SINCE, *(f"last {size}" for size in sizes))
    first = np.zeros((len(labels), len(origin)), dtype=np.int64)
    there = np.ones(first.shape, dtype=np.bool_)
    first[1] = np.maximum(since, 0)
    there[1] = (since > 0) & (origin - since >= SHORTEST)
    for j, size in enumerate(sizes, start=2):
        first[j] = np.maximum(origin - size, 0)
        # Nearly all of the past is all of it: the fit would be the same, and cost as much again.
        there[j] = size < 0.8 * origin
    return Windows(labels, first, there, since)


def check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return window sizes in order; InputError for one that no model can be fitted to."""
    short = [size for size in sizes if size < SHORTEST]
    if short:
        raise InputError(f"a window has {SHORTEST} points or more, got {short[0]!r}")
    return tuple(sorted(set(sizes)))


def choose(loss: F64, here: Bool, since: I64, found: I64) -> I64:
    """(n,) candidate that forecast best from the earlier origins; no later point is looked at.

    Parameters
    ----------
    loss
        (k, c, n) errors of the candidates at the k earlier origins; NaN where there was none.
    here
        (c, n) which candidates are there now.
    since
        (n,) where the change began that is seen now, -1 for none.
    found
        (k, n) the same at the earlier origins.

    Notes
    -----
    Errors from before the change was seen say nothing about what to do after it: they are left out, and
    where none are left the window since the change is taken. A candidate without an error counts as worst.
    """
    mean = _standing(loss, here, since, found)
    best = mean.argmin(axis=0)
    # The first that is there is all of the past, unless that could not be fitted.
    default = np.where((since >= 0) & here[1], 1, here.argmax(axis=0))
    chosen: I64 = np.where(np.isfinite(mean[best, np.arange(len(since))]), best, default)
    return chosen


def contenders(loss: F64, here: Bool, since: I64, found: I64) -> Bool:
    """(c, n) candidates that are fitted at an origin: all at first, then the best two and what came since.

    Arguments as for `choose`. A fit is most of the cost, and who is far behind does not win any more.
    """
    mean = _standing(loss, here, since, found)
    known = np.isfinite(mean)
    keep = known & (mean.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") < _RACING)
    keep[1] = True
    early = (~np.isnan(loss)).any(axis=1).sum(axis=0) < _OPENING  # (n,)
    out: Bool = here & (keep | early | ~known.any(axis=0))
    return out


def _standing(loss: F64, here: Bool, since: I64, found: I64) -> F64:
    """(c, n) mean errors at the earlier origins, later ones with more weight; inf: not to be compared."""
    k = len(loss)
    usable = np.where((since >= 0) & here[1], found >= 0, True)  # (k, n), also for k = 0
    weight = (_FADING ** np.arange(k - 1, -1, -1, dtype=np.float64))[:, None, None]
    known = ~np.isnan(loss) & usable[:, None, :]
    total = np.where(known, loss * weight, 0.0).sum(axis=0)
    count = np.where(known, weight, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, total / count, np.inf)
    # Only what was there at as many of the origins is compared: one lucky origin is no record.
    return np.where(here & (count >= 0.5 * count.max(axis=0, initial=0.0)), mean, np.inf)
