import numpy as np
import pytest

from forecast.errors import InputError
from forecast.models import simulation
from forecast.models.forecasting import forecast
from forecast.models.records import Transform
from forecast.models.simulation import Residuals, bootstrap_intervals, draw, key_of, simulate
from tests.oracles import recursion as oracle
from tests.strategies import make_records


def ar2(n=1, **fields):
    return make_records(
        n, **(dict(phi=[0.6, -0.3], const=1.0, sigma2=2.0, levels=[3.0, 1.0], n_used=100) | fields)
    )


def residuals(*rows):
    return Residuals(np.concatenate(rows), np.r_[0, np.cumsum([len(r) for r in rows])].astype(np.int64))


def test_a_path_is_the_recursion_on_its_shocks():
    records = ar2(theta=[0.4], innovations=[0.7])
    paths = simulate(records, 6, 3, seed=5)
    shocks = draw(key_of(5, "s0"), 0, 3, 6) * np.sqrt(2.0)
    a, b = [0.6, -0.3], [0.4]
    mean = oracle.forecast_path(a, b, [3.0, 1.0], [0.7], np.full(6, 1.0))
    want = [mean + oracle.simulate(a, b, np.zeros(6), e) for e in shocks]
    np.testing.assert_allclose(paths[0], want, atol=1e-12)


def test_a_series_gets_the_same_paths_in_any_batch_and_block(monkeypatch):
    batch = simulate(ar2(5), 4, 6, seed=1)
    monkeypatch.setattr(simulation, "_BLOCK_NUMBERS", 1)
    np.testing.assert_array_equal(simulate(ar2(5), 4, 6, seed=1), batch)
    alone = ar2(1, ids=np.array(["s3"], dtype=object))
    np.testing.assert_array_equal(simulate(alone, 4, 6, seed=1)[0], batch[3])
    assert not np.array_equal(batch[2], batch[3])
    assert not np.array_equal(simulate(alone, 4, 6, seed=2)[0], batch[3])


@pytest.mark.parametrize("jobs", [2, 3, 7])
def test_threads_change_no_bit_of_a_path(jobs):
    records = ar2(9, state_cov={4: np.eye(2)})
    resid = residuals(*[np.arange(5.0) + i for i in range(9)])
    for drawn in (None, resid):
        want = simulate(records, 5, 6, seed=1, resid=drawn, parameters=True)
        got = simulate(records, 5, 6, seed=1, resid=drawn, parameters=True, jobs=jobs)
        assert got.tobytes() == want.tobytes()
    one, more = (bootstrap_intervals(records, 5, (80,), resid, n_paths=20, jobs=k) for k in (1, jobs))
    assert one.lo.tobytes() == more.lo.tobytes()


def test_more_paths_leave_the_first_ones():
    np.testing.assert_array_equal(simulate(ar2(), 4, 50, seed=1)[:, :6], simulate(ar2(), 4, 6, seed=1))


def test_a_longer_horizon_leaves_the_first_steps():
    np.testing.assert_array_equal(simulate(ar2(), 9, 5, seed=1)[..., :4], simulate(ar2(), 4, 5, seed=1))


@pytest.mark.parametrize("parameters", [False, True])
def test_moments_of_paths_are_those_of_the_forecast(parameters):
    """20,000 paths: standard error of a mean sd / 141, of an sd 0.5 %; four of each."""
    records = ar2(n_used=30 if parameters else 10**9)
    paths = simulate(records, 8, 20_000, seed=3, parameters=parameters)[0]
    want = forecast(records, 8)
    np.testing.assert_allclose(paths.mean(axis=0), want.mean[0], atol=4 * want.sd.max() / 141)
    np.testing.assert_allclose(paths.std(axis=0), want.sd[0], rtol=0.02)


def test_an_unknown_end_state_is_drawn():
    """Singular covariance: both levels unknown, but equal."""
    records = ar2(sigma2=0.5, n_used=10**9, state_cov={0: np.full((2, 2), 4.0)})
    paths = simulate(records, 3, 20_000, seed=4)[0]
    np.testing.assert_allclose(paths.std(axis=0), forecast(records, 3).sd[0], rtol=0.02)


def test_bootstrapped_shocks_are_the_residuals():
    pool = np.array([1.0, -2.0, np.nan, 4.0])  # mean 1
    paths = simulate(make_records(levels=[0.0]), 5, 40, seed=0, resid=residuals(pool))
    assert set(np.unique(paths)) == {0.0, -3.0, 3.0}


def test_a_series_without_residuals_is_gaussian():
    got = simulate(ar2(2), 3, 4, seed=8, resid=residuals(np.full(3, np.nan), np.ones(2)))
    np.testing.assert_array_equal(got[0], simulate(ar2(2), 3, 4, seed=8)[0])
    assert np.ptp(got[1], axis=0).max() == 0.0  # one residual, centred: no noise


def test_log_paths_are_positive_and_scaled():
    records = make_records(sigma2=0.1, transform=Transform.LOG, scale=4.0)
    paths = simulate(records, 2, 5, seed=6)
    z = draw(key_of(6, "s0"), 0, 5, 2) * np.sqrt(0.1)
    np.testing.assert_allclose(paths[0], 4.0 * np.exp(z))


def test_bootstrap_intervals_of_gaussian_residuals_are_the_gaussian_ones(monkeypatch):
    """10,000 paths: a 95 % quantile has standard error 2.1 sd / 100, of which four."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=20_000) * np.sqrt(2.0) for _ in range(3)]
    records = ar2(3, oos_scale=1.3)
    want = forecast(records, 6)
    got = bootstrap_intervals(records, 6, (80, 95), residuals(*rows), n_paths=10_000, seed=1)
    np.testing.assert_array_equal(got.mean, want.mean)
    np.testing.assert_allclose(got.lo, want.lo, atol=0.09 * 1.3 * want.sd.max())
    np.testing.assert_allclose(got.hi, want.hi, atol=0.09 * 1.3 * want.sd.max())
    monkeypatch.setattr(simulation, "_BLOCK_NUMBERS", 1)
    again = bootstrap_intervals(records, 6, (80, 95), residuals(*rows), n_paths=10_000, seed=1)
    np.testing.assert_array_equal(again.lo, got.lo)


def test_skewed_residuals_give_skewed_intervals():
    pool = np.random.default_rng(1).exponential(size=5000)
    got = bootstrap_intervals(make_records(), 1, (90,), residuals(pool), n_paths=5000)
    assert got.hi[0, 0, 0] - got.mean[0, 0] > 1.5 * (got.mean[0, 0] - got.lo[0, 0, 0])


@pytest.mark.parametrize("bad", [{"n_paths": 0}, {"seed": -1}, {"h": 0}])
def test_senseless_requests_raise(bad):
    with pytest.raises(InputError):
        simulate(**({"records": ar2(), "h": 2, "n_paths": 3, "seed": 0} | bad))


def test_residuals_of_another_panel_raise():
    with pytest.raises(InputError, match="residuals of 1 series, needs 2"):
        simulate(ar2(2), 2, 3, 0, resid=residuals(np.ones(3)))
