"""Walks over the orders of ARIMA models: which candidate to try next, given how the earlier ones scored.

A walk is a generator: it yields a `Trial`, is sent its score (infinite for a model that must not win), and
returns the candidates with finite scores, best first. What a score is, and whether one series is walked at
a time or many in step, is its driver's business.

Source: Hyndman and Khandakar (2008), "Automatic time series forecasting", Journal of Statistical
Software 27(3), sec. 3.2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, TypeAlias

# Largest orders of one kind, mostly to keep numbers that are typing errors from taking days.
MAX_ORDER = 24


class Candidate(NamedTuple):
    """Orders under trial, differences fixed; `const` is a mean (d + D = 0) or a drift (d + D = 1)."""

    p: int
    q: int
    P: int
    Q: int
    const: bool


class Limits(NamedTuple):
    """Largest orders, and whether a constant may enter."""

    p: int
    q: int
    P: int
    Q: int
    const: bool

    def allows(self, c: Candidate) -> bool:
        """Whether `c` is within the limits."""
        orders = zip(c[:4], self[:4], strict=True)
        return all(0 <= k <= top for k, top in orders) and (self.const or not c.const)


class Trial(NamedTuple):
    """A candidate, one tried before whose estimates are near, and how to score it."""

    candidate: Candidate
    near: Candidate | None
    goal: float = math.inf
    """Scores above it need not be exact."""
    final: bool = False
    """Whether it is scored again, among the finalists."""


Walk: TypeAlias = Generator[Trial, float, list[Candidate]]

# Orders (p, q, P, Q) that a search begins with beside its first: the three of the paper, and some more, for a
# single walk ends above the lowest criterion in every second series.
_STARTS = (
    (0, 0, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1), (3, 0, 2, 0), (0, 3, 0, 2), (1, 1, 1, 1), (2, 2, 0, 0),
    (0, 0, 1, 1), (0, 1, 1, 1), (1, 1, 0, 1),
)  # fmt: skip
# Starts that are followed downhill, the best ones.
_WALKS = 2
# Candidates whose criterion is this near to the best are scored twice, and no more than so many.
_MARGIN, _FINALISTS = 2.0, 4
_MOVES = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def starts(limits: Limits, first: tuple[int, int, int, int]) -> Iterator[Candidate]:
    """Yield the models that a search begins with."""
    for p, q, P, Q in (first, *_STARTS):
        yield Candidate(min(p, limits.p), min(q, limits.q), min(P, limits.P), min(Q, limits.Q), limits.const)
    yield Candidate(0, 0, 0, 0, False)


def neighbours(c: Candidate) -> Iterator[Candidate]:
    """Yield what is one step away: seasonal orders first, then the others, then the constant."""
    for dP, dQ in _MOVES:
        yield c._replace(P=c.P + dP, Q=c.Q + dQ)
    for dp, dq in _MOVES:
        yield c._replace(p=c.p + dp, q=c.q + dq)
    yield c._replace(const=not c.const)


def stepwise(limits: Limits, first: tuple[int, int, int, int] = (2, 2, 1, 1), max_models: int = 94) -> Walk:
    """Walk downhill from the best starts, moving on as soon as a neighbour is better; then the final."""
    tried: dict[Candidate, float] = {}
    for c in dict.fromkeys(starts(limits, first)):
        tried[c] = yield Trial(c, None)
    for c in sorted(tried, key=tried.__getitem__)[:_WALKS]:
        yield from _descent(c, tried, limits, max_models)
    return (yield from _final(tried))


def _descent(
    best: Candidate, tried: dict[Candidate, float], limits: Limits, max_models: int
) -> Generator[Trial, float, None]:
    """Walk from `best` until no neighbour is better."""
    while True:
        near = [c for c in neighbours(best) if limits.allows(c)]
        better = None
        for c in near:
            if c not in tried and len(tried) < max_models:
                tried[c] = yield Trial(c, best, min(tried.values()) + _MARGIN)
                if tried[c] < tried[best]:
                    better = c
                    break
        if better is None:  # but an earlier walk may have found one
            better = min((c for c in near if c in tried), key=tried.__getitem__, default=best)
            if not tried[better] < tried[best]:
                return
        best = better


def _final(tried: dict[Candidate, float]) -> Walk:
    """Look again at the best; return all, the finalists first."""
    ranked = _ranked(tried)
    top = [c for c in ranked[:_FINALISTS] if tried[c] <= tried[ranked[0]] + _MARGIN]
    again: dict[Candidate, float] = {}
    for c in top:
        again[c] = yield Trial(c, c, final=True)
    return [*_ranked(again), *(c for c in ranked if c not in again)]


def exhaustive(limits: Limits, max_total: int = 5) -> Walk:
    """Try every order with p + q + P + Q of at most `max_total`, small ones first."""
    tried: dict[Candidate, float] = {}
    ranges = [range(top + 1) for top in limits[:4]]
    consts = (True, False) if limits.const else (False,)
    every = sorted((o for o in itertools.product(*ranges) if sum(o) <= max_total), key=sum)
    for (p, q, P, Q), const in itertools.product(every, consts):
        c = Candidate(p, q, P, Q, const)
        tried[c] = yield Trial(c, next((parent for parent in _parents(c) if parent in tried), None))
    return (yield from _final(tried))


def walked(walk: Walk, score: Callable[[Trial], float]) -> list[Candidate]:
    """Drive one walk to its end by a function."""
    try:
        trial = next(walk)
        while True:
            trial = walk.send(score(trial))
    except StopIteration as end:
        ranking: list[Candidate] = end.value
        return ranking


def _parents(c: Candidate) -> Iterator[Candidate]:
    """Yield the candidates with one order less."""
    for name in ("p", "q", "P", "Q"):
        if getattr(c, name) > 0:
            yield c._replace(**{name: getattr(c, name) - 1})


def _ranked(tried: dict[Candidate, float]) -> list[Candidate]:
    """Candidates with finite scores, best first; of equals the one tried first."""
    return sorted((c for c, score in tried.items() if math.isfinite(score)), key=tried.__getitem__)
