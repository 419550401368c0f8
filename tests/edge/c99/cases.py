"""Records with every kind of term, of moderate size, for the C code."""

from __future__ import annotations

import numpy as np

from edge.c99.bounds import limits
from edge.c99.equations import equations
from edge.fleet import Fleet
from forecast.models.records import ExogTerm
from tests.record_strategies import stationary
from tests.strategies import make_records

TERMS = (
    ExogTerm("x", 0), ExogTerm("x", 2), ExogTerm("z", 1), ExogTerm("fourier(6,sin,1)"),
    ExogTerm("fourier(6,cos,2)"), ExogTerm("unused", 5),
)  # fmt: skip


def random_fleet(seed, n=8, *, ma=False, exog=True, log=True, scale=True, d=True):
    """(records, fleet) of n series, each with parts of its own."""
    rng = np.random.default_rng(seed)
    pick = lambda high: rng.integers(0, high + 1, n)  # noqa: E731  # a word for a draw
    p, P, q, Q = pick(4), pick(1), pick(2) * ma, pick(1) * ma
    if ma:
        q[0] = 2
    dd, D = (pick(1), pick(1)) if d else (pick(0), pick(0))
    season = rng.choice([1, 4], n)
    reach = (p + dd + season * (P + D)).max()
    beta = rng.normal(size=(n, len(TERMS))) * (rng.random((n, len(TERMS))) < 0.6) * exog
    beta[:, -1] = 0.0
    logged = rng.integers(0, 2, n) * log
    small = np.where(logged == 1, 0.2, 1.0)[:, None]
    trend = rng.normal(size=n) * 0.003 * small[:, 0] * (rng.random(n) < 0.5)
    records = make_records(
        n,
        phi=stationary(rng, p, 4)[0] * 0.99, seasonal_phi=stationary(rng, P, 1)[0] * 0.9,
        theta=-stationary(rng, q, 2)[0], seasonal_theta=-stationary(rng, Q, 1)[0],
        p=p.astype(np.int32), P=P.astype(np.int32), q=q.astype(np.int32), Q=Q.astype(np.int32),
        d=dd.astype(np.int32), D=D.astype(np.int32), season_length=season.astype(np.int32),
        form=rng.integers(0, 2, n).astype(np.uint8), const=rng.normal(size=n) * small[:, 0],
        slope=trend * (dd + D == 0), sigma2=rng.gamma(2.0, size=n) * small[:, 0],
        seasonal=rng.normal(size=(n, 4)) * small * (rng.random(n) < 0.5)[:, None] * (season == 4)[:, None],
        exog=TERMS, beta=beta * small, exog_tail=rng.normal(size=(n, 3, 5)),
        levels=rng.normal(size=(n, max(1, reach))) * small, nobs=rng.integers(50, 900, n).astype(np.int32),
        innovations=rng.normal(size=(n, max(1, (q + season * Q).max()))) * small,
        transform=logged.astype(np.uint8), scale=2.0 ** rng.integers(-3, 4, n) if scale else np.ones(n),
        oos_scale=rng.choice([np.nan, 0.5, 1.5], n),
    )  # fmt: skip
    return records, Fleet.of(records)


def limit_of(fleet, rows, horizon):
    """(n,) limit in w, and in units of y (of w under a logarithm)."""
    eq = equations(fleet, np.asarray(rows), horizon)
    size = limits(eq)
    return size, np.where(eq.fleet.log, 1.0, size * eq.fleet.scale)


def values_of(records, i, w):
    """y of values of w."""
    w = np.asarray(w, dtype=np.float64)
    return np.exp(w) * records.scale[i] if records.transform[i] else w * records.scale[i]
