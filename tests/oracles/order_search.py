"""The stepwise search over orders, written out for one series and two score functions."""

from __future__ import annotations

import math

ONE = [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]
STARTS = [
    (0, 0, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1), (3, 0, 2, 0), (0, 3, 0, 2), (1, 1, 1, 1), (2, 2, 0, 0),
    (0, 0, 1, 1), (0, 1, 1, 1), (1, 1, 0, 1),
]  # fmt: skip


def around(c):
    """What is one step away."""
    p, q, P, Q, const = c
    yield from ((p, q, P + i, Q + j, const) for i, j in ONE)
    yield from ((p + i, q + j, P, Q, const) for i, j in ONE)
    yield (p, q, P, Q, not const)


def stepwise(rough, exact, tops, const, first, most, walks=2, margin=2.0, finalists=4):
    """Candidates with finite scores, best first."""
    scores = {}

    def allowed(c):
        return all(0 <= k <= top for k, top in zip(c[:4], tops, strict=True)) and (const or not c[4])

    for orders in (first, *STARTS):
        c = (*(min(k, top) for k, top in zip(orders, tops, strict=True)), const)
        scores.setdefault(c, rough(c))
    scores.setdefault((0, 0, 0, 0, False), rough((0, 0, 0, 0, False)))
    for best in sorted(scores, key=scores.get)[:walks]:
        here, moved = best, True
        while moved:
            moved = False
            for c in around(here):
                if allowed(c) and c not in scores and len(scores) < most:
                    scores[c] = rough(c)
                    if scores[c] < scores[here]:
                        here, moved = c, True
                        break
            known = [c for c in around(here) if c in scores] if not moved else []
            if known and min(scores[c] for c in known) < scores[here]:
                here, moved = min(known, key=scores.get), True
    ranked = [c for c in sorted(scores, key=scores.get) if math.isfinite(scores[c])]
    again = {c: exact(c) for c in ranked[:finalists] if scores[c] <= scores[ranked[0]] + margin}
    top = [c for c in sorted(again, key=again.get) if math.isfinite(again[c])]
    return [*top, *(c for c in ranked if c not in again)]
