"""Moving records on: the same as filtering the longer series, whatever the model."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.models.filtering import advance, end_state, innovations, loglik
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm, Form, Transform
from forecast.models.smoothing import RecordImputer
from forecast.models.soundness import flaw
from tests.oracles import filtering as oracle
from tests.strategies import make_records

LONG, SHORT = 60, 41

MODELS = {
    "ar": {"phi": [0.5, 0.2], "const": 1.0},
    "ar regression": {"phi": [0.5, 0.2], "const": 3.0, "form": Form.REGRESSION},
    "white noise": {"const": 1.0},
    "arma": {"phi": [0.5], "theta": [0.4], "const": 2.0, "form": Form.REGRESSION},
    "drift": {"d": 1, "slope": 0.3, "form": Form.REGRESSION},
    "airline": {"d": 1, "D": 1, "theta": [-0.4], "seasonal_theta": [-0.5], "season_length": 4,
                "form": Form.REGRESSION},
    "sarima": {
        "d": 1, "phi": [0.3], "seasonal_phi": [0.4], "theta": [0.3], "season_length": 4,
        "form": Form.REGRESSION, "slope": 0.1,
    },
    "log": {"phi": [0.6], "const": 0.1, "transform": Transform.LOG},
    "scale": {"phi": [0.6], "const": 0.1, "scale": 4.0},
    "season": {"phi": [0.6], "seasonal": [0.5, 1.0, -1.0, 0.0], "season_length": 4},
    "arx": {"phi": [0.6], "beta": [2.0, -1.0, 0.5],
            "exog": (ExogTerm("a"), ExogTerm("b", 2), ExogTerm("a", 1))},
    "arimax": {
        "phi": [0.6], "theta": [0.3], "d": 1, "beta": [2.0, -1.0], "exog": (ExogTerm("a"), ExogTerm("b", 2)),
        "form": Form.REGRESSION,
    },
}  # fmt: skip


def _panel(values, start=0, exog=None):
    """(n, t) values as a panel of n series."""
    n, t = values.shape
    columns = {name: x.ravel() for name, x in (exog or {}).items()}
    ids = np.array([f"s{i}" for i in range(n)], dtype=object)
    return Panel(
        values.ravel().copy(),
        np.arange(0, n * t + 1, t),
        ids,
        np.full(n, start, dtype=np.int64),
        Freq("1"),
        columns,
    )


def _data(seed, holes=()):
    rng = np.random.default_rng(seed)
    y = np.exp(0.1 * rng.normal(size=(2, LONG)).cumsum(axis=1))
    y[1, list(holes)] = np.nan
    return y, {"a": rng.normal(size=(2, LONG)), "b": rng.normal(size=(2, LONG))}


def _settled(model, y, exog):
    fields = dict(MODELS[model])
    if "exog" in fields:
        past = np.stack(
            [exog[n][:, ::-1][:, :2] for n in dict.fromkeys(t.name for t in fields["exog"] if t.lag)], axis=1
        )
        fields["exog_tail"] = past
    records = make_records(2, nobs=y.shape[1], sigma2=0.7, **fields)
    levels, shocks, cov = end_state(records, _panel(y, 0, exog))
    return replace(records, levels=levels, innovations=shocks, state_cov=cov)


def _assert_same_state(a, b, tol=1e-10):
    np.testing.assert_allclose(a.levels, b.levels, atol=tol)
    np.testing.assert_allclose(a.innovations, b.innovations, atol=tol)
    np.testing.assert_array_equal(a.nobs, b.nobs)
    np.testing.assert_array_equal(a.exog_tail, b.exog_tail)
    assert set(a.state_cov) == set(b.state_cov)
    for i, cov in a.state_cov.items():
        np.testing.assert_allclose(cov, b.state_cov[i], atol=tol)


@pytest.mark.parametrize(
    "holes", [(), (20, 21, 50), (0, 1, 39, 40, 41, 42, 58, 59)], ids=["none", "some", "edges"]
)
@pytest.mark.parametrize("model", MODELS)
def test_advancing_equals_filtering_the_longer_series(model, holes):
    y, exog = _data(3, holes)
    head = {name: x[:, :SHORT] for name, x in exog.items()}
    tail = {name: x[:, SHORT:] for name, x in exog.items()}
    whole = _settled(model, y, exog)
    moved = advance(_settled(model, y[:, :SHORT], head), _panel(y[:, SHORT:], SHORT, tail))
    _assert_same_state(moved, whole)


@settings(max_examples=30)
@given(
    model=st.sampled_from(sorted(MODELS)), seed=st.integers(0, 10**6),
    holes=st.sets(st.integers(0, LONG - 1), max_size=25),
    cuts=st.sets(st.integers(SHORT, LONG - 1), max_size=4),
)  # fmt: skip
def test_any_way_of_cutting_the_new_data_gives_the_same_state(model, seed, holes, cuts):
    y, exog = _data(seed, holes)
    head = {name: x[:, :SHORT] for name, x in exog.items()}
    records = _settled(model, y[:, :SHORT], head)
    at_once = advance(records, _panel(y[:, SHORT:], SHORT, {n: x[:, SHORT:] for n, x in exog.items()}))
    edges = sorted({SHORT, *cuts, LONG})
    for a, b in pairwise(edges):
        records = advance(records, _panel(y[:, a:b], a, {n: x[:, a:b] for n, x in exog.items()}))
    _assert_same_state(records, at_once, 1e-12)


def test_innovations_of_a_conditional_ar_by_hand():
    records = make_records(1, phi=[0.5], const=1.0, sigma2=2.0)
    e, f = innovations(records, _panel(np.array([[2.0, 3.0, np.nan, 4.0]])))
    # 3 - (1 + 0.5 * 2) = 1; after the gap: forecast of 1 + 0.5 * 2.5 = 2.25, variance 2 (1 + 0.25).
    np.testing.assert_allclose(e, [np.nan, 1.0, np.nan, 1.75])
    np.testing.assert_allclose(f, [np.nan, 2.0, np.nan, 2.5])


@pytest.mark.parametrize("model", ["ar regression", "arma", "drift", "airline", "sarima"])
@pytest.mark.parametrize("holes", [(), (0, 20, 21, 50)])
def test_innovations_have_the_likelihood_of_the_joint_normal(model, holes):
    y, _ = _data(5, holes)
    records = make_records(2, nobs=LONG, sigma2=0.7, **MODELS[model])
    r, s = records, int(records.season_length[1])
    m = r.const[1] + r.slope[1] * np.arange(1, LONG + 1)
    ar = oracle.polynomial(r.phi[1], r.seasonal_phi[1], s, -1)
    ma = oracle.polynomial(r.theta[1], r.seasonal_theta[1], s, 1)
    delta = oracle.differencing(r.d[1], r.D[1], s)
    want, n = oracle.dense_loglik(ar, ma, delta, y[1] - m, 0.7)
    got, used = loglik(records, _panel(y), 1)
    assert used == n
    assert got == pytest.approx(want, abs=1e-7)  # truncated psi weights and solves of the dense form
    if r.d[1] == 0:
        e, f = (x[LONG:] for x in innovations(records, _panel(y)))
        seen = ~np.isnan(e)
        assert -0.5 * (np.log(2 * np.pi * f[seen]) + e[seen] ** 2 / f[seen]).sum() == pytest.approx(
            want, abs=1e-7
        )


def test_first_points_of_conditioned_models_have_no_innovation():
    y, _ = _data(1)
    for model, lost in (("ar", 2), ("drift", 1), ("airline", 5), ("sarima", 6), ("white noise", 0)):
        e, _ = innovations(make_records(2, nobs=LONG, **MODELS[model]), _panel(y))
        np.testing.assert_array_equal(np.isnan(e.reshape(2, LONG)).sum(axis=1), lost)


def test_series_of_different_lengths_and_models_do_not_touch_each_other():
    y, _ = _data(2, (5, 30))
    records = make_records(
        2, phi=np.array([[0.5, 0.0], [0.4, 0.3]]), p=np.array([1, 2]), nobs=np.array([30, 60])
    )
    values = np.concatenate([y[0, :30], y[1]])
    both = Panel(values, np.array([0, 30, 90]), records.ids, np.zeros(2, dtype=np.int64), Freq("1"))
    e, _ = innovations(records, both)
    one = innovations(make_records(1, phi=[0.5], nobs=30), _panel(y[:1, :30]))[0]
    two = innovations(make_records(1, phi=[0.4, 0.3], nobs=60), _panel(y[1:]))[0]
    np.testing.assert_allclose(e, np.concatenate([one, two]), atol=1e-14)


def test_what_does_not_follow_is_refused():
    y, exog = _data(1)
    records = _settled("arx", y[:, :SHORT], {n: x[:, :SHORT] for n, x in exog.items()})
    new = {n: x[:, SHORT:] for n, x in exog.items()}
    with pytest.raises(InputError, match="must start at the time after"):
        advance(records, _panel(y[:, SHORT:], SHORT + 1, new))
    with pytest.raises(InputError, match="other series"):
        advance(records, _panel(y[:1, SHORT:], SHORT, {n: x[:1] for n, x in new.items()}))
    new["a"] = np.full_like(new["a"], np.nan)
    with pytest.raises(InputError, match="regressor"):
        advance(records, _panel(y[:, SHORT:], SHORT, new))


def test_a_series_without_new_points_stays_where_it_is():
    y, _ = _data(1)
    records = _settled("ar", y, {})
    nothing = Panel(
        np.zeros(0), np.zeros(3, dtype=np.int64), records.ids, np.zeros(2, dtype=np.int64), Freq("1")
    )
    _assert_same_state(advance(records, nothing), records, 0)


def test_an_imputer_interpolates_a_random_walk_by_hand():
    records = make_records(1, d=1, form=Form.REGRESSION, sigma2=3.0)
    mean, variance = RecordImputer(records).impute(np.array([np.nan, 1.0, np.nan, np.nan, 4.0, np.nan]))
    np.testing.assert_allclose(mean, [1.0, 1.0, 2.0, 3.0, 4.0, 4.0])
    np.testing.assert_allclose(variance, [3.0, 0.0, 2.0, 2.0, 0.0, 3.0])  # bridge: 3 * 1 * 2 / 3


@pytest.mark.parametrize("model", ["ar", "ar regression", "arma", "airline", "sarima", "scale"])
def test_imputation_is_the_conditional_mean_and_leaves_observed_points(model):
    y, _ = _data(9, (0, 20, 21, 22, 23, 24, 25, 26, 50, 59))
    r = make_records(2, nobs=LONG, sigma2=0.7, **MODELS[model])
    mean, variance = RecordImputer(r, 1).impute(y[1])
    s, scale = int(r.season_length[1]), r.scale[1]
    ar = oracle.polynomial(r.phi[1], r.seasonal_phi[1], s, -1)
    m = (r.const[1] / ar.sum() if r.form[1] == Form.CONDITIONAL else r.const[1]) + r.slope[1] * np.arange(
        1, LONG + 1
    )
    delta = oracle.differencing(r.d[1], r.D[1], s)
    want, cov = oracle.condition(
        ar, oracle.polynomial(r.theta[1], r.seasonal_theta[1], s, 1), delta, y[1] / scale - m, 0.7
    )
    np.testing.assert_allclose(mean, scale * (want[:LONG] + m), atol=1e-8)
    np.testing.assert_allclose(variance, scale**2 * np.diag(cov)[:LONG], atol=1e-8)


def test_imputed_logs_are_log_normal_means():
    y = np.array([1.0, np.nan, 2.0, 1.5])
    r = make_records(1, phi=[0.6], const=0.1, transform=Transform.LOG, sigma2=0.2)
    mean, variance = RecordImputer(r).impute(y)
    plain = make_records(1, phi=[0.6], const=0.1, sigma2=0.2)
    mu, v = RecordImputer(plain).impute(np.log(y))
    assert mean[1] == pytest.approx(np.exp(mu[1] + v[1] / 2))
    assert variance[1] == pytest.approx(np.expm1(v[1]) * np.exp(2 * mu[1] + v[1]))


def test_no_variance_of_a_state_is_below_zero():
    model = {"phi": [0.9], "seasonal_phi": [0.3], "seasonal_theta": [-0.05], "season_length": 5, "nobs": 60}
    records = make_records(1, **model, form=Form.REGRESSION, sigma2=0.2)
    y = np.random.default_rng(0).normal(size=60)
    y[30] = np.nan  # what it leaves unknown fades by 0.05^2 a season, down to rounding: -1e-62
    new = Panel(y, np.array([0, 60]), records.ids, np.array([0]), Freq("1"))
    levels, innov, cov = end_state(records, new)
    assert (np.diag(cov[0]) >= 0.0).all()
    assert flaw(replace(records, levels=levels, innovations=innov, state_cov=cov)) is None
