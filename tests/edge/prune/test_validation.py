import numpy as np
import pytest

from edge.prune.history import accumulation, histories
from edge.prune.validation import MOST_ORIGINS, first_validated, loss, origins, windows
from tests.edge.prune.cases import panel_of, paths
from tests.oracles import edge_prune as oracle
from tests.strategies import make_records

PHI = np.array([0.5, -0.2, 0.1])


def history(y, horizon, **fields):
    records = make_records(1, **({"phi": PHI, "const": 1.0, "nobs": len(y)} | fields))
    return histories(records, panel_of([y])).of(0, horizon)


def measured(past, phi, b, horizon):
    at = origins(past, len(phi), horizon)
    return float(loss(windows([past], [at], len(phi), horizon), phi[None], b[None])[0]), at


@pytest.mark.parametrize("gaps", [(), (97,), (80, 81, 110)])
def test_loss_is_that_of_rolling_forecasts(gaps):
    y = paths(1, 130)[0]
    y[list(gaps)] = np.nan
    past = history(y, 5)
    got, at = measured(past, PHI, past.b, 5)
    first = first_validated(130, 5)
    assert first == 104
    want, n = oracle.rolling_rmse(y, np.full(130, 1.0), PHI, 5, first)
    assert len(at) == n
    assert got == pytest.approx(want, rel=1e-12)


def test_loss_of_a_differenced_series_is_that_of_its_levels():
    y = np.cumsum(paths(1, 130)[0])
    past = history(y, 6, d=1)
    got, _ = measured(past, PHI, past.b, 6)
    v = np.concatenate([[np.nan], np.diff(y)])
    want, _ = oracle.rolling_rmse(v, np.full(130, 1.0), PHI, 6, first_validated(130, 6), d=1)
    assert got == pytest.approx(want, rel=1e-10)


def test_accumulation_by_hand():
    np.testing.assert_array_equal(accumulation(1, 0, 1, 4), [1, 1, 1, 1])
    np.testing.assert_array_equal(accumulation(2, 0, 1, 4), [1, 2, 3, 4])
    np.testing.assert_array_equal(accumulation(0, 1, 3, 7), [1, 0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(accumulation(1, 1, 2, 5), [1, 1, 2, 2, 3])


def test_a_trend_and_a_season_enter_the_forecasts():
    y = paths(1, 140)[0] + 0.3 * np.arange(140)
    past = history(y, 4, slope=0.05, seasonal=np.array([[0.0, 1.0, -1.0, 0.5]]), season_length=4)
    drive = past.z @ past.b + past.center * (1 - PHI.sum())
    t = np.arange(1, 141)
    np.testing.assert_allclose(
        drive, 1.0 + 0.05 * t + np.array([0.0, 1.0, -1.0, 0.5])[(t - 1) % 4], atol=1e-12
    )
    got, _ = measured(past, PHI, past.b, 4)
    want, _ = oracle.rolling_rmse(y, drive, PHI, 4, first_validated(140, 4))
    assert got == pytest.approx(want, rel=1e-12)


def test_origins_are_capped_and_spread():
    past = history(paths(1, 3_000)[0], 5)
    at = origins(past, 3, 5)
    assert len(at) == MOST_ORIGINS
    assert at[0] == first_validated(3_000, 5)
    assert at[-1] == 3_000 - 5


def test_series_of_a_batch_do_not_see_each_other():
    past = [history(y, 5) for y in paths(3, 150)]
    past[1].v[130] = np.nan
    starts = [origins(each, 3, 5) for each in past]
    assert len(starts[1]) < len(starts[0])
    together = loss(windows(past, starts, 3, 5), np.tile(PHI, (3, 1)), np.stack([each.b for each in past]))
    apart = [measured(each, PHI, each.b, 5)[0] for each in past]
    np.testing.assert_allclose(together, apart, rtol=1e-14)


def test_an_unstable_fit_loses_without_a_warning():
    past = history(paths(1, 900)[0] * 1e100, 300)
    value, _ = measured(past, np.array([40.0, 0.0, 0.0]), past.b, 300)
    assert value == np.inf


def test_a_series_shorter_than_the_horizon_has_no_origin():
    assert len(origins(history(paths(1, 20)[0], 24), 3, 24)) == 0
