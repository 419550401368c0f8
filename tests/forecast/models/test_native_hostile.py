"""The native backend on data that nobody would choose: it answers, and what it answers is sane."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.models.arima import ARIMA, orders_of
from forecast.models.freq import Freq
from forecast.models.native_backend import fit_native, fit_series
from forecast.models.panel import Panel
from forecast.models.sarimax import Order
from forecast.types import Status
from tests.bench.bench_core_arima import simulate

ORDERS = [
    Order(1, 0, 1), Order(3, 0, 2), Order(2, 1, 2), Order(0, 1, 1, 0, 1, 1, 12), Order(1, 0, 1, 1, 0, 1, 4),
    Order(5, 0, 5), Order(0, 2, 2), Order(1, 1, 1, 1, 1, 1, 4), Order(2), Order(1, 0, 1, 1, 0, 1, 24),
]  # fmt: skip


def panel_of(y, **exog):
    ids, start = np.array(["a"], dtype=object), np.zeros(1, dtype=np.int64)
    return Panel(y, np.array([0, len(y)]), ids, start, Freq("1"), exog)


def outliers(rng, n):
    y = rng.normal(size=n)
    y[rng.integers(0, n, 2)] += 1e6
    return y


KINDS = {
    "noise": lambda rng, n: rng.normal(size=n),
    "walk": lambda rng, n: rng.normal(size=n).cumsum(),
    "outliers": outliers,
    "counts of nothing": lambda rng, n: (np.arange(n) % 11 == 3).astype(float),
    "rounded": lambda rng, n: np.round(rng.normal(size=n) * 1.5),
    "huge": lambda rng, n: rng.normal(size=n) * 1e150,
    "tiny": lambda rng, n: rng.normal(size=n) * 1e-150,
}


@pytest.mark.parametrize("kind", KINDS)
def test_nearly_every_search_ends(kind):
    rng = np.random.default_rng(sum(kind.encode()))
    statuses = []
    for order in ORDERS * 3:
        n = max(int(rng.integers(20, 100)), order.lost + order.n_arma + 8)
        found = fit_native(panel_of(KINDS[kind](rng, n)), orders_of([order]), "n")
        statuses.append(int(found.status[0]))
        if found.status[0] == Status.OK:
            assert np.isfinite(found.loglik[0])
            assert found.sigma2[0] >= 0
            for cov in found.cov.values():
                assert np.isfinite(cov).all()
                assert (np.diag(cov) >= 0).all()
    assert statuses.count(Status.OK) >= len(statuses) - 1, statuses


def test_values_near_the_largest_float_are_fitted_like_any_other():
    y = np.random.default_rng(1).normal(size=80)
    small, large = (ARIMA((1, 0, 1)).fit(panel_of(y * size)) for size in (1.0, 1e200))
    assert large.status[0] < Status.GUARDED
    # The unit that triage scales by is no power of two: one rounding a value.
    np.testing.assert_allclose(large.phi, small.phi, atol=1e-6)


def test_ten_observations_among_gaps():
    rng = np.random.default_rng(2)
    y = np.full(100, np.nan)
    y[rng.choice(100, 10, replace=False)] = rng.normal(size=10)
    fit = fit_series(y, np.ones((100, 1)), Order(1))
    assert fit.n_used == 10
    assert fit.beta[0] == pytest.approx(np.nanmean(y), abs=0.5)


def test_one_difference_between_gaps_does_not_make_a_series_constant():
    y = np.random.default_rng(3).normal(size=60)
    y[np.arange(60) % 3 > 0] = np.nan
    y[1] = 0.5
    y[-1] = 1.0
    assert fit_series(y, np.zeros((60, 0)), Order(0, 1, 1)) is not None


def test_regressors_that_are_all_but_the_same():
    rng = np.random.default_rng(4)
    y, x = rng.normal(size=(2, 80))
    twin = x + 1e-10 * rng.normal(size=80)
    found = fit_native(panel_of(y, x=x, twin=twin), orders_of([Order(1)]), "c")
    assert found.status[0] == Status.OK
    assert found.used[0].tolist() == [True, False, True, False]


def test_a_maximum_next_to_cancellation_is_found():
    """Poles at 0.93 and zeros beside them on the circle: a search from plain starts alone ends 4.3 below."""
    rng = np.random.default_rng(48)
    y = simulate((3, 0, 2, 0, 0, 0, 1), 400, rng)
    X = np.zeros((400, 0))
    quick, full = (fit_series(y, X, Order(3, 0, 2), with_cov=thorough) for thorough in (False, True))
    assert full.loglik > quick.loglik + 4.0


def test_a_search_that_meets_an_end_that_is_known_has_ended():
    """The last of several runs stops beside the best end, a hair above it: that is an end, not a failure."""
    y = np.random.default_rng(58).normal(size=90).cumsum()
    fit = fit_series(y, np.zeros((90, 0)), Order(3, 1, 2))
    assert fit is not None
    assert fit.cov is not None
    assert fit.cov.shape == (3, 3)
