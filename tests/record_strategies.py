"""Sound parameter records for tests: drawn at random, and two that are frozen as golden files."""

from dataclasses import fields, replace

import numpy as np
from hypothesis import strategies as st

from forecast.models.freq import Freq
from forecast.models.records import ExogTerm, Records
from forecast.types import Status


def stationary(rng, orders, width):
    """(n, width) coefficients and partial autocorrelations of stationary polynomials (Durbin 1960)."""
    phi, parcor = np.zeros((len(orders), width)), np.zeros((len(orders), width))
    for i, p in enumerate(orders):
        a = []
        for m in range(p):
            k = parcor[i, m] = rng.uniform(-0.9, 0.9)
            a = [a[j] - k * a[m - 1 - j] for j in range(m)] + [k]
        phi[i, :p] = a
    return phi, parcor


def covariance(rng, m):
    root = rng.normal(size=(m, m))
    cov = root @ root.T
    return np.tril(cov) + np.tril(cov, -1).T


def random_records(seed, ids, max_order=3, extra=0, exog=(), ragged=0.5, messages=None):
    """Records of one series an id, with every field in use; a quarter of the series fell back."""
    rng = np.random.default_rng(seed)
    n = len(ids)

    def orders(high):
        return rng.integers(0, high + 1, n).astype(np.int32)

    p, q, d = orders(max_order), orders(2), orders(1)
    P, D, Q = orders(1), orders(1), orders(1)
    season = rng.choice([1, 4], n).astype(np.int32)
    n_levels, n_innovations = np.maximum(1, p + d + season * (P + D)), q + season * Q
    phi, parcor = stationary(rng, p, p.max() + extra)
    seasonal_phi, seasonal_parcor = stationary(rng, P, P.max() + extra)
    theta, theta_parcor = stationary(rng, q, q.max() + extra)
    seasonal_theta, seasonal_theta_parcor = stationary(rng, Q, Q.max() + extra)
    status = rng.choice([Status.OK, Status.GAPS, Status.REPAIRED, Status.ALL_MISSING], n).astype(np.uint8)
    lost = status == Status.ALL_MISSING
    levels = rng.normal(size=(n, n_levels.max() + extra))
    levels[lost] = np.nan
    lagged = list(dict.fromkeys(term.name for term in exog if term.lag))
    return Records(
        ids=object_array(ids),
        freq=Freq("MS"),
        start=rng.integers(-(2**62), 2**62, n),
        nobs=orders(1000),
        family=rng.integers(0, 6, n).astype(np.uint8),
        form=rng.integers(0, 2, n).astype(np.uint8),
        status=status,
        season_length=season,
        p=p, d=d, q=q, P=P, D=D, Q=Q,
        phi=phi,
        const=rng.normal(size=n),
        sigma2=np.where(lost, np.nan, rng.gamma(1.0, size=n)),
        levels=levels,
        parcor=parcor,
        seasonal_phi=seasonal_phi,
        seasonal_parcor=seasonal_parcor,
        theta=theta,
        theta_parcor=theta_parcor,
        seasonal_theta=seasonal_theta,
        seasonal_theta_parcor=seasonal_theta_parcor,
        slope=rng.normal(size=n),
        seasonal=rng.normal(size=(n, season.max() + extra)),
        beta=rng.normal(size=(n, len(exog))),
        exog=tuple(exog),
        exog_tail=rng.normal(size=(n, len(lagged), max((t.lag for t in exog), default=0) if lagged else 0)),
        scale=2.0 ** rng.integers(-300, 300, n),
        transform=rng.integers(0, 2, n).astype(np.uint8),
        innovations=rng.normal(size=(n, n_innovations.max() + extra)),
        state_cov={
            i: covariance(rng, n_levels[i] + n_innovations[i]) for i in range(n) if rng.random() < ragged
        },
        param_cov={i: covariance(rng, 2 + p[i]) for i in range(n) if rng.random() < ragged},
        loglik=rng.normal(size=n),
        n_params=orders(9),
        n_used=orders(900),
        ljung_box_p=rng.choice([np.nan, 0.0, 0.25, 1.0], n),
        margin=rng.uniform(0.01, 1.0, n),
        max_pole=rng.uniform(0.0, 0.99, n),
        oos_scale=rng.choice([np.nan, 1.25], n),
        oos_n=orders(60),
        oos_coverage=rng.choice([np.nan, 0.9], n),
        messages=messages or {},
    )  # fmt: skip


