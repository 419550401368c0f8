import numpy as np
import pytest

from forecast.errors import FutureExogError, InputError
from forecast.models.deterministic import deterministic_in_sample, deterministic_path
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm
from tests.strategies import make_records


def panel_of(records, lengths, **exog):
    indptr = np.r_[0, np.cumsum(lengths)].astype(np.int64)
    return Panel(np.zeros(indptr[-1]), indptr, records.ids, records.start.copy(), records.freq, exog)


def test_constant_and_slope_by_hand():
    records = make_records(nobs=10, const=1.0, slope=0.5)
    np.testing.assert_array_equal(deterministic_path(records, 3), [[6.5, 7.0, 7.5]])  # 1 + 0.5 * 11, ...


def test_season_goes_on_where_the_sample_ended():
    records = make_records(nobs=5, season_length=4, seasonal=[10.0, 20.0, 30.0, 40.0])
    # t = 6 is the second of its season
    np.testing.assert_array_equal(deterministic_path(records, 4), [[20.0, 30.0, 40.0, 10.0]])


def test_series_with_different_seasons_in_one_batch():
    seasonal = np.array([[1.0, 2.0, 0.0], [5.0, 6.0, 7.0]])
    records = make_records(2, nobs=3, season_length=np.array([2, 3], dtype=np.int32), seasonal=seasonal)
    np.testing.assert_array_equal(deterministic_path(records, 3), [[2.0, 1.0, 2.0], [5.0, 6.0, 7.0]])


def test_lagged_regressors_reach_into_the_tail():
    terms = (ExogTerm("x"), ExogTerm("x", 2), ExogTerm("z", 1))
    tail = np.array([[[9.0, 8.0], [7.0, 0.0]]])  # x_T, x_{T-1}; z_T
    records = make_records(exog=terms, beta=[1.0, 10.0, 100.0], exog_tail=tail)
    future = {"x": np.array([[1.0, 2.0, 3.0]]), "z": np.array([[4.0, 5.0, 6.0]])}
    # x_{T+1} + 10 x_{T-1} + 100 z_T, and so on
    np.testing.assert_array_equal(deterministic_path(records, 3, future), [[781.0, 492.0, 513.0]])


def test_a_horizon_inside_all_lags_needs_no_future():
    records = make_records(exog=(ExogTerm("x", 3),), beta=[2.0], exog_tail=np.array([[[3.0, 2.0, 1.0]]]))
    np.testing.assert_array_equal(deterministic_path(records, 2), [[2.0, 4.0]])


def test_missing_and_misshapen_regressors_raise():
    records = make_records(2, exog=(ExogTerm("x"),), beta=[2.0])
    with pytest.raises(FutureExogError, match="'x' has no future"):
        deterministic_path(records, 2)
    with pytest.raises(InputError, match=r"shape \(2, 3\), needs \(2, 2\)"):
        deterministic_path(records, 2, {"x": np.zeros((2, 3))})


def test_a_regressor_that_was_left_out_cannot_hurt():
    records = make_records(2, exog=(ExogTerm("x"),), beta=np.array([[0.0], [1.0]]))
    got = deterministic_path(records, 1, {"x": np.full((2, 1), np.nan)})
    assert got[0, 0] == 0.0
    assert np.isnan(got[1, 0])


def test_in_sample_is_the_same_function_of_t():
    terms = (ExogTerm("x"), ExogTerm("x", 1))
    records = make_records(
        2, nobs=4, const=1.0, slope=0.25, season_length=3, seasonal=[1.0, 2.0, 3.0],
        exog=terms, beta=[1.0, 2.0], exog_tail=np.zeros((2, 1, 1)),
    )  # fmt: skip
    x = np.arange(1.0, 10.0)
    got = deterministic_in_sample(records, panel_of(records, [4, 5], x=x))
    t = np.r_[1:5, 1:6]
    lag = np.r_[np.nan, x[:3], np.nan, x[4:8]]
    np.testing.assert_allclose(got, 1 + 0.25 * t + np.array([1.0, 2.0, 3.0])[(t - 1) % 3] + x + 2 * lag)


def test_in_sample_needs_its_regressors():
    records = make_records(exog=(ExogTerm("x"),), beta=[1.0])
    with pytest.raises(InputError, match="not in the panel"):
        deterministic_in_sample(records, panel_of(records, [3]))
