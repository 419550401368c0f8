import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.prune import prune_parcors
from edge.prune.parcors import autocovariances, error_ratio
from edge.quantize.polynomial import step_up
from forecast.errors import InputError
from forecast.models.ar import AR
from forecast.models.arima import ARIMA
from forecast.models.certificate import certify
from forecast.models.codec import decode, encode
from forecast.models.forecasting import forecast
from forecast.models.soundness import flaw
from tests.edge.prune.cases import panel_of, paths
from tests.edge.prune.test_lags import assert_row
from tests.oracles import edge_prune as oracle
from tests.strategies import make_records

parcors = st.lists(st.floats(-0.95, 0.95), min_size=1, max_size=6).map(np.array)


@given(k=parcors)
def test_step_up_is_the_loop(k):
    np.testing.assert_allclose(step_up(k[None])[0], oracle.levinson(k), atol=1e-12)


@given(k=parcors.filter(lambda k: (abs(k) < 0.8).all()))
def test_autocovariances_are_those_of_the_psi_weights(k):
    phi = oracle.levinson(k)
    want = oracle.autocovariances(phi, len(k) + 1, 4_000)
    np.testing.assert_allclose(autocovariances(phi[None])[0], want, rtol=1e-6, atol=1e-6 * want[0])


@given(k=parcors.filter(lambda k: (abs(k) < 0.8).all()), seed=st.integers(0, 999))
def test_the_error_of_a_wrong_equation_is_that_of_the_oracle(k, seed):
    keep = np.random.default_rng(seed).random(len(k)) < 0.5
    old, new = oracle.levinson(k), oracle.levinson(np.where(keep, k, 0.0))
    assert error_ratio(old[None], new[None])[0] == pytest.approx(oracle.error_variance(old, new), rel=1e-6)


def test_the_error_by_hand():
    # AR(1) with 0.5 has variance 4/3: without its lag the error is the series itself.
    assert error_ratio(np.array([[0.5]]), np.array([[0.0]]))[0] == pytest.approx(4 / 3)


@given(k=parcors, n=st.integers(5, 5_000))
def test_what_is_left_is_stationary_and_keeps_its_mean(k, n):
    phi = oracle.levinson(k)
    if not certify(phi[None], np.array([len(k)])).passed[0]:
        return
    records = make_records(
        1, phi=phi, const=2.0, n_used=n, nobs=n, levels=[1.0] * len(k), n_params=len(k) + 2
    )
    found = prune_parcors(records)
    assert flaw(found.records) is None
    seen = certify(phi[None], np.array([len(k)])).parcor[0]
    small = (seen != 0) & (np.abs(seen) < 1.96 / np.sqrt(n))
    assert found.lags_before[0] - found.lags_kept[0] == small.sum()
    assert (found.reason[0] == "") == small.any()
    if small.any():
        mean = 2.0 / (1 - phi.sum())
        got = found.records.const[0] / (1 - found.records.phi[0].sum())
        assert got == pytest.approx(mean, rel=1e-6, abs=1e-9)
        assert found.records.sigma2[0] >= 1.0
        assert found.records.n_params[0] == len(k) + 2 - small.sum()


def test_fitted_records_lose_small_ones_and_stay_sound():
    data = panel_of(paths(8, 400))
    records = AR(lags=24).fit(data)
    found = prune_parcors(records)
    assert found.changed.all()
    assert (found.lags_kept < found.lags_before).all()
    limit = 1.96 / np.sqrt(records.n_used)
    left = np.abs(found.records.parcor)
    assert (left[left > 0] >= limit.min()).all()
    decode(encode(found.records))
    np.testing.assert_allclose(forecast(found.records, 24).mean, forecast(records, 24).mean, atol=1.0)


def test_the_variance_of_the_errors_is_raised_to_that_of_the_new_equation():
    k = np.array([0.6, 0.1, -0.4, 0.05])
    records = make_records(1, phi=oracle.levinson(k), n_used=200, nobs=200, sigma2=3.0, levels=[1.0] * 4)
    found = prune_parcors(records)
    new = oracle.levinson([0.6, 0.0, -0.4, 0.0])
    np.testing.assert_allclose(found.records.phi[0], new[:3], atol=1e-12)
    want = 3.0 * oracle.error_variance(oracle.levinson(k), new)
    assert found.records.sigma2[0] == pytest.approx(want, rel=1e-9)
    assert want > 3.0


def test_the_threshold_is_a_number_of_standard_errors():
    records = make_records(1, phi=[0.1], n_used=400, levels=[1.0])  # 0.1 is 2 standard errors
    assert prune_parcors(records, z=1.96).reason[0] == "no partial autocorrelation is small"
    assert prune_parcors(records, z=2.1).lags_kept[0] == 0
    with pytest.raises(InputError, match="z must be a positive number"):
        prune_parcors(records, z=0.0)


def test_what_cannot_be_pruned_is_kept_to_the_last_bit():
    data = panel_of(paths(2, 200))
    for model, why in (
        (ARIMA(order=(2, 0, 1)), "it has a moving average"),
        (AR(lags=6, trend="ct", method="ols"), "its slope, season or regressors act through the lags"),
    ):
        records = model.fit(data)
        found = prune_parcors(records)
        assert set(found.reason.tolist()) == {why}
        for i in range(2):
            assert_row(found.records, records, i)


def test_a_state_that_is_not_known_is_cut_to_the_lags_left():
    cov = {0: np.diag([2.0, 1.0, 0.0]), 1: np.diag([0.0, 0.0, 1.0])}
    phi = oracle.levinson([0.9, 0.001, 0.001])
    records = make_records(2, phi=phi, n_used=100, levels=[1.0, 2.0, 3.0], state_cov=cov)
    found = prune_parcors(records)
    assert found.records.p.tolist() == [1, 1]
    assert found.records.state_cov.keys() == {0}
    np.testing.assert_array_equal(found.records.state_cov[0], [[2.0]])
    assert flaw(found.records) is None