def object_array(ids):
    out = np.empty(len(ids), dtype=object)
    out[:] = ids
    return out


series_ids = st.text(max_size=8) | st.integers(-(2**63), 2**64 - 1)


@st.composite
def records(draw, max_size=6):
    ids = draw(st.lists(series_ids, min_size=1, max_size=max_size, unique=True))
    names = draw(st.lists(st.text(max_size=5), max_size=2, unique=True))
    terms = (
        draw(
            st.lists(st.builds(ExogTerm, st.sampled_from(names), st.integers(0, 3)), max_size=3, unique=True)
        )
        if names
        else []
    )
    found = random_records(
        draw(st.integers(0, 2**32)),
        ids,
        max_order=draw(st.integers(0, 5)),
        extra=draw(st.integers(0, 1)),
        exog=terms,
        ragged=draw(st.sampled_from([0.0, 0.5, 1.0])),
        messages=draw(st.dictionaries(st.integers(0, len(ids) - 1), st.text(max_size=20))),
    )
    tz = draw(st.none() | st.just("Europe/Paris"))
    return replace(found, freq=Freq(draw(st.sampled_from(["MS", "h", "7"])), tz))


def assert_same(a, b):
    """Bitwise equality of two records, types included."""
    for f in fields(Records):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if f.name == "ids":
            assert [(type(k), k) for k in x] == [(type(k), k) for k in y]
        elif isinstance(x, np.ndarray):
            assert (x.dtype, x.shape) == (y.dtype, y.shape), f.name
            assert x.tobytes() == y.tobytes(), f.name
        elif f.name in ("state_cov", "param_cov"):
            assert sorted(x) == sorted(y), f.name
            for i in x:
                assert x[i].shape == y[i].shape
                assert x[i].tobytes() == y[i].tobytes()
        else:
            assert x == y, f.name


def golden_ar():
    """Two AR series as most fleets have them: text ids, nothing sparse."""
    phi = np.array([[0.5, -0.25, 0.125], [0.75, 0.0, 0.0]])
    two = np.ones(2, dtype=np.int32)
    return Records(
        ids=object_array(["a", "café"]),
        freq=Freq("MS"),
        start=np.array([0, 946684800000000000]),
        nobs=120 * two,
        family=np.zeros(2, dtype=np.uint8),
        form=np.zeros(2, dtype=np.uint8),
        status=np.array([0, 16], dtype=np.uint8),
        season_length=12 * two,
        p=np.array([3, 1], dtype=np.int32),
        d=0 * two, q=0 * two, P=0 * two, D=0 * two, Q=0 * two,
        phi=phi,
        const=np.array([1.5, -0.1]),
        sigma2=np.array([0.25, 1e-300]),
        levels=np.array([[3.0, 2.0, 1.0], [1 / 3, 0.0, 0.0]]),
        parcor=np.array([[0.6, -0.2, 0.125], [0.75, 0.0, 0.0]]),
        loglik=np.array([-100.5, -99.0]),
        n_params=np.array([5, 3], dtype=np.int32),
        n_used=117 * two,
        ljung_box_p=np.array([0.5, np.nan]),
        margin=np.array([0.4, 0.25]),
        max_pole=np.array([0.7, 0.75]),
        oos_scale=np.array([1.1, np.nan]),
        oos_n=np.array([18, 0], dtype=np.int32),
        oos_coverage=np.array([0.9375, np.nan]),
    )  # fmt: skip


def golden_full():
    """Four series with every field in use: ids of both kinds, regressors, seasons, gaps, messages."""
    exog = (ExogTerm("temp"), ExogTerm("temp", 2), ExogTerm("holiday", 1))
    found = random_records(
        20260101,
        ["x", 7, "7", 2**64 - 1],
        max_order=3,
        exog=exog,
        ragged=0.6,
        messages={0: "gaps: 3", 3: "naïve"},
    )
    return replace(found, freq=Freq("D", "Europe/Paris"))
